"""The command `unified_worker.py dead-letters`: what could not be applied, to be looked at, applied again, or dropped."""

import logging
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from indexer.command_line.command import Command
from indexer.command_line.retry_run import Retrying
from indexer.command_line.signals import Words, until_signal
from indexer.command_line.stdout import say, say_bytes
from indexer.command_line.texts import dead_letters
from indexer.config.settings import Config
from indexer.database.dead_letters import queries
from indexer.database.dead_letters.queries import Choice, Dropped, Letter
from indexer.database.schema.session import session
from indexer.errors import OperatorError, Stop
from indexer.protocol.syntax import is_did

log = logging.getLogger(__name__)

DESCRIPTION = """\
What could not be applied is kept, with its reason and, within bounds, its raw frame. `list` shows the newest, `show` all of one
with what its frame says. `retry` applies frames again with the code of now, each commit in a transaction of its own, beside a
running worker; letters of one commit and reason go together. `drop` deletes letters. --embedded DIR comes before these words.
Exits with 0; 1 where a letter is not there, or where some remain after a retry; 2 for what can't be used as it is written."""

NAME = "dead-letters"
SHOWN = 50  # letters, unless asked for more
LARGEST = 2**63 - 1
UNNAMED = "unnamed_"  # before the names of the options that stand where no word says what to do: `list` is meant
WORDS = Words("stopping after the commit in hand", "The database did not finish within %.0f s: that commit is as it was")


def add_options(parser: ArgumentParser) -> None:
    """What to do, and with which letters."""
    doing = parser.add_subparsers(dest="doing", metavar="list|show|retry|drop")
    listing = doing.add_parser("list", help="the newest letters, and how many there are of each reason (the default)")
    _add_listing(listing, "")
    _add_listing(parser, UNNAMED)
    showing = doing.add_parser("show", help="all of one letter, and what its frame says")
    showing.add_argument("id", type=_number)
    showing.add_argument("--json", action="store_true", help="as a line of JSON, the frame in base64")
    showing.add_argument("--raw", metavar="FILE", help="write the raw frame there, - for stdout, and say nothing else")
    retrying = doing.add_parser("retry", help="apply kept frames again, all or some")
    retrying.add_argument("id", nargs="?", type=_number, help="this letter, with those of its commit and reason")
    _add_choice(retrying)
    dropping = doing.add_parser("drop", help="delete letters, and frames that no other letter needs")
    dropping.add_argument("ids", metavar="id", nargs="*", type=_number)
    dropping.add_argument("--reason", help="all letters of this reason; asks for --yes")
    dropping.add_argument("--yes", action="store_true")


def _did(text: str) -> str:
    if not is_did(text):
        raise ArgumentTypeError(f"{text[:40]!r} is no DID")
    return text


def _add_listing(parser: ArgumentParser, before: str) -> None:
    """What `list` takes. `before`: what their names in the options begin with."""
    _add_choice(parser, before)
    parser.add_argument("--limit", dest=f"{before}limit", metavar="N", type=_number, help=f"so many letters at most ({SHOWN})")
    parser.add_argument(
        "--json", dest=f"{before}json", action="store_true", help="a line of JSON a letter, without the summary"
    )


def _add_choice(parser: ArgumentParser, before: str = "") -> None:
    parser.add_argument("--reason", dest=f"{before}reason", metavar="REASON", help="those of this reason alone")
    parser.add_argument("--did", dest=f"{before}did", metavar="DID", type=_did, help="those of this account alone")


def _number(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST:
        raise ArgumentTypeError(f"{text[:40]!r} is no id or number")
    return int(text)


async def run(config: Config, options: Namespace) -> int:
    """Does it; the exit code."""
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
            raise OperatorError([f"dead-letters: --{option} stands before {options.doing!r}; write it after that word"])


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
        raise Stop(f"the frame of dead letter {letter.id} was dropped: the bounds were reached")
    if path == "-":
        say_bytes(frame)
        return
    try:
        Path(path).write_bytes(frame)
    except OSError as error:
        raise OperatorError([f"--raw: {path} can't be written ({error.strerror}): name another file"]) from None


async def _retry(config: Config, options: Namespace) -> int:
    chosen = Choice(options.reason, options.did) if options.id is None else options.id
    if options.id is not None and (options.reason or options.did):
        raise OperatorError(["dead-letters retry takes an id, or --reason and --did, not both"])
    retrying = Retrying(config, chosen)
    await until_signal(retrying, WORDS)
    say(*retrying.told())
    return 0 if retrying.all_applied else 1


async def _drop(config: Config, options: Namespace) -> int:
    if bool(options.ids) == (options.reason is not None):
        raise OperatorError(["dead-letters drop takes ids, or --reason with --yes: name the letters to delete"])
    if options.reason is not None and not options.yes:
        raise OperatorError([f"dead-letters drop --reason {options.reason} deletes all of them: add --yes if that is meant"])
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
    summary="what could not be applied: list, show, retry, drop",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    needs=("COLLECTIONS", "LOG_LEVEL"),
)
