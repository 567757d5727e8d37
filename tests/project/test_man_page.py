"""The man page is what the command line says today."""

import shutil
import subprocess
from pathlib import Path

import pytest

from testing.print_man import text
from unified_indexer.command_line.commands import COMMANDS
from unified_indexer.config.settings import SETTINGS

PAGE = Path(__file__).parents[2] / "deploy" / "man" / "unified-worker.1"


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == text(), "python -m testing.print_man > deploy/man/unified-worker.1"


def test_it_is_laid_out_without_a_warning_and_names_everything() -> None:
    if shutil.which("groff") is None:
        pytest.skip("groff is not installed (Debian: apt-get install groff-base)")
    command = ["groff", "-man", "-Tascii", "-Kutf8", "-ww", "-P-cbu", "-rLL=500n", PAGE]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    missing = {
        name
        for name in (*COMMANDS, *(setting.name for setting in SETTINGS), "--until", "dead-letters retry")
        if name not in done.stdout
    }
    assert missing == set()
