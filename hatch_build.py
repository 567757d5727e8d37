"""Read by the build: the package's dependencies are those of the requirements files, so that they stand in one place."""

from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    """Fills in what pyproject.toml calls dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Adds `dependencies`, and the extra `embedded`."""
        metadata["dependencies"] = self._requirements("requirements.txt")
        metadata["optional-dependencies"] = {"embedded": self._requirements("requirements-embedded.txt")}

    def _requirements(self, name: str) -> list[str]:
        lines = (Path(self.root) / name).read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and not line.startswith("#")]
