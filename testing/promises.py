"""The promises of the README, by number, and what stands for each: marked tests, and mutants with a `promise`.

`@pytest.mark.promise(2)` marks a test of the second promise; `make test PROMISE=2` runs these tests.
"""

import ast
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pytest

from testing.mutants import ROOT, Mutant

Marks = Mapping[str, frozenset[int]]
"""By test (`tests/pipeline/test_lanes.py::test_…`): the promises that it is marked with."""


@cache
def numbers() -> tuple[int, ...]:
    """The numbers of the promises, as the README lists them."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## Promises\n")[2].partition("\n## ")[0]
    return tuple(int(number) for number in re.findall(r"^(\d+)\. \*\*", section, re.MULTILINE))


@cache
def marks() -> Marks:
    """The marks of all tests. A mark without exactly one number is a ValueError."""
    found: dict[str, frozenset[int]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                test = f"{path.relative_to(ROOT)}::{node.name}"
                found[test] = frozenset(_number(decorator, path) for decorator in node.decorator_list if _is_mark(decorator))
    return found


def _is_mark(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith("pytest.mark.promise")


def _number(decorator: ast.expr, path: Path) -> int:
    match decorator:
        case ast.Call(args=[ast.Constant(value=int(number))], keywords=[]):
            return number
        case _:
            raise ValueError(f"{path}:{decorator.lineno}: a mark of a promise has one number")


def faults(promises: Iterable[int], marked: Marks, mutants: Iterable[Mutant]) -> list[str]:
    """Which promises lack a test or a mutant, and which numbers are not a promise."""
    known, mutants = set(promises), list(mutants)
    found = [f"{test}: there is no promise {number}" for test, own in marked.items() for number in sorted(own - known)]
    found += [f"mutant {mutant.name}: there is no promise {mutant.promise}" for mutant in mutants if _unknown(mutant, known)]
    for number in sorted(known):
        tests = {test for test, own in marked.items() if number in own}
        end_to_end = {test for test in tests if test.startswith("tests/e2e/")}
        if not end_to_end:
            found.append(f"promise {number} has no end-to-end test")
        if not tests - end_to_end:
            found.append(f"promise {number} has no unit test")
        if not any(mutant.promise == number for mutant in mutants):
            found.append(f"promise {number} has no mutant")
    for mutant in mutants:
        tests = {test.partition("[")[0] for test in mutant.tests}
        if mutant.promise is not None and not any(mutant.promise in marked.get(test, ()) for test in tests):
            found.append(f"mutant {mutant.name}: no test of it is marked with promise {mutant.promise}")
    return found


def _unknown(mutant: Mutant, known: set[int]) -> bool:
    return mutant.promise is not None and mutant.promise not in known


def select(items: Iterable[pytest.Item], promise: int | None) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """The collected tests that run, of one promise or of all, and the others. An unknown number is a ValueError."""
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    asked = () if promise is None else (promise,)
    for item in items:
        own = [number for mark in item.iter_markers("promise") for number in mark.args]
        if unknown := {*own, *asked} - set(numbers()):
            raise ValueError(f"there is no promise {unknown.pop()}: the README lists {', '.join(map(str, numbers()))}")
        (kept if promise is None or promise in own else dropped).append(item)
    return kept, dropped
