"""The collector of cycles does not stop the worker to look through what its imports made."""

import subprocess
import sys

from testing.processes import ROOT
from unified_indexer.collector import YOUNG

COMMAND = """
import atexit, gc, sys
import unified_worker
atexit.register(lambda: print("found", gc.get_freeze_count(), gc.get_threshold()[0]))
sys.argv = ["unified_worker.py", "config", "check"]
unified_worker.main()
"""


def test_what_the_imports_made_is_left_out_and_the_rest_is_looked_through_less_often() -> None:
    command = subprocess.run([sys.executable, "-c", COMMAND], cwd=ROOT, capture_output=True, text=True, check=False)
    (found,) = (line for line in command.stdout.splitlines() if line.startswith("found "))
    _, frozen, young = found.split()
    assert int(frozen) > 50_000
    assert int(young) == YOUNG
