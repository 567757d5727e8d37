"""What documents point at is there: pages and headings, files of the project, make's targets, Python's modules."""

import re
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from testing.documents import DOCUMENTS, ROOT, read, without_code

FOLDERS = "unified_indexer|tests|testing|benchmarks|relay_simulator|deploy|docs"
MOST_WORDS = 30  # of a sentence
NO_PROSE = ("|", "#", "<!--", "![")
ITEM = re.compile(r"(?:[-*] |\d+\. )")
LABEL = re.compile(
    rf"{ITEM.pattern}?(?:\*\*[^*]+\*\*|\*[^*]+\*)?"
)  # the mark of a list's item, and bold words before a sentence
SENTENCE_ENDS = re.compile(r"[.!?:;,][)*`\"]*$")
NEXT_SENTENCE = re.compile(r"(?<=[\w)`][.!?])[)*\"]* (?=[A-Z*`(])")
CURRENT = [name for name in DOCUMENTS if name != "CHANGELOG.md"]  # that one speaks of earlier layouts too


def prose(document: str) -> list[str]:
    """The lines, stripped; an empty one for what is code, a table, a heading or a picture."""
    without_head = re.sub(r"\A---\n.*?^---$", "", document, flags=re.DOTALL | re.MULTILINE)
    blank = re.sub(r"^ *```.*?^ *```$", "\n", without_head, flags=re.DOTALL | re.MULTILINE)
    return ["" if line.strip().startswith(NO_PROSE) or line.startswith("    ") else line.strip() for line in blank.splitlines()]


def plain(line: str) -> str:
    """Without the mark of a list, bold words before the sentence, and the targets of links; code as one word."""
    return re.sub(r"`[^`]*`", "Code", re.sub(r"\]\([^)]*\)", "]", LABEL.sub("", line, count=1).strip()))


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
    targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
    text = read(name)
    assert set(re.findall(r"`make (?:[A-Z]+=\S+ )?([a-z]+)", text)) <= targets
    for module in re.findall(r"python -m ((?:benchmarks|testing|relay_simulator|unified_indexer)[\w.]*)", text):
        assert find_spec(module) is not None, f"{name}: {module}"


def test_the_index_lists_every_page_of_its_folder() -> None:
    index = Path(ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^## ", index, re.MULTILINE)) == 4
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", index))
    assert listed == {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_line_is_a_sentence(name: str) -> None:
    """So that a change of one sentence is a change of one line."""
    lines = prose(read(name))
    assert [line for line in lines if NEXT_SENTENCE.search(plain(line))] == []
    broken = [line for line, after in pairwise(lines) if line and after and not ITEM.match(after)]
    assert [line for line in broken if not SENTENCE_ENDS.search(line)] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_sentence_is_short(name: str) -> None:
    words = {line: len(re.findall(r"[\w'’/.,-]*\w", plain(line))) for line in prose(read(name))}
    assert {line: count for line, count in words.items() if count > MOST_WORDS} == {}
