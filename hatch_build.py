"""Read by the build, for what stands elsewhere already: dependencies in the requirements files, the description in the README.

`PROJECT_URL` is where the source is published, as https://github.com/OWNER/NAME. With it the package names that place, and the
links of its description lead there, because on an index there are no files beside it. Without it nothing is claimed.
"""

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?\[[^\]]*\]\()(?!https?:|#)([^)]+\))")


class CustomMetadataHook(MetadataHookInterface):
    """Fills in what pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds `dependencies`, the extra `embedded`, `readme`, and `urls` if the place is known."""
        metadata["dependencies"] = self._requirements("requirements.txt")
        metadata["optional-dependencies"] = {"embedded": self._requirements("requirements-embedded.txt")}
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        url = os.environ.get("PROJECT_URL", "").rstrip("/")
        if url:
            tree = f"v{metadata['version']}"
            text = LINK.sub(lambda link: f"{link[1]}{url}/{'raw' if link[1][0] == '!' else 'blob'}/{tree}/{link[2]}", text)
            metadata["urls"] = {
                "Source": url,
                "Documentation": f"{url}/blob/{tree}/docs/README.md",
                "Changelog": f"{url}/blob/{tree}/CHANGELOG.md",
                "Issues": f"{url}/issues",
            }
        metadata["readme"] = {"content-type": "text/markdown", "text": text}

    def _requirements(self, name: str) -> list[str]:
        lines = (Path(self.root) / name).read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and not line.startswith("#")]
