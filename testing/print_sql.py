"""Prints every function that the worker installs, for record tables in the schema `public`: `python -m testing.print_sql`.

tests/project/snapshots/functions.sql holds what it prints, so that a review sees what a change does to the server.
"""

import sys

from unified_indexer.database.functions.install import functions
from unified_indexer.records import RECORD_TYPES

HEADER = "-- The SQL functions of the shipped record types. Not a source: `python -m testing.print_sql` prints it.\n"


def text() -> str:
    """The statements in the order in which a start runs them, without blanks at line ends."""
    statements = [statement.strip().removesuffix(";") + ";\n" for statement in functions("public", RECORD_TYPES)]
    lines = "\n".join((HEADER, *statements)).splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.write(text())
