"""What the pages for contributors point at is there: tests, mutants, make's targets; and the pages have their form."""

import ast
import re

import pytest

from testing.documents import ROOT, blocks, read
from testing.mutants import load

DECISIONS = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PARTS = ["Context", "Choice", "Figures", "What would change it"]
PAGES = (
    *("CONTRIBUTING.md", "docs/invariants.md", "docs/glossary.md", "docs/gotchas.md", "docs/decisions/README.md"),
    *(f"docs/decisions/{name}" for name in DECISIONS),
)
SUFFIXES = "py|md|toml|yml|json|js|sql|txt|lock|example"
INVARIANT = re.compile(r"^\| ([^|]+) \| `([^`|]+)` \| `([^`|]+)` \| (?:`([^`|]+)`)? ?\|$", re.MULTILINE)


def invariants() -> list[tuple[str, str, str, str]]:
    """Each line: the law, the file that keeps it, its test, and its mutant (empty: none)."""
    return INVARIANT.findall(read("docs/invariants.md"))


def functions_of(path: str) -> set[str]:
    tree = ast.parse(read(path))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_test_that_is_named_exists(page: str) -> None:
    """Also files at the project's root, and tests by their whole id."""
    for path, test in re.findall(rf"`([\w.-]+(?:/[\w.-]+)*\.(?:{SUFFIXES}))(?:::(\w+))?`", read(page)):
        assert (ROOT / path).is_file(), f"{page}: {path}"
        assert not test or test in functions_of(path), f"{page}: {path}::{test}"


def test_every_target_that_is_typed_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    typed = re.findall(r"^make ([a-z]+)", "".join(blocks(read("CONTRIBUTING.md"), "sh")), re.MULTILINE)
    assert len(typed) == 2
    assert set(typed) <= targets


def test_every_invariant_has_a_file_a_test_and_perhaps_a_mutant() -> None:
    """And nothing in the tables has another form."""
    rows = [line for line in read("docs/invariants.md").splitlines() if line.startswith("| ") and "kept by" not in line]
    assert len(invariants()) == len(rows)
    mutants = {mutant.name for mutant in load()}
    for law, path, test, mutant in invariants():
        assert (ROOT / path).is_file(), law
        assert "::" in test, law
        assert not mutant or mutant in mutants, law


def test_the_index_of_decisions_lists_every_page_once() -> None:
    assert re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", read("docs/decisions/README.md")) == DECISIONS
    assert [name[:4] for name in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_is_a_page_with_four_parts(name: str) -> None:
    page = read(f"docs/decisions/{name}")
    assert page.startswith(f"# {name[:4]}: ")
    assert re.findall(r"^## (.+)$", page, re.MULTILINE) == PARTS
    assert 20 <= len(page.splitlines()) <= 40


def test_no_word_is_explained_twice() -> None:
    words = re.findall(r"^\| ([^|]+) \| [^|]+ \|$", read("docs/glossary.md"), re.MULTILINE)
    words = [word for word in words if word != "word"]
    assert len(words) > 50
    assert len(words) == len(set(words))
