"""Words that stop a reader whose English is a second language: none in documents, and ever fewer in what the program says.

What the program says: log lines, error messages, help, and the first paragraph of each docstring.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing.documents import CODE, DOCUMENTS, ROOT, read, without_code

# Archaic or translated words. What each should be: report or log, again, wrong, while, respected, continue, as many, look, our.
ARCHAIC = (
    r"told|anew|amiss|beside|heeded|go(?:es)? on|went on|so many|a look(?!-)|of ours|mends?|mended|for want of|takes? down"
)
PER = r"(?:events|frames|rows|commits|samples?|messages?|lines?|letters) a (?:second|minute|hour|day|core|step|call)"
OTHERWISE = r"(?<!thing )(?<!body )(?<!where )(?<!what )(?<!who )(?<!one )(?<!ever )else"
HARD_WORDS = re.compile(rf"\b(?:(?i:{ARCHAIC})|{PER}|{OTHERWISE})\b")
# What is left in code, by folder. A number may only become smaller; a folder without any goes.
LEFT: dict[str, int] = {}


def spoken(path: Path) -> Iterator[str]:
    """The texts of a file that people read: string literals, and the first paragraph of a docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value.partition("\n\n")[0] if id(node) in docstrings else node.value


def folder(path: Path) -> str:
    """The folder of a file, at most two levels below the root."""
    return "/".join(path.relative_to(ROOT).parts[:-1][:2]) or path.name


def found() -> dict[str, list[str]]:
    """The hard words of the code, by folder."""
    words: dict[str, list[str]] = {}
    for path in CODE:
        for text in spoken(path):
            words.setdefault(folder(path), []).extend(HARD_WORDS.findall(text))
    return {name: every for name, every in words.items() if every}


def test_the_program_says_fewer_hard_words() -> None:
    assert {name: every for name, every in found().items() if len(every) > LEFT.get(name, 0)} == {}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_uses_no_word_that_stops_a_reader(name: str) -> None:
    text = re.sub(r"`[^`]*`", "", without_code(read(name)))
    assert HARD_WORDS.findall(text) == []
