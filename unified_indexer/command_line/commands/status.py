"""The command `unified_worker.py status`: where the worker is, what was refused and missed, how large the tables are."""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from datetime import datetime

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.stdout import say
from unified_indexer.command_line.texts.status import account_text, status_text
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.status.account import account_status
from unified_indexer.database.status.database import status
from unified_indexer.database.status.read_only import read_only
from unified_indexer.database.status.results import AccountStatus, Status
from unified_indexer.errors import OperatorError
from unified_indexer.protocol.syntax import is_did

DESCRIPTION = """\
Show each relay's cursor and lag, whether its worker runs and how the last run ended, what was refused, gaps, dead letters,
and the rows, bytes and growth of each table. Read-only; works whether or not a worker is running."""


def add_options(parser: ArgumentParser) -> None:
    """Add --did and --json."""
    parser.add_argument("--did", help="show this account instead: its repo, its rows, its dead letters")
    parser.add_argument(
        "--json", action="store_true", help="print JSON: times in ISO 8601, durations in seconds, sizes in bytes"
    )


async def run(config: Config, options: Namespace) -> int:
    """Print the status on stdout; return 0."""
    did: str | None = options.did
    if did is not None and not is_did(did):
        raise OperatorError([f"--did is {did[:80]!r}; write a DID, like did:plc:ewvi7nxzyoun6zhxrhs64oiz"])

    async def ask(connection: Connection, schema: str) -> Status | AccountStatus:
        if did is None:
            return await status(connection, schema)
        return await account_status(connection, schema, did)

    found = await read_only(config.database_url, "status", ask)
    if options.json:
        say(json.dumps(asdict(found), default=datetime.isoformat, indent=2))
    else:
        say(*(status_text(found) if isinstance(found, Status) else account_text(found)))
    return 0


COMMAND = Command(
    name="status",
    summary="show cursor, lag, gaps, refusals, tables and growth; --did: of one account",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
)
