"""The command `unified_worker.py dead-letters`: list, show, retry or drop what could not be applied."""

import logging
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.retry_run import Retrying
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.command_line.stdout import say, say_bytes
from unified_indexer.command_line.texts import dead_letters
from unified_indexer.config.settings import Config
from unified_indexer.database.dead_letters import queries
from unified_indexer.database.dead_letters.queries import Choice, Dropped, Letter
from unified_indexer.database.schema.session import session
from unified_indexer.errors import OperatorError, Stop
from unified_indexer.protocol.syntax import is_did

log = logging.getLogger(__name__)

DESCRIPTION = """\
The worker keeps what it could not apply, with its reason and, while there is room, its raw frame.
`list` shows the newest letters, `show` everything about one, with the content of its frame.
`retry` applies frames again with the current code, each commit in its own transaction; letters of one commit and reason are
applied together. It works while a worker runs, and without one. `drop` deletes letters.
Write --embedded DIR before these words.
Exit code: 0; 1 if a letter does not exist, or if some remain after a retry; 2 if the command or a setting is unusable."""

NAME = "dead-letters"
SHOWN = 50  # letters, unless asked for more
LARGEST = 2**63 - 1
UNNAMED = "unnamed_"  # before the names of the options that stand where no word says what to do: `list` is meant
WORDS = Words("stopping after the current commit", "The database did not finish within %.0f s: the current commit is unchanged")


def add_options(parser: ArgumentParser) -> None:
    """Add the actions, and the options that choose letters."""
    doing = parser.add_subparsers(dest="doing", metavar="list|show|retry|drop")
    listing = doing.add_parser("list", help="show the newest letters, and how many there are per reason (the default)")
    _add_listing(listing, "")
    _add_listing(parser, UNNAMED)
    showing = doing.add_parser("show", help="show everything about one letter, and the content of its frame")
    showing.add_argument("id", type=_number)
    showing.add_argument("--json", action="store_true", help="print a line of JSON, with the frame in base64")
    showing.add_argument("--raw", metavar="FILE", help="write only the raw frame, to FILE (-: stdout)")
    retrying = doing.add_parser("retry", help="apply kept frames again, all or some")
    retrying.add_argument("id", nargs="?", type=_number, help="only this letter, with those of the same commit and reason")
    _add_choice(retrying)
    dropping = doing.add_parser("drop", help="delete letters, and frames that no other letter needs")
    dropping.add_argument("ids", metavar="id", nargs="*", type=_number)
    dropping.add_argument("--reason", help="delete all letters of this reason; needs --yes")
    dropping.add_argument("--yes", action="store_true")


def _did(text: str) -> str:
    if not is_did(text):
        raise ArgumentTypeError(f"{text[:40]!r} is not a DID")
    return text


def _add_listing(parser: ArgumentParser, before: str) -> None:
    """What `list` takes. `before`: what their names in the options begin with."""
    _add_choice(parser, before)
    parser.add_argument("--limit", dest=f"{before}limit", metavar="N", type=_number, help=f"show at most N letters ({SHOWN})")
    parser.add_argument(
        "--json", dest=f"{before}json", action="store_true", help="print one line of JSON per letter, without the summary"
    )


def _add_choice(parser: ArgumentParser, before: str = "") -> None:
    parser.add_argument("--reason", dest=f"{before}reason", metavar="REASON", help="only letters of this reason")
    parser.add_argument("--did", dest=f"{before}did", metavar="DID", type=_did, help="only letters of this account")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST:
        raise ArgumentTypeError(f"{text[:40]!r} is not an id or number")
    return int(text)


async def run(config: Config, options: Namespace) -> int:
    """Run the chosen action; return the exit code."""
    if options.doing is not None:
        _refuse_before(options)
    match options.doing:
        case "show":
            return await _show(config, options)
        case "retry":
            return await _retry(config, options)
        case "drop":
            return await _drop(config, options)
        case "list":
            return await _list(config, options, "")
        case _:
            return await _list(config, options, UNNAMED)


def _refuse_before(options: Namespace) -> None:
    """An option before the word would be read for a list that nobody asked for, and change nothing."""
    for name, value in vars(options).items():
        if name.startswith(UNNAMED) and value not in (None, False):
            option = name.removeprefix(UNNAMED)
            raise OperatorError([f"dead-letters: --{option} is written before {options.doing!r}; write it after that word"])


async def _list(config: Config, options: Namespace, before: str) -> int:
    asked = {name: getattr(options, before + name) for name in ("reason", "did", "limit", "json")}
    choice, as_json = Choice(asked["reason"], asked["did"]), bool(asked["json"])
    limit: int = SHOWN if asked["limit"] is None else asked["limit"]
    async with session(config.database_url, NAME) as (_, connection, _):
        reasons = [] if as_json else await queries.summary(connection, choice)
        letters = await queries.newest(connection, choice, limit)
    say(*(map(dead_letters.as_json, letters) if as_json else dead_letters.listed(reasons, letters)))
    return 0


async def _show(config: Config, options: Namespace) -> int:
    async with session(config.database_url, NAME) as (_, connection, _):
        letter = _there(await queries.one(connection, options.id), options.id)
        frame = await queries.frame_of(connection, letter)
    if options.raw is not None:
        _write(options.raw, letter, frame)
    elif options.json:
        say(dead_letters.as_json(letter, frame))
    else:
        say(*dead_letters.shown(letter, frame))
    return 0


def _there(letter: Letter | None, asked: int) -> Letter:
    if letter is None:
        raise Stop(f"there is no dead letter {asked}: it was applied, closed by a later operation, dropped, or never was")
    return letter


def _write(path: str, letter: Letter, frame: bytes | None) -> None:
    if frame is None:
        raise Stop(f"the frame of dead letter {letter.id} was dropped, because there was no more room")
    if path == "-":
        say_bytes(frame)
        return
    try:
        Path(path).write_bytes(frame)
    except OSError as error:
        raise OperatorError([f"--raw: {path} cannot be written ({error.strerror}): name another file"]) from None


async def _retry(config: Config, options: Namespace) -> int:
    chosen = Choice(options.reason, options.did) if options.id is None else options.id
    if options.id is not None and (options.reason or options.did):
        raise OperatorError(["dead-letters retry takes either an id, or --reason and --did"])
    retrying = Retrying(config, chosen)
    await until_signal(retrying, WORDS)
    say(*retrying.report())
    return 0 if retrying.all_applied else 1


async def _drop(config: Config, options: Namespace) -> int:
    if bool(options.ids) == (options.reason is not None):
        raise OperatorError(["dead-letters drop takes either ids, or --reason with --yes: name the letters to delete"])
    if options.reason is not None and not options.yes:
        raise OperatorError([f"dead-letters drop --reason {options.reason} deletes all of them: add --yes if you mean that"])
    total, missing = Dropped(0, 0, 0), []
    async with session(config.database_url, NAME) as (_, connection, _):
        if options.reason is None:
            missing = [letter for letter in options.ids if await queries.one(connection, letter) is None]
            total = await queries.drop(connection, options.ids)
        else:
            async for ids in queries.ids_of(connection, options.reason):
                dropped = await queries.drop(connection, ids)
                total = Dropped(*map(sum, zip(total, dropped, strict=True)))
    say(f"Dropped: letters {total.letters:,}, frames {total.frames:,} ({total.bytes:,} bytes).")
    if missing:
        raise Stop(f"there is no dead letter {', '.join(map(str, missing))}")
    return 0 if total.letters else 1


COMMAND = Command(
    name=NAME,
    summary="list, show, retry or drop what could not be applied",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    needs=("COLLECTIONS", "LOG_LEVEL"),
)
