"""The command `unified_worker.py config check`: what a start would refuse or warn of, without starting."""

from argparse import ArgumentParser, Namespace

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.stdout import say
from unified_indexer.config.settings import SETTINGS, Config

DESCRIPTION = """\
Look at all that a start needs, side by side, and write nothing anywhere: the settings; the database (connection, rights,
version, schema, settings that would do harm) and who has its lock; its disk; the relay, until its first event; the directory;
the name servers; the address of the page. A line each: ok, warning (a start says it too, or waits until it has passed) or fault
(a start is refused), with what to do. No line shows a password. A host that is dead costs ten seconds, for all at once.
Exit code: 0 if nothing would refuse a start, 2 otherwise."""


def add_options(parser: ArgumentParser) -> None:
    """Add what is done, and --restart."""
    parser.add_argument("action", choices=("check",), help="what to do: look at everything")
    parser.add_argument(
        "--restart",
        action="store_true",
        help="the worker that runs here will be stopped before the start: its lock and its address are no faults",
    )


async def run(config: Config, options: Namespace) -> int:
    """Print a line for each thing; return 2 if one of them would refuse a start."""
    from unified_indexer.command_line.looking import Looking  # and with it what a start imports when it is needed

    found = await Looking(config, options.embedded, restart=options.restart).findings()
    say(*(f"{finding.state:<9}{finding.part:<11}{finding.text}" for finding in found))
    faults = sum(finding.state == "fault" for finding in found)
    say(f"A start would be refused: {faults} fault{'s' * (faults > 1)}." if faults else "Nothing here would refuse a start.")
    return 2 if faults else 0


COMMAND = Command(
    name="config",
    summary="check: look at settings, database, relay, directory and names, without a start",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    needs=tuple(setting.name for setting in SETTINGS if setting.name != "DATABASE_URL"),
    only_looks=True,
)
