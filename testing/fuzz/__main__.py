"""`python -m testing.fuzz [--target NAME] [--seconds N]`: coverage-guided fuzzing by atheris (requirements-fuzz.txt).

Each target runs in a process of its own, from a corpus made anew in a temporary folder. The exit code is 1 if anything was
found; the inputs stay then, and the log names them.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

NAMES = ("frame", "car", "record", "tree", "proof", "repo")
MOST_BYTES = 2**16
MEGABYTES = 1024  # of the fuzzing process as a whole, with its corpus and its counters; a single allocation: 100 MB
RECORDED = "recorded frames among them"
ABSENT = "WITHOUT recorded frames: ../shared/data/real_frames is absent"
MISSING = "atheris is not installed: pip install -r requirements-fuzz.txt (it has no wheels for every Python and platform)"


def _fuzz(target: str, seconds: int, folder: Path) -> None:
    """Runs one target in this process, and ends it. What atheris watches has to be imported under its eyes."""
    library: Any = import_module("atheris")
    with library.instrument_imports(include=["unified_indexer"]):
        from testing.fuzz.mutations import changed, mutate
        from testing.fuzz.targets import TARGETS, within_bounds
    from testing.fuzz import corpus

    seeds = folder / "corpus"
    seeds.mkdir()
    count, real = corpus.write(target, seeds)
    print(f"{target}: {count} seeds, {RECORDED if real else ABSENT}", flush=True)

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = Random(seed)
        if target in ("frame", "proof") and rng.random() < 0.5:
            return mutate(data, rng)[:max_size]
        return changed(data, rng)[:max_size] if rng.random() < 0.1 else library.Mutate(data, max_size)

    def one(data: bytes) -> None:
        within_bounds(TARGETS[target], data)

    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MOST_BYTES}",
        f"-rss_limit_mb={MEGABYTES}",
        "-malloc_limit_mb=100",
        "-timeout=60",  # by the clock, and a machine may have other work; `within_bounds` judges by CPU
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    library.Setup([sys.argv[0], *options, str(seeds)], one, custom_mutator=mutator)
    library.Fuzz()


def _run(target: str, seconds: int) -> bool:
    """Fuzzes a target in a child; whether nothing was found."""
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{target}-"))
    command = [sys.executable, "-m", "testing.fuzz", "--target", target, "--seconds", str(seconds), "--inside", str(folder)]
    log = folder / "log"
    with log.open("w") as output:
        child = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    text = log.read_text(errors="replace")
    told = [line for line in text.splitlines() if "seeds" in line or "number_of_executed_units" in line or "peak_rss" in line]
    print("\n".join(dict.fromkeys(told)))
    if child.returncode == 0:
        shutil.rmtree(folder)
        return True
    print(f"{target}: FOUND SOMETHING (exit {child.returncode}); the input and the log stay in {folder}\n{text[-3000:]}")
    return False


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m testing.fuzz", description="Fuzzes what decodes the network's bytes.")
    parser.add_argument("--target", choices=NAMES, help="only this one")
    parser.add_argument("--seconds", type=int, default=150, help="for each target (150)")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        _fuzz(options.target, options.seconds, options.inside)
        return 0
    if find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 2
    clean = [_run(name, options.seconds) for name in NAMES if options.target in (None, name)]
    print(f"{sum(clean)} of {len(clean)} targets: nothing found in {options.seconds:,} seconds each")
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
