"""The command line: what `python unified_worker.py` takes."""

import argparse
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.config import SETTINGS
from indexer.version import VERSION

EMBEDDED_DIR = Path("data/postgres")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line, read. `embedded` is the folder of the embedded PostgreSQL, None: DATABASE_URL."""

    embedded: Path | None
    reset_cursor: bool


def parse(argv: Sequence[str]) -> Arguments:
    """The arguments after the program's name. Exits with 0 after --help and --version, with 2 on anything unknown."""
    parser = argparse.ArgumentParser(
        prog="unified_worker.py",
        description="Follows a relay's event stream and writes it into PostgreSQL, one transaction per repo commit.",
        epilog=_settings(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unified_worker {VERSION}")
    parser.add_argument(
        "--embedded",
        metavar="DIR",
        nargs="?",
        type=Path,
        const=EMBEDDED_DIR,
        help=f"run a PostgreSQL of its own, with its data in DIR (./{EMBEDDED_DIR}), instead of using DATABASE_URL",
    )
    parser.add_argument(
        "--reset-cursor", action="store_true", help="forget the stored cursor of this relay and start from CURSOR instead"
    )
    options = parser.parse_args(argv)
    return Arguments(embedded=options.embedded, reset_cursor=options.reset_cursor)


def _settings() -> str:
    paragraphs = ["settings, from the environment or from .env in the working directory (the environment wins):"]
    for setting in SETTINGS:
        default = f"[{setting.default}] " if setting.default else ""
        meaning = textwrap.fill(default + setting.meaning, 96, initial_indent=" " * 22, subsequent_indent=" " * 22)
        paragraphs.append(f"  {setting.name:<20}{meaning[22:]}")
    return "\n".join(paragraphs)
