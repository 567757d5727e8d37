"""Mutants: known small bugs, one line each, in the TOML files here; `python -m testing.mutants` has the tests find them.

[[mutant]]
name = "…"    unique, kebab-case
file = "…"    from the project's root
old = '…'     part of one line, found there exactly once
new = '…'     what stands in its place
why = "…"     what is wrong then
tests = [ … ] node ids, each of which (or all of them together) fails then
promise = …   optional: the number of the promise that is broken then; one of the tests is marked with it
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug, and the tests that find it."""

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    promise: int | None = None

    def applied(self, root: Path) -> str:
        """The file's text with the bug in it. ValueError if the old text does not stand there exactly once."""
        text = (root / self.file).read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.old!r} stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


def load() -> list[Mutant]:
    """All mutants, in the order of the files."""
    told = [
        fields for path in sorted(FOLDER.glob("*.toml")) for fields in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]
    ]
    return [Mutant(**fields | {"tests": tuple(fields["tests"])}) for fields in told]
