"""The program's name as operators know it: as it was started, installed or from its folder."""

import sys
from pathlib import Path

INSTALLED = "unified-worker"  # the command that the package installs; a test compares pyproject.toml
SCRIPT = "unified_worker.py"


def name() -> str:
    """The program's name for a line of usage."""
    return INSTALLED if Path(sys.argv[0]).name == INSTALLED else SCRIPT


def line(words: str) -> str:
    """The command to type; `words` follow the program's name."""
    return f"{name()} {words}" if name() == INSTALLED else f"python {SCRIPT} {words}"
