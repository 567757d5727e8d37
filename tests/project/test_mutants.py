"""The mutants don't rot: each still applies, and the tests that it names are there. `make mutants` has them killed."""

import ast
import re
from dataclasses import replace
from functools import cache

import pytest

from testing.mutants import ROOT, Mutant, load

MUTANTS = load()


@cache
def functions_of(file: str) -> set[str]:
    """The functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def faults(mutant: Mutant) -> list[str]:
    """What is wrong with a mutant."""
    found: list[str] = []
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mutant.name):
        found.append("its name is not of small letters, digits and hyphens")
    if mutant.old == mutant.new or "\n" in mutant.old + mutant.new:
        found.append("it does not change one line")
    if not mutant.why or not mutant.tests:
        found.append("it has no reason, or no test")
    try:
        changed = mutant.applied(ROOT)
        if mutant.file.endswith(".py"):
            ast.parse(changed)
    except (ValueError, SyntaxError) as error:
        found.append(str(error))
    for test in mutant.tests:
        file, _, name = test.partition("::")
        if not name.startswith("test_") or name.partition("[")[0] not in functions_of(file):
            found.append(f"there is no test {test}")
    return found


@pytest.mark.long
def test_a_mutant_applies_and_its_tests_are_there() -> None:
    assert {mutant.name: found for mutant in MUTANTS if (found := faults(mutant))} == {}


def test_a_mutant_that_rots_is_seen() -> None:
    sound = MUTANTS[0]
    assert faults(sound) == []
    assert len(faults(replace(sound, name="Bad name"))) == 1
    assert len(faults(replace(sound, new=sound.old))) == 1
    assert len(faults(replace(sound, why=""))) == 1
    assert len(faults(replace(sound, old="no such text"))) == 1
    assert len(faults(replace(sound, file="unified_indexer/json.py", old="import json", new="import"))) == 1
    assert faults(replace(sound, tests=("tests/test_json.py::test_gone",))) == [
        "there is no test tests/test_json.py::test_gone"
    ]


def test_there_are_many_and_none_twice() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_gone_is_told() -> None:
    with pytest.raises(ValueError, match="stands 0 times in Makefile"):
        Mutant("gone", "Makefile", "no such text", "", "", ()).applied(ROOT)
