"""Each promise of the README has a unit test, an end-to-end test and a mutant, and `--promise` finds the tests."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest

from testing.documents import ROOT, read
from testing.mutants import Mutant, load
from testing.promises import Marks, faults, marks, numbers

UNIT, E2E = "tests/pipeline/test_lanes.py::test_order", "tests/e2e/test_e2e_model.py::test_order"
INVARIANT = re.compile(r"^\| (\d+)\. [^|]+ \| [^|]+ \| `([^`|]+)` \| (?:`([^`|]+)`)? ?\|$", re.MULTILINE)
KEPT: Marks = {UNIT: frozenset({1}), E2E: frozenset({1})}
MUTANT = Mutant("out-of-order", "lanes.py", "old", "new", "why", (UNIT,), promise=1)


def test_each_promise_has_a_unit_test_an_end_to_end_test_and_a_mutant() -> None:
    assert faults(numbers(), marks(), load()) == []


def test_what_a_promise_lacks_is_named() -> None:
    assert faults([1], KEPT, [MUTANT]) == []
    assert faults([1], {UNIT: frozenset({1})}, [MUTANT]) == ["promise 1 has no end-to-end test"]
    assert faults([1], {E2E: frozenset({1})}, [replace(MUTANT, tests=(E2E,))]) == ["promise 1 has no unit test"]
    assert faults([1], KEPT, [replace(MUTANT, promise=None)]) == ["promise 1 has no mutant"]
    other = replace(MUTANT, tests=("tests/test_json.py::test_nul",))
    assert faults([1], KEPT, [other]) == ["mutant out-of-order: no test of it is marked with promise 1"]


def test_a_number_that_is_no_promise_is_named() -> None:
    assert faults([1], {**KEPT, UNIT: frozenset({1, 7})}, [MUTANT]) == [f"{UNIT}: there is no promise 7"]
    wrong = replace(MUTANT, name="wrong", promise=7)
    assert "mutant wrong: there is no promise 7" in faults([1], KEPT, [MUTANT, wrong])


def test_tests_and_mutants_of_the_invariants_carry_their_promise() -> None:
    rows = INVARIANT.findall(read("docs/invariants.md"))
    assert {int(number) for number, *_ in rows} == set(numbers())
    mutants = {mutant.name: mutant for mutant in load()}
    for number, test, mutant in rows:
        assert int(number) in marks()[test], test
        assert not mutant or mutants[mutant].promise == int(number), mutant


@pytest.mark.long
def test_the_option_runs_the_tests_of_a_promise_and_refuses_another_number() -> None:
    def collect(promise: int) -> subprocess.CompletedProcess[str]:
        command = ["-m", "pytest", "--collect-only", "-q", "tests/pipeline/test_watermark.py", "--promise", str(promise)]
        return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

    bounded = collect(5)
    assert re.findall(r"::(\w+)", bounded.stdout) == [
        "test_one_of_ours_that_hangs_does_not_stop_the_events_of_others",
        "test_what_arrives_behind_one_that_is_not_finished_is_bounded",
    ]
    unknown = collect(max(numbers()) + 1)
    assert unknown.returncode == pytest.ExitCode.USAGE_ERROR
    assert f"the README lists {', '.join(map(str, sorted(numbers())))}" in unknown.stderr
