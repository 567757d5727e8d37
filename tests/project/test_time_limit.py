"""A test that hangs is ended by its time limit, which names it."""

import subprocess
import sys
from pathlib import Path

from testing.documents import ROOT

HANGS = """
import asyncio

async def test_that_never_ends():
    await asyncio.Event().wait()
"""


def test_a_test_that_hangs_is_ended_and_named(tmp_path: Path) -> None:
    path = tmp_path / "test_hangs.py"
    path.write_text(HANGS)
    options = (
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-c",
        str(ROOT / "pyproject.toml"),
        "-o",
        "timeout=1",
    )
    command = [sys.executable, "-m", "pytest", *options, str(path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "_ test_that_never_ends _" in done.stdout
    assert "Timeout (>1.0s)" in done.stdout
