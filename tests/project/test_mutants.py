"""The mutants don't rot: each still applies, and the tests that it names are there. `make mutants` has them killed."""

import ast
import re
from functools import cache

import pytest

from testing.mutants import ROOT, Mutant, load

MUTANTS = load()


@cache
def functions_of(file: str) -> set[str]:
    """The functions of a file."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_applies_and_its_tests_are_there(mutant: Mutant) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", mutant.name)
    assert mutant.old != mutant.new
    assert "\n" not in mutant.old + mutant.new
    assert mutant.why
    changed = mutant.applied(ROOT)
    if mutant.file.endswith(".py"):
        ast.parse(changed)
    assert mutant.tests
    for test in mutant.tests:
        file, _, name = test.partition("::")
        assert name.startswith("test_"), test
        assert name.partition("[")[0] in functions_of(file), test


def test_there_are_many_and_none_twice() -> None:
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_gone_is_told() -> None:
    with pytest.raises(ValueError, match="stands 0 times in Makefile"):
        Mutant("gone", "Makefile", "no such text", "", "", ()).applied(ROOT)
