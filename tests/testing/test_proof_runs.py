"""The long proofs: each can be run, and what it said stands in docs/proof.md, whole and true."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.machine import hardware
from testing.proof import BEGIN, END, MACHINE, PAGE, Proof, load, not_run, rows, with_row
from testing.proof import __main__ as program

ECHO = Proof("echo", "that it speaks", "echo 3 of 3 mutants killed, 1 minute", 0.01, r"\d+ of \d+ mutants killed")
FAILS = Proof("fails", "that it is told", "echo '2 failed | 1 passed'; exit 3", 0.01, r"\d+ failed.*")
SLEEPS = Proof("sleeps", "that it ends", "sleep 60", 0.0001, "nothing")


def test_every_proof_has_a_name_and_a_command_of_its_own() -> None:
    proofs = load()
    assert len({proof.name for proof in proofs}) == len({proof.command for proof in proofs}) == len(proofs)
    for proof in proofs:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", proof.name)
        re.compile(proof.told)
        assert proof.hours > 0
        modules = re.findall(r"python -m ([\w.]+)", proof.command)
        assert modules
        assert all(find_spec(module) is not None for module in modules)


def test_the_page_has_rows_of_known_proofs_only_in_their_order() -> None:
    names = [proof.name for proof in load()]
    assert [name for name in names if name in rows(PAGE.read_text(encoding="utf-8"))] == [
        *rows(PAGE.read_text(encoding="utf-8"))
    ]


def test_every_proof_has_a_row_or_is_named_as_not_run_and_the_machine_is_there() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [proof.name for proof in load() if proof.name not in rows(page)] == not_run(page)
    assert re.search(rf"^{MACHINE}.+, \d+ cores, \d+ GB RAM, \w+, Python 3[.\d]+\.$", page, re.MULTILINE)


@pytest.mark.parametrize(("proof", "passed"), [(ECHO, True), (FAILS, False), (SLEEPS, False)], ids=["echo", "fails", "sleeps"])
def test_a_run_leaves_its_row_and_its_output(
    proof: Proof, passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "proof.md"
    page.write_text(f"before\n\n{BEGIN}\n\n{END}\n\nafter\n")
    monkeypatch.setattr(program, "PAGE", page)
    monkeypatch.setattr(program, "LOGS", program.ROOT / "build" / tmp_path.name)
    monkeypatch.setattr(program, "load", lambda: [ECHO, FAILS, SLEEPS])
    assert program._prove(proof, write=True) is passed  # pyright: ignore[reportPrivateUsage]
    (row,) = rows(page.read_text()).values()
    assert f"| {proof.shows} |" in row
    assert ("failed" in row) is not passed
    assert row.count("|") == 7  # a column each, whatever was said
    assert not_run(page.read_text()) == [other.name for other in (ECHO, FAILS, SLEEPS) if other is not proof]
    assert f"{MACHINE}{hardware()}, Python " in page.read_text()
    assert page.read_text().startswith("before\n\n")
    assert page.read_text().endswith("\n\nafter\n")


def test_a_result_is_the_last_line_that_says_so() -> None:
    assert ECHO.result("1 of 3 mutants killed\nnoise\n3 of 3 mutants killed, 5 minutes\n") == "3 of 3 mutants killed"
    assert ECHO.result("nothing of the kind") == ""
    with_group = Proof("g", "", "", 1, r"took (\d+) s")
    assert with_group.result("it took 7 s") == "7"


def test_rows_stay_in_the_order_of_the_file() -> None:
    page = f"{BEGIN}\n{END}"
    for proof in (SLEEPS, ECHO):
        page = with_row(page, proof, f"| `{proof.name}` | x |", [ECHO, FAILS, SLEEPS], f"that of {proof.name}")
    assert list(rows(page)) == ["echo", "sleeps"]
    assert not_run(page) == ["fails"]
    assert page.count(MACHINE) == 1
    assert f"{MACHINE}that of echo." in page
    assert not_run(with_row(page, FAILS, "| `fails` | x |", [ECHO, FAILS, SLEEPS], "it")) == []


def test_what_there_is_can_be_listed_and_what_is_not_is_refused() -> None:
    command = [sys.executable, "-m", "testing.proof"]
    listed = subprocess.run([*command, "--list"], cwd=program.ROOT, capture_output=True, text=True)
    assert listed.returncode == 0
    assert all(proof.name in listed.stdout for proof in load())
    refused = subprocess.run([*command, "no-such"], cwd=program.ROOT, capture_output=True, text=True)
    assert refused.returncode == 2
    assert "no such proof: no-such" in refused.stderr
