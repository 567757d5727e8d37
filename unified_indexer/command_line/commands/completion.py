"""The command `unified_worker.py completion`: a script by which a shell completes the command line."""

from argparse import ArgumentParser, Namespace

from unified_indexer.command_line.command import Command
from unified_indexer.command_line.stdout import say
from unified_indexer.command_line.texts.completion import SCRIPTS
from unified_indexer.command_line.tree import nodes
from unified_indexer.config.settings import Config

DESCRIPTION = """\
Print a script by which a shell completes commands and options. For this shell: source <(unified-worker completion bash), or
zsh; in fish: unified-worker completion fish | source. For each new one, write it to
~/.local/share/bash-completion/completions/unified-worker, to _unified-worker in a folder of $fpath, or to
~/.config/fish/completions/unified-worker.fish."""


def add_options(parser: ArgumentParser) -> None:
    """Add the shell's name."""
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="whose script to print")


async def run(config: Config, options: Namespace) -> int:
    """Print the script; return 0."""
    say(SCRIPTS[options.shell](nodes(*options.tree())).rstrip("\n"))
    return 0


COMMAND = Command(
    name="completion",
    summary="print a script by which bash, zsh or fish completes the command line",
    description=DESCRIPTION,
    run=run,
    add_options=add_options,
    needs=(),
    only_looks=True,
)
