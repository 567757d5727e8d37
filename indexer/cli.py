"""The command line: what `python unified_worker.py` takes."""

import argparse
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexer.config import SETTINGS
from indexer.version import VERSION

EMBEDDED_DIR = Path("data/postgres")
REBUILD = "rebuild-derived"
REBUILD_HELP = """\
Recomputes what follows from records (counts, feed items, quotes, viewer states, thread contexts, notifications, what gates say)
from the tables of records, and corrects what differs: rows that an older application left wrong, or never wrote. Works beside a
running worker as well as without one. Stopped, it goes on from there the next time; only one can run at a time."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """The command line, read. `embedded` is the folder of the embedded PostgreSQL, None: DATABASE_URL. `rebuild`: do that."""

    embedded: Path | None
    reset_cursor: bool = False
    rebuild: bool = False


def parse(argv: Sequence[str]) -> Arguments:
    """The arguments after the program's name. Exits with 0 after --help and --version, with 2 on anything unknown."""
    if argv[:1] == [REBUILD]:
        return _parse_rebuild(argv[1:])
    parser = argparse.ArgumentParser(
        prog="unified_worker.py",
        description="Follows a relay's event stream and writes it into PostgreSQL, one transaction per repo commit.",
        epilog=f"{REBUILD} as the first word: recompute what follows from the records, see {REBUILD} --help\n\n{_settings()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"unified_worker {VERSION}")
    _add_embedded(parser)
    parser.add_argument(
        "--reset-cursor", action="store_true", help="forget the stored cursor of this relay and start from CURSOR instead"
    )
    options = parser.parse_args(argv)
    return Arguments(embedded=options.embedded, reset_cursor=options.reset_cursor)


def _parse_rebuild(argv: Sequence[str]) -> Arguments:
    parser = argparse.ArgumentParser(
        prog=f"unified_worker.py {REBUILD}",
        description=REBUILD_HELP,
        epilog="Of the settings it uses DATABASE_URL and LOG_LEVEL.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_embedded(parser)
    return Arguments(embedded=parser.parse_args(argv).embedded, rebuild=True)


def _add_embedded(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--embedded",
        metavar="DIR",
        nargs="?",
        type=Path,
        const=EMBEDDED_DIR,
        help=f"run a PostgreSQL of its own, with its data in DIR (./{EMBEDDED_DIR}), instead of using DATABASE_URL",
    )


def _settings() -> str:
    paragraphs = ["settings, from the environment or from .env in the working directory (the environment wins):"]
    for setting in SETTINGS:
        default = f"[{setting.default}] " if setting.default else ""
        meaning = textwrap.fill(default + setting.meaning, 96, initial_indent=" " * 22, subsequent_indent=" " * 22)
        paragraphs.append(f"  {setting.name:<20}{meaning[22:]}")
    return "\n".join(paragraphs)
