"""Prints the man page, made of the command line's tree and the settings: `python -m testing.print_man`.

deploy/man/unified-worker.1 holds what it prints, and the wheel installs that file.
"""

import sys
from collections.abc import Iterable, Iterator

from unified_indexer.command_line.cli import tree
from unified_indexer.command_line.program_name import INSTALLED
from unified_indexer.command_line.tree import Node, Option, Word, nodes
from unified_indexer.config.environment import CREDENTIALS, in_file
from unified_indexer.config.settings import SECRETS, SETTINGS
from unified_indexer.version import VERSION

HEAD = '.\\" Not a source: `python -m testing.print_man` prints it.\n.TH UNIFIED\\-WORKER 1 "" "{} {}" "User Commands"'
SUMMARY = "an AT Protocol firehose into PostgreSQL"
EXIT = (
    ("0", "Stopped as asked; or a command has found nothing wrong."),
    ("1", "It can't go on without a decision of the operator; or a command has found something wrong."),
    ("2", "What the operator set is unusable, or the database has not answered for 30 seconds."),
    ("70", "A fault of the program's own, with its traceback: start it again."),
)
FILES = (
    (".env", "Settings, in the working directory; the environment has priority."),
    ("data/postgres", "The data of --embedded, where it names no other folder."),
)
ABOVE_ALL = (("-h", "--help"), ("--embedded",))  # every parser's; the worker's own has their meaning


def text() -> str:
    """The page, in roff with the macros of man(7)."""
    root, *others = nodes(*tree())
    lines = [
        HEAD.format(_plain(INSTALLED), VERSION),
        *(".SH NAME", f"{_plain(INSTALLED)} \\- {_plain(SUMMARY)}"),
        *(".SH SYNOPSIS", f".B {_plain(INSTALLED)}", "[options]", ".br", f".B {_plain(INSTALLED)}", ".I command", "[options]"),
        *(".SH DESCRIPTION", *_paragraph(root.description)),
        *(".SH OPTIONS", *_options(root.options)),
        *(".SH COMMANDS", _plain("A command is the first word; each has -h, --help and --embedded [DIR] too.")),
    ]
    summaries = {word.name: word.help for word in root.words}
    for node in others:
        lines += _command(node, summaries)
    lines += [".SH SETTINGS", _plain("Variables of the environment, or lines of .env.")]
    for setting in SETTINGS:
        default = f" [{setting.default}]" if setting.default else ""
        lines += [".TP", f".B {_plain(setting.name + default)}", *_paragraph(setting.meaning)]
    names = " and ".join(map(in_file, SECRETS))
    lines += [".PP", _plain(f"{names} name files that hold the value; a credential of systemd (in ${CREDENTIALS}) does too.")]
    for title, rows in (("EXIT STATUS", EXIT), ("FILES", FILES)):
        lines.append(f".SH {title}")
        for name, meaning in rows:
            lines += [".TP", f".B {_plain(name)}", *_paragraph(meaning)]
    lines += [".SH SEE ALSO", ".BR psql (1)"]
    return "\n".join(lines) + "\n"


def _command(node: Node, summaries: dict[str, str]) -> Iterator[str]:
    path = " ".join(node.path)
    arguments = " ".join(word.name for word in node.arguments)
    yield f".SS {_plain(' '.join((path, arguments)).strip())}"
    if len(node.path) == 1:
        yield from _paragraph(f"{summaries[path][0].upper()}{summaries[path][1:]}.")
        yield ".PP"
    yield from _paragraph(node.description)
    own = [option for option in node.options if option.names not in ABOVE_ALL]
    yield from _words([word for word in (*node.words, *node.arguments) if word.help and len(node.path) == 1])
    yield from _options(own)


def _words(words: Iterable[Word]) -> Iterator[str]:
    for word in words:
        yield from (".TP", f".I {_plain(word.name)}", *_paragraph(word.help))


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        names = ", ".join(option.names)
        yield from (".TP", f".B {_plain(' '.join((names, option.value)).strip())}", *_paragraph(option.help))


def _paragraph(words: str) -> list[str]:
    """A line for each of the text; what looks like a request is none."""
    return [_plain(line) for line in words.splitlines() if line.strip()]


def _plain(words: str) -> str:
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write(text())
