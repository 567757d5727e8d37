"""The .sql files of the package: each says what it is, and what is filled in; and all that stands in them is read."""

import re
from pathlib import Path

import pytest

from testing.documents import ROOT
from unified_indexer.database.functions import sql_files

FILES = sorted((ROOT / "unified_indexer").rglob("*.sql"))
FUNCTIONS = [path for path in FILES if path.parent.name == "functions"]
COMMENTS = re.compile(r"^--.*\n", re.MULTILINE)
PLACEHOLDER = re.compile(r"\{([a-z]\w*)\}")


def head(path: Path) -> list[str]:
    """The comment with which a file begins, in lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return lines[: next(place for place, line in enumerate(lines) if not line.startswith("--"))]


def test_there_are_files_to_look_at() -> None:
    assert len(FUNCTIONS) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_says_what_it_is_and_what_is_filled_in(path: Path) -> None:
    first, *more = head(path)
    assert len(first) > 20
    assert not PLACEHOLDER.search(first)
    said = {name for line in more for name in PLACEHOLDER.findall(line)}
    assert said == set(PLACEHOLDER.findall(COMMENTS.sub("", path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_brace_is_doubled(path: Path) -> None:
    assert not re.search(r"\{\{|\}\}", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FUNCTIONS, ids=lambda path: path.name)
def test_every_statement_of_a_file_is_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    names = {name: f"{{{name}}}" for name in PLACEHOLDER.findall(text)}
    read = sql_files.statements(path.stem, **names)
    assert len(read) == len(re.findall(r"^CREATE ", text, re.MULTILINE))
    left = text
    for statement in read:
        assert re.match(r"CREATE OR REPLACE (FUNCTION|PROCEDURE) unified_worker\.", statement)
        left = left.replace(statement, "")
    assert COMMENTS.sub("", left).strip() == ""


@pytest.mark.parametrize("path", sorted(FUNCTIONS[0].parent.glob("*.py")), ids=lambda path: path.name)
def test_no_function_stands_in_python(path: Path) -> None:
    assert "CREATE OR REPLACE" not in path.read_text(encoding="utf-8")


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError, match="schema"):
        sql_files.statements("handles")


def test_what_is_filled_in_is_taken_as_it_is() -> None:
    """Braces in the name of a schema are no placeholders."""
    assert '"a{name}b".users' in "".join(
        sql_files.statements(
            "handles", schema='"a{name}b"', checked_for="interval '1 hour'", again_after="interval '1 minute'", most_checks=1
        )
    )
