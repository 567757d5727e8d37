"""The commands besides the worker itself, one file each, found by looking into this folder."""

import importlib
import pkgutil

from unified_indexer.command_line.command import Command


def find() -> dict[str, Command]:
    """Return the `COMMAND` of each file in this folder, by name."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    found: list[Command] = [importlib.import_module(f"{__name__}.{name}").COMMAND for name in names]
    return {command.name: command for command in sorted(found, key=lambda command: command.name)}


COMMANDS = find()
