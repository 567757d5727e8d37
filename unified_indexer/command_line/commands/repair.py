"""The command `unified_worker.py repair`: have repos fetched whole and their rows corrected, or see what that would change."""

from argparse import ArgumentParser, Namespace

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.repair_run import RepairNow
from unified_indexer.command_line.signals import Words, until_signal
from unified_indexer.command_line.stdout import say
from unified_indexer.config.settings import Config
from unified_indexer.database.repair import listings, queue
from unified_indexer.database.schema.session import session
from unified_indexer.errors import OperatorError
from unified_indexer.protocol.syntax import is_did

DESCRIPTION = """\
Fetch whole repos from their hosts, compare them with the rows, and correct what differs, deletions included.
A running worker does it (BACKFILL=repair or network): the command only notes which repos are wanted, and returns.
With --now the command does it itself, one repo after the other; a worker may run.
With --check-only it fetches and compares, prints what differs, and changes nothing.
Exit code with these two: 0 if every repo is right or repaired, otherwise 1."""

WORDS = Words("stopping", "The database did not finish the current step within %.0f s: it is unchanged")
PART = 1_000  # repos


def add_options(parser: ArgumentParser) -> None:
    """Add which repos, and what is done with them."""
    parser.add_argument("dids", metavar="DID", nargs="*", help="the accounts")
    parser.add_argument("--desynchronised", action="store_true", help="all repos in which something is known to be missing")
    parser.add_argument("--gap", metavar="N", type=int, help="all repos that have changed since the gap with this number began")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--now", action="store_true", help="do it in this command")
    how.add_argument("--check-only", action="store_true", help="print what differs, and change nothing")


async def run(config: Config, options: Namespace) -> int:
    """Note which repos are wanted, or repair or compare them; return the exit code."""
    dids: list[str] = list(dict.fromkeys(options.dids))
    faults = [f"{did[:80]!r} is no DID; write one like did:plc:ewvi7nxzyoun6zhxrhs64oiz" for did in dids if not is_did(did)]
    if sum((bool(dids), options.desynchronised, options.gap is not None)) != 1:
        faults.append("write DIDs, or --desynchronised, or --gap N")
    if options.gap is not None and (options.now or options.check_only):
        faults.append("--gap is for a running worker; leave --now and --check-only out")
    if faults:
        raise OperatorError(faults)
    if options.now or options.check_only:
        return await _now(config, dids or await _lacking(config), check_only=options.check_only)
    async with session(config.database_url, "repair", prepares=True) as (_, connection, _):
        if options.gap is not None:
            if not await listings.has_gap(connection, options.gap):
                raise OperatorError([f"there is no gap {options.gap}; the table unified_worker.gaps lists them"])
            await listings.ask(connection, listings.Kind.GAP, str(options.gap))
            say("The repos that have changed since then are looked for, and fetched.")
        elif options.desynchronised:
            say(f"Wanted: {await queue.hurry(connection):,} repos.")
        else:
            say(f"Wanted: {await queue.want(connection, dids, 'asked', queue.ASKED):,} repos.")
        say("A running worker fetches them, unless BACKFILL=off; `status --did` shows the state of each.")
    return 0


async def _lacking(config: Config) -> list[str]:
    found: list[str] = []
    async with session(config.database_url, "repair", prepares=True) as (_, connection, _):
        while part := await queue.lacking(connection, found[-1] if found else "", PART):
            found += part
    return found


async def _now(config: Config, dids: list[str], *, check_only: bool) -> int:
    if not dids:
        say("Nothing is known to be missing.")
        return 0
    repairing = RepairNow(config, dids, check_only=check_only)
    await until_signal(repairing, WORDS)
    return 0 if repairing.sound else 1


COMMAND = Command(
    name="repair",
    summary="fetch repos whole, compare and correct their rows",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    needs=(
        "LOG_LEVEL",
        *("COLLECTIONS", "NOTIFY_REPAIRED", "PLC_URL", "PLC_RATE", "IDENTITY_TTL", "ALLOW_PRIVATE_HOSTS", "DNS_SERVERS"),
    ),
)
