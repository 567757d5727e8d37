"""The locks: all that the requirements ask for, pinned and hashed, and nothing more; everything is installed from them."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.project.test_packaging import requirements

ROOT = Path(__file__).parents[2]
ENTRY = re.compile(r"^(\S+)==(\S+)(?: ; ([^\\\n]+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n", re.MULTILINE)
SOURCES = {  # of each lock, the requirements that it answers
    "requirements.lock": ("requirements.txt",),
    "requirements-embedded.lock": ("requirements.txt", "requirements-embedded.txt"),
    "requirements-dev.lock": ("requirements.txt", "requirements-embedded.txt", "requirements-dev.txt"),
    "requirements-fuzz.lock": (
        "requirements.txt",
        "requirements-embedded.txt",
        "requirements-dev.txt",
        "requirements-fuzz.txt",
    ),
    "requirements-docs.lock": ("requirements-docs.txt",),
}
# Installed by `make fuzz` and `make docs` alone: what their packages need can't be asked where the tests run.
OF_ONE_TARGET = ("requirements-fuzz.lock", "requirements-docs.lock")
LOCKS = list(SOURCES)
# Where people and machines are sent to install: each line there is read.
INSTALLERS = (
    "Makefile",
    "Dockerfile",
    ".ci/run",
    "README.md",
    "CONSOLIDATION_GUIDE.md",
    *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md")),
)

SILENT = ("--quiet", "--require-hashes", "--disable-pip-version-check")


def text(lock: str) -> str:
    return (ROOT / lock).read_text(encoding="utf-8")


def pinned(lock: str) -> dict[str, Version]:
    return {name: Version(version) for name, version, _, _ in ENTRY.findall(text(lock))}


def asked(lock: str) -> list[Requirement]:
    """What is asked for directly."""
    return [requirement for name in SOURCES[lock] for requirement in requirements(name).values()]


def environment(machine: str, python: str) -> dict[str, str]:
    """What markers see on a machine of this kind, with this Python."""
    found = {"python_full_version": f"{python}.11", "python_version": python, "platform_machine": machine, "extra": ""}
    return {name: str(value) for name, value in default_environment().items()} | found


def needed(requirement: Requirement, env: dict[str, str]) -> list[Requirement]:
    """What the requirement's package needs in turn, with the extras that the requirement asks for."""
    lines = distribution(requirement.name).requires or []
    ways = [env | {"extra": extra} for extra in ("", *requirement.extras)]
    return [
        inner for inner in map(Requirement, lines) if inner.marker is None or any(inner.marker.evaluate(one) for one in ways)
    ]


def installs(line: str) -> Iterator[str]:
    """What each `pip install` of a line installs: its arguments, without the options that take none."""
    for _, arguments in re.findall(r"(pip install|\$\(PIP\))((?: +[^\s`|&;)]+)+)", line):
        words = [word for word in arguments.split() if word not in SILENT]
        if words:
            yield " ".join(words)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_with_hashes(lock: str) -> None:
    rest = ENTRY.sub("", text(lock))
    assert all(line.lstrip().startswith("#") for line in rest.splitlines()), rest
    names = list(pinned(lock))
    assert len(names) > 10
    assert names == sorted(set(names))


@pytest.mark.parametrize("lock", LOCKS)
def test_it_names_no_place(lock: str) -> None:
    assert not re.search(r"://|file:|--index|--find-links|--extra|(?<![\w.])/", text(lock))


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_is_within_its_bounds(lock: str) -> None:
    for requirement in asked(lock):
        assert requirement.specifier.contains(pinned(lock)[canonicalize_name(requirement.name)]), str(requirement)


def test_all_locks_agree() -> None:
    versions = pinned("requirements-fuzz.lock")
    for lock in LOCKS:
        for name, version in pinned(lock).items():
            assert versions.get(name, version) == version, f"{name} in {lock}"


@pytest.mark.parametrize("name", ["requirements-dev.txt", "requirements-fuzz.txt", "requirements-docs.txt"])
def test_what_only_developers_need_is_exact(name: str) -> None:
    """A stub package of another version makes the type check fail, with no line of the project changed."""
    for requirement in requirements(name).values():
        assert [specifier.operator for specifier in requirement.specifier] == ["=="], str(requirement)


@pytest.mark.parametrize("lock", [lock for lock in LOCKS if lock not in OF_ONE_TARGET])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_it_is_closed_and_holds_nothing_superfluous(lock: str, machine: str, python: str) -> None:
    """By what the installed packages say that they need, where they are those of the lock."""
    env = environment(machine, python)
    waiting, seen = asked(lock), set[str]()
    looked_at = set[str]()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        assert name in pinned(lock), f"{requirement} is missing"
        assert requirement.specifier.contains(pinned(lock)[name]), f"{requirement}, but {pinned(lock)[name]} is locked"
        seen.add(name)
        if str(requirement) not in looked_at:
            looked_at.add(str(requirement))
            try:
                same = Version(distribution(name).version) == pinned(lock)[name]
            except PackageNotFoundError:
                same = False
            if not same:
                pytest.skip(f"{name} {pinned(lock)[name]} is not installed here: what it needs can't be asked")
            waiting += needed(requirement, env)
    here = {name for name, _, marker, _ in ENTRY.findall(text(lock)) if not marker or Marker(marker).evaluate(env)}
    assert seen == here


@pytest.mark.parametrize("place", INSTALLERS)
def test_everything_is_installed_from_a_lock_or_from_the_package(place: str) -> None:
    for line in (ROOT / place).read_text(encoding="utf-8").splitlines():
        for what in installs(line):
            assert re.search(r"(-r requirements[\w-]*\.lock|\.whl|^\.$|^unified-worker|^'?\.\[)", what), line


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("	$(PIP) -r requirements-dev.txt", ["-r requirements-dev.txt"]),
        ("RUN pip install --require-hashes -r requirements.lock", ["-r requirements.lock"]),
        ("`pip install uv`, then `.venv/bin/python -m pip install --quiet six`", ["uv", "six"]),
        ("nothing", []),
    ],
)
def test_a_line_that_installs_is_seen(line: str, found: list[str]) -> None:
    assert list(installs(line)) == found
