"""What each file of commands/ provides: the command's name, its options, and its function."""

from argparse import ArgumentParser, Namespace
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from unified_indexer.config.settings import Config


def no_options(parser: ArgumentParser) -> None:
    """Add no options, for a command that has none of its own."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command, `unified_worker.py NAME`. `run` gets the settings and the options that `add_options` declared; it returns
    the exit code.

    An OperatorError that it raises exits with 2, a Stop with 1. `--embedded` is every command's; `summary` is a line, for
    the worker's own --help; `needs` names the settings that it uses besides DATABASE_URL. `only_looks`: it is run with faults
    in the settings too, and nothing is started for it.
    """

    name: str
    summary: str
    description: str
    run: Callable[[Config, Namespace], Awaitable[int]]
    add_options: Callable[[ArgumentParser], None] = no_options
    needs: tuple[str, ...] = ("LOG_LEVEL",)
    only_looks: bool = False
