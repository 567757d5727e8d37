"""The command line of `unified-worker`, or `python unified_worker.py`."""

import argparse
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unified_indexer.command_line import program_name
from unified_indexer.command_line.command import Command
from unified_indexer.command_line.commands import COMMANDS
from unified_indexer.config.environment import in_file
from unified_indexer.config.settings import SECRETS, SETTINGS
from unified_indexer.relay.until import Until
from unified_indexer.version import VERSION

EMBEDDED_DIR = Path("data/postgres")
MOST_PARTITIONS = 32  # each is locked for a look-up by URI, and a server has 64 locks for each connection that it allows


@dataclass(frozen=True, slots=True)
class Arguments:
    """The parsed command line. `embedded` is the folder of the embedded PostgreSQL (None: use DATABASE_URL). `command` is
    None for the worker itself; `options` belong to the worker or the command."""

    embedded: Path | None
    options: argparse.Namespace
    command: Command | None = None


def parse(argv: Sequence[str]) -> Arguments:
    """Parse the arguments after the program's name. Exits with 0 after --help and --version, with 2 on anything unknown."""
    command = COMMANDS.get(argv[0]) if argv else None
    if command is not None:
        options = _of_command(command).parse_args(argv[1:])
        options.tree = tree
        return Arguments(options.embedded, options, command)
    parser = _of_worker()
    if argv and not argv[0].startswith("-"):
        parser.error(f"unknown command {argv[0][:40]!r}: write one of {', '.join(COMMANDS)}, or no command to run the worker")
    options = parser.parse_args(argv)
    return Arguments(options.embedded, options)


def tree() -> tuple[dict[str, argparse.ArgumentParser], dict[str, str]]:
    """Every parser by its command's name, the worker's own first (its name is empty); and each command's line."""
    parsers = {"": _of_worker()} | {name: _of_command(command) for name, command in COMMANDS.items()}
    return parsers, {name: command.summary for name, command in COMMANDS.items()}


def _of_command(command: Command) -> argparse.ArgumentParser:
    needs = ("DATABASE_URL", *command.needs) if command.needs or not command.only_looks else ()
    which = "all settings" if len(needs) == len(SETTINGS) else f"the settings {' and '.join(needs)}" if needs else "no setting"
    parser = _parser(prog=f"{program_name.name()} {command.name}", description=command.description, epilog=f"It uses {which}.")
    command.add_options(parser)
    return parser


def _of_worker() -> argparse.ArgumentParser:
    parser = _parser(
        prog=program_name.name(),
        description="Follow a relay's event stream and write it into PostgreSQL, one transaction per repo commit.",
        epilog=f"{_commands()}\n\n{_settings()}",
    )
    parser.add_argument("--version", action="version", version=f"{program_name.INSTALLED} {VERSION}")
    parser.add_argument(
        "--reset-cursor", action="store_true", help="remove the stored cursor of this relay, and start from CURSOR instead"
    )
    parser.add_argument(
        "--hold",
        action="store_true",
        help="if an operator must decide (exit code 1): report it, in /readyz too, and wait for a signal instead of exiting; "
        "for supervisors that restart the worker whatever its exit code, like Docker",
    )
    parser.add_argument(
        "--standby", action="store_true", help="like STANDBY=on: wait for another worker's end, and take its place"
    )
    parser.add_argument(
        "--until",
        metavar="SEQ|TIME",
        type=_until,
        help="end, with exit code 0, when all events up to this seq, or this time of the stream (2026-11-29T22:00:00Z), are in "
        "the database and the cursor is stored there",
    )
    parser.add_argument(
        "--partitions",
        metavar="N",
        type=_partitions,
        default=0,
        help="at the first start, on an empty database: divide likes, reposts, follows, blocks and list_blocks into N tables "
        f"each, by the hash of the author's DID (2 to {MOST_PARTITIONS})",
    )
    return parser


def _until(text: str) -> Until:
    try:
        return Until(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser(prog: str, description: str, epilog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--embedded",
        metavar="DIR",
        nargs="?",
        type=Path,
        const=EMBEDDED_DIR,
        help=f"run an embedded PostgreSQL, with its data in DIR (./{EMBEDDED_DIR}), instead of using DATABASE_URL",
    )
    return parser


def _partitions(text: str) -> int:
    if not text.isdecimal() or not 2 <= int(text) <= MOST_PARTITIONS:
        raise argparse.ArgumentTypeError(f"write a whole number from 2 to {MOST_PARTITIONS}")
    return int(text)


def _commands() -> str:
    lines = ["commands, as the first word (each has its own --help):"]
    return "\n".join([*lines, *(f"  {command.name:<20}{command.summary}" for command in COMMANDS.values())])


def _settings() -> str:
    files = f"{', '.join(map(in_file, SECRETS))}: the path of a file that holds the value in place of the variable."
    paragraphs = [
        "settings, from the environment or from .env in the working directory (the environment has priority);",
        f"{files}\n",
    ]
    for setting in SETTINGS:
        default = f"[{setting.default}] " if setting.default else ""
        meaning = textwrap.fill(default + setting.meaning, 96, initial_indent=" " * 22, subsequent_indent=" " * 22)
        # A name that reaches into the column of the meanings has a line of its own, as argparse does it.
        paragraphs.append(f"  {setting.name:<20}{meaning[22:]}" if len(setting.name) < 20 else f"  {setting.name}\n{meaning}")
    return "\n".join(paragraphs)
