"""Known vulnerabilities in what the requirements install: `python -m testing.dependency_audit`, a part of `make check`.

pip-audit asks PyPI about each package that the requirements name, but for itself, and all that these need, in the versions that
are installed here.
Exit code 0: nothing is known, or PyPI could not be asked, which is said. 1: a vulnerability, or a fault of the audit itself.
"""

import json
import re
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = ("requirements.txt", "requirements-embedded.txt", "requirements-dev.txt")
PROBE = 12.0  # seconds for a first package: PyPI can be asked, or can't
LIMIT = 180.0  # seconds for all of them
COMMAND = (sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off")
# How pip-audit ends where PyPI does not answer, or another answers in its place; most of them with a traceback.
UNREACHABLE = re.compile(
    r"^(?:requests\.exceptions\.\w+|pip_audit\._service\.interface\.(?:Connection|Service)Error).*"
    r"|^ERROR:pip_audit\._cli:(?:Could not connect|PyPI is not redirecting).*",
    re.MULTILINE,
)


class Unreachable(Exception):
    """PyPI could not be asked."""


def installed() -> dict[str, str]:
    """The versions, by name, of all that the requirements install, directly or not."""
    lines = [line.partition(" #")[0].strip() for name in FILES for line in (ROOT / name).read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith(("#", "-r ", "pip-audit"))]
    found: dict[str, str] = {}
    looked_at: set[tuple[str, str]] = set()
    while wanted:
        requirement = wanted.pop()
        found[canonicalize_name(requirement.name)] = metadata.version(requirement.name)
        for extra in ("", *requirement.extras):
            if (requirement.name, extra) not in looked_at:
                looked_at.add((requirement.name, extra))
                needs = map(Requirement, metadata.requires(requirement.name) or ())
                wanted += [need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})]
    return dict(sorted(found.items()))


def ask(versions: dict[str, str], seconds: float) -> list[dict[str, Any]]:
    """What pip-audit found, a package each. Raises Unreachable; CalledProcessError for whatever else it ended with."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "pins.txt"
        pins.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
        try:
            done = subprocess.run(
                [*COMMAND, "--timeout", "5", "-r", str(pins)], capture_output=True, text=True, timeout=seconds, cwd=ROOT
            )
        except subprocess.TimeoutExpired:
            raise Unreachable(f"no answer within {seconds:.0f} s") from None
    if done.stdout.startswith("{"):
        return json.loads(done.stdout)["dependencies"]
    if said := UNREACHABLE.findall(done.stderr):
        raise Unreachable(said[-1][:200])
    raise subprocess.CalledProcessError(done.returncode, COMMAND, done.stdout, done.stderr)


def main() -> int:
    """The command; returns its exit code."""
    versions = installed()
    first = next(iter(versions))
    try:
        ask({first: versions[first]}, PROBE)
        found = ask(versions, LIMIT)
    except Unreachable as why:
        print(f"audit skipped: PyPI could not be asked ({why})")
        return 0
    except subprocess.CalledProcessError as error:
        print(f"audit: pip-audit failed:\n{error.stdout}{error.stderr}", file=sys.stderr)
        return 1
    unknown = [package["name"] for package in found if "skip_reason" in package]
    if len(unknown) == len(found):
        print(f"audit skipped: whoever answers for PyPI here knows none of the {len(found)} packages")
        return 0
    if unknown:
        print(f"audit: PyPI does not know {', '.join(unknown)}")
    vulnerable = [(package, vulnerability) for package in found for vulnerability in package.get("vulns", ())]
    for package, vulnerability in vulnerable:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        told = f"{vulnerability['id']}, mended in {fixed}: {vulnerability['description'][:200]}"
        print(f"audit: {package['name']} {package['version']}: {told}", file=sys.stderr)
    print(f"audit: {len(found)} packages, {len(vulnerable)} known vulnerabilities")
    return 1 if vulnerable else 0


if __name__ == "__main__":
    sys.exit(main())
