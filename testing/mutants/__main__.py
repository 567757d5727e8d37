"""`python -m testing.mutants [NAME …]`: puts each bug into a copy of the project and expects the tests that it names to fail.

First those tests run without any bug, and must pass. The exit code is 1 if one did not, or if a mutant survived. Each process
has a copy, with one bug at a time, so that Python compiles what is not changed once.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count, repeat
from pathlib import Path
from queue import SimpleQueue

from testing.mutants import ROOT, Mutant, load

LEFT_OUT = shutil.ignore_patterns(
    ".git", ".env", ".venv*", ".*_cache", ".hypothesis", ".coverage", "__pycache__", "data", "build", "*.egg-info"
)
PATIENCE = 180.0  # seconds for the tests of one mutant; one that makes them hang is found, too
GRACE = 20.0  # seconds for pytest to end its servers
PASSED, FAILED = 0, 1  # pytest's exit codes
CHANGES = count(
    int(time.time())
)  # seconds: each file that changes is of another one, or Python would take what it compiled before


def _pytest(root: Path, tests: list[str], *options: str, patience: float | None = None) -> tuple[int | None, str]:
    """Runs these tests in a copy; the exit code (None: not done in time), and what was written."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, *tests]
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(root.parent / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile("w+") as output:
        child = subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = child.wait(patience)
        except subprocess.TimeoutExpired:
            code = None
            child.send_signal(signal.SIGINT)
            try:
                child.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        output.seek(0)
        return code, output.read()


def _failed(output: str) -> list[str]:
    """The tests that failed, as pytest's last lines name them."""
    return [
        line.split(" - ")[0].split(maxsplit=1)[1]
        for line in output.splitlines()
        if line.startswith(("FAILED tests", "ERROR tests"))
    ]


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    changed = next(CHANGES)
    os.utime(path, (changed, changed))


def _judge(mutant: Mutant, copies: "SimpleQueue[Path]") -> bool | None:
    """Whether the tests find this bug, None if they are all skipped here; tells it."""
    copy = copies.get()
    file, sound = copy / mutant.file, (ROOT / mutant.file).read_text(encoding="utf-8")
    start = time.monotonic()
    try:
        _write(file, mutant.applied(ROOT))
        code, output = _pytest(copy, list(mutant.tests), "-x", patience=PATIENCE)
    finally:
        _write(file, sound)
        shutil.rmtree(copy / ".hypothesis", ignore_errors=True)  # what it remembers of this bug
        copies.put(copy)
    skipped = code == PASSED and " passed" not in output
    verdicts = {FAILED: f"killed by {next(iter(_failed(output)), '?')}", None: "killed, for the tests hung", PASSED: "SURVIVED"}
    verdict = "NOT JUDGED: its tests are skipped here" if skipped else verdicts.get(code, f"BROKEN (pytest: {code})")
    print(f"{mutant.name:34} {verdict}, {time.monotonic() - start:.0f} s", flush=True)
    if code not in (FAILED, None):
        print(f"    {mutant.why}\n{output[-2000:]}", flush=True)
    return None if skipped else code in (FAILED, None)


def _unsound(tests: list[str], copy: Path, processes: int) -> list[str] | None:
    """The tests that fail where there is no bug, None if pytest broke off; tells them, and what is skipped."""
    code, output = _pytest(copy, tests, "-n", str(processes), "--dist", "loadfile", "-rfEs")
    print("\n".join(line for line in output.splitlines() if line.startswith("SKIPPED")))
    if code != PASSED:
        print(f"Without any bug these tests don't all pass:\n{output[-5000:]}", flush=True)
    return None if code not in (PASSED, FAILED) else _failed(output)


def main() -> int:
    mutants = load()
    parser = argparse.ArgumentParser(prog="python -m testing.mutants", description="Has the tests find known small bugs.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("-n", type=int, default=2, dest="processes", help="side by side (2)")
    options = parser.parse_args()
    if unknown := set(options.names) - {mutant.name for mutant in mutants}:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}")
    chosen = [mutant for mutant in mutants if not options.names or mutant.name in options.names]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as name, ThreadPoolExecutor(options.processes) as threads:
        copies = SimpleQueue[Path]()
        for number in range(options.processes):
            copies.put(Path(shutil.copytree(ROOT, Path(name) / str(number), ignore=LEFT_OUT)))
        tests = sorted({test for mutant in chosen for test in mutant.tests})
        unsound = _unsound(tests, Path(name) / "0", options.processes)
        if unsound is None:
            return 1
        print(
            f"{len(tests) - len(unsound)} of {len(tests)} tests pass without a bug, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        # A test that fails anyway tells nothing. Its mutants are not judged, and all others are.
        judged = [mutant for mutant in chosen if not any(bad.startswith(test) for bad in unsound for test in mutant.tests)]
        for mutant in chosen:
            if mutant not in judged:
                print(f"{mutant.name:34} NOT JUDGED: a test of it fails without a bug", flush=True)
        verdicts = list(threads.map(_judge, judged, repeat(copies)))
    minutes = (time.monotonic() - start) / 60
    print(f"{verdicts.count(True)} of {len(chosen)} mutants killed, {minutes:.1f} minutes")
    return 1 if False in verdicts or unsound else 0


if __name__ == "__main__":
    sys.exit(main())
