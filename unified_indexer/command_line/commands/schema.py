"""The command `unified_worker.py schema`: print what a start makes in an empty database, as SQL or as a diagram."""

from argparse import ArgumentParser, Namespace

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.stdout import say
from unified_indexer.config.settings import Config
from unified_indexer.database.schema.printed import ddl, diagram

DESCRIPTION = """\
Print the SQL of the tables and indexes that the worker makes in an empty database, its bookkeeping included.
It is for reading: the worker makes all of it at its start. No database is asked."""


def add_options(parser: ArgumentParser) -> None:
    """Add what is printed."""
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--functions", action="store_true", help="print the functions, procedures and views too")
    what.add_argument(
        "--diagram", action="store_true", help="print a Mermaid diagram of the record tables instead: keys, and who names whom"
    )


async def run(_config: Config, options: Namespace) -> int:
    """Print it on stdout; return 0."""
    say(diagram() if options.diagram else ddl(with_functions=options.functions))
    return 0


COMMAND = Command(
    name="schema",
    summary="print the tables that the worker makes, as SQL or as a diagram",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    only_looks=True,
)
