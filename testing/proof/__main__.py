"""`python -m testing.proof [NAME …]`: runs the long proofs one after the other; exit code 1 if one of them failed.

--list   says what there is, and how long it may take
--write  puts each result, and the machine, into docs/proof.md as soon as it is there; refused where the checkout has changes,
         because the commit would then not be what ran
The whole output of a proof is in build/proof/NAME.log.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import hardware
from testing.proof import PAGE, ROOT, Proof, load, with_row

LOGS = ROOT / "build" / "proof"
FAILED = "**failed**"


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def _changed() -> list[str]:
    """Files that are not as they were committed; the page itself does not count."""
    lines = _git("status", "--porcelain", "--untracked-files=no").splitlines()
    return [name for line in lines if (name := line.split()[-1]) != str(PAGE.relative_to(ROOT))]


def _run(proof: Proof, log: Path) -> tuple[bool, float]:
    """Whether it passed, and the seconds that it took. What is too long is ended, with all that it started."""
    began = time.monotonic()
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    with log.open("w", encoding="utf-8") as output:
        child = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", proof.command],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(timeout=3600 * proof.hours)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            if isinstance(error, KeyboardInterrupt):
                raise
            output.write(f"\nnot done after {proof.hours} hours\n")
            code = 1
    return code == 0, time.monotonic() - began


def _prove(proof: Proof, *, write: bool) -> bool:
    """Runs one, tells its result, and puts it into the page if asked to."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{proof.name}.log"
    begun = datetime.now(UTC)
    print(f"{begun:%H:%M} {proof.name}: {proof.shows}", flush=True)
    passed, seconds = _run(proof, log)
    output = log.read_text(encoding="utf-8", errors="replace")
    told = proof.result(output) or (output.strip().splitlines() or ["it said nothing"])[-1]
    result = " ".join((told if passed else f"{FAILED}: {told}").replace("|", "/").split())
    took = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
    print(f"      {result} ({took}, {log.relative_to(ROOT)})", flush=True)
    if write:
        commit = _git("rev-parse", "--short", "HEAD")
        machine = f"{hardware()}, Python {platform.python_version()}"
        row = f"| `{proof.name}` | {proof.shows} | {result} | {commit} | {begun:%Y-%m-%d %H:%M} | {took} |"
        PAGE.write_text(with_row(PAGE.read_text(encoding="utf-8"), proof, row, load(), machine), encoding="utf-8")
    return passed


def main() -> int:
    """Runs what is asked for; returns the exit code."""
    proofs = {proof.name: proof for proof in load()}
    parser = argparse.ArgumentParser(prog="python -m testing.proof", description="The long proofs of the whole program.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; default: all")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--write", action="store_true", help=f"put the results into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    if unknown := set(options.names) - set(proofs):
        parser.error(f"no such proof: {', '.join(sorted(unknown))} (--list says what there is)")
    if options.list:
        for proof in proofs.values():
            print(f"{proof.name:<24} up to {proof.hours:g} h  {proof.command}")
        return 0
    if options.write and (changed := _changed()):
        parser.error(f"--write needs a checkout without changes: {', '.join(changed)}")
    passed = [_prove(proofs[name], write=options.write) for name in options.names or proofs]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
