"""The command line as plain values: what completion scripts and the man page are made of."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast


class Option(NamedTuple):
    """`names`: as they are typed. `value`: what follows it, in a word; empty for a switch. `file`: that is a path."""

    names: tuple[str, ...]
    value: str
    file: bool
    help: str


class Word(NamedTuple):
    """A word that may stand there: a command, or what a command is to do."""

    name: str
    help: str


class Node(NamedTuple):
    """One parser. `path`: the words that lead to it; none for the worker's own. `arguments`: what else it takes, by name."""

    path: tuple[str, ...]
    description: str
    options: tuple[Option, ...]
    words: tuple[Word, ...]
    arguments: tuple[Word, ...]


def nodes(parsers: Mapping[str, argparse.ArgumentParser], summaries: Mapping[str, str]) -> list[Node]:
    """Every parser, the worker's (its name is empty) first, and each with those below it."""
    found = [node for name, parser in parsers.items() for node in _nodes((name,) if name else (), parser)]
    root = found[0]._replace(words=tuple(Word(name, summaries[name]) for name in parsers if name))
    return [root, *found[1:]]


def _nodes(path: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Node]:
    options: list[Option] = []
    words: list[Word] = []
    arguments: list[Word] = []
    below: list[Node] = []
    for action in parser._actions:  # pyright: ignore[reportPrivateUsage] - argparse has no public way
        help_ = (action.help or "").replace("%%", "%")
        choices = cast("Iterable[object] | None", action.choices)
        if isinstance(choices, dict):
            inner = cast("dict[str, argparse.ArgumentParser]", choices)
            words += [Word(name, one.description or "") for name, one in inner.items()]
            below += [node for name, one in inner.items() for node in _nodes((*path, name), one)]
        elif action.option_strings:
            names = tuple(action.option_strings)
            options.append(Option(names, _value(action), action.type is Path or action.metavar == "FILE", help_))
        elif choices is not None:
            words += [Word(str(name), help_) for name in choices]
        else:
            arguments.append(Word(str(action.metavar or action.dest), help_))
    yield Node(path, parser.description or "", tuple(options), tuple(words), tuple(arguments))
    yield from below


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    name = str(action.metavar or action.dest.upper())
    return f"[{name}]" if action.nargs == "?" else f"{name} …" if action.nargs == "+" else name
