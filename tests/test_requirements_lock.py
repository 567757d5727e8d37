"""requirements.lock, from which the image is built: all that requirements.txt asks for, pinned and hashed, and nothing more."""

import re
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.test_packaging import requirements

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "requirements.lock").read_text(encoding="utf-8")
ENTRIES = re.findall(r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", TEXT, re.MULTILINE)
PINNED = {name: Version(version) for name, version, _ in ENTRIES}


def environment(machine: str) -> dict[str, str]:
    """What markers see in the image, on a machine of this kind."""
    found = re.search(r"^FROM python:((\d+\.\d+)\.\d+)-", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    image = {"python_full_version": found[1], "python_version": found[2], "platform_machine": machine, "extra": ""}
    return {name: str(value) for name, value in default_environment().items()} | image


def needed(requirement: Requirement, env: dict[str, str]) -> list[Requirement]:
    """What the requirement's package needs in turn, with the extras that the requirement asks for."""
    lines = distribution(requirement.name).requires or []
    asked = [env | {"extra": extra} for extra in ("", *requirement.extras)]
    return [
        inner for inner in map(Requirement, lines) if inner.marker is None or any(inner.marker.evaluate(one) for one in asked)
    ]


def test_every_line_is_a_pin_with_hashes() -> None:
    rest = re.sub(r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", "", TEXT, flags=re.MULTILINE)
    assert all(line.lstrip().startswith("#") for line in rest.splitlines()), rest
    assert len(PINNED) == len(ENTRIES) > 10
    assert list(PINNED) == sorted(PINNED)


def test_it_names_no_place() -> None:
    assert not re.search(r"://|file:|--index|--find-links|--extra|(?<![\w.])/", TEXT)


def test_every_requirement_is_within_its_bounds() -> None:
    for name, requirement in requirements("requirements.txt").items():
        assert requirement.specifier.contains(PINNED[canonicalize_name(name)]), str(requirement)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_it_is_closed_and_holds_nothing_superfluous(machine: str) -> None:
    """By what the installed packages say that they need, where they are those of the lock."""
    env = environment(machine)
    waiting, seen = list(requirements("requirements.txt").values()), set[str]()
    looked_at = set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in PINNED, f"{requirement} is missing"
        assert requirement.specifier.contains(PINNED[name]), f"{requirement}, but {PINNED[name]} is locked"
        seen.add(name)
        if str(requirement) not in looked_at:
            looked_at.add(str(requirement))
            try:
                same = Version(distribution(name).version) == PINNED[name]
            except PackageNotFoundError:
                same = False
            if not same:
                pytest.skip(f"{name} {PINNED[name]} is not installed here: what it needs can't be asked")
            waiting += needed(requirement, env)
    assert seen == set(PINNED)
