"""The command `unified_worker.py psql`: a terminal on the configured or the embedded database."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from unified_indexer.command_line.command import Command
from unified_indexer.config.libpq import environment_of
from unified_indexer.config.settings import Config
from unified_indexer.embedded import psql

DESCRIPTION = """\
Open psql on the database of DATABASE_URL, or on the embedded one, whether or not a worker is running.
The password goes to psql in its environment, so that it is in no list of processes.
What follows -- is for psql: psql -- -c 'SELECT count(*) FROM posts'.
Exit code: that of psql; 2 if psql is not installed."""


def add_options(parser: ArgumentParser) -> None:
    """Add what is handed to psql."""
    parser.add_argument("arguments", metavar="ARGUMENT", nargs="*", help="for psql, after --")


async def run(config: Config, options: Namespace) -> int:
    """Run psql until it ends; return its exit code."""
    program = psql.find(embedded=options.embedded is not None)
    beside = f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"  # \\! pg_dump: of psql's own version
    return await psql.run(program, options.arguments, environment_of(config.database_url) | {"PATH": beside})


COMMAND = Command(
    name="psql",
    summary="open psql on the database",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
)
