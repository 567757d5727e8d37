"""What documents point at is there: pages and headings, files of the project, make's targets, Python's modules."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from testing.documents import ROOT, read

DOCUMENTS = sorted(
    str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob(".github/**/*.md"))
)
FOLDERS = "indexer|tests|testing|benchmarks|relay_simulator|deploy|docs"
# Archaic or translated words that stop a reader whose English is a second language. What is left may only become less.
HARD_WORDS = re.compile(r"\b(told|anew|amiss|beside|heeded|goes on|went on|so many|a look(?!-))\b", re.IGNORECASE)
HARD_WORDS_LEFT = {"CHANGELOG.md": 8, "docs/tables.md": 2}
CURRENT = [name for name in DOCUMENTS if name != "CHANGELOG.md"]  # that one speaks of earlier layouts too


def without_code(document: str) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", document, flags=re.DOTALL | re.MULTILINE)


def anchors(document: str) -> set[str]:
    """The headings' anchors, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_leads_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(read(name))):
        if re.match(r"https?:|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        page = (ROOT / name).parent / path if path else ROOT / name
        assert page.exists(), f"{name}: {target}"
        if anchor:
            assert anchor in anchors(page.read_text(encoding="utf-8")), f"{name}: {target}"


@pytest.mark.parametrize("name", CURRENT)
def test_every_path_that_is_named_exists(name: str) -> None:
    """In backticks, from the project's root; `*` stands for any name."""
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./*-]*)(?:::\w+)?`", read(name)):
        assert list(ROOT.glob(path.rstrip("/"))), f"{name}: {path}"


@pytest.mark.parametrize("name", CURRENT)
def test_every_make_target_and_module_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    text = read(name)
    assert set(re.findall(r"`make (?:[A-Z]+=\S+ )?([a-z]+)", text)) <= targets
    for module in re.findall(r"python -m ((?:benchmarks|testing|relay_simulator|indexer)[\w.]*)", text):
        assert find_spec(module) is not None, f"{name}: {module}"


def test_the_index_lists_every_page_of_its_folder() -> None:
    index = Path(ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", index, re.MULTILINE)) == 4
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_it_uses_no_word_that_stops_a_reader(name: str) -> None:
    prose = re.sub(r"`[^`]*`", "", without_code(read(name)))
    assert len(HARD_WORDS.findall(prose)) <= HARD_WORDS_LEFT.get(name, 0), HARD_WORDS.findall(prose)
