"""Read the statements of the `.sql` files in this folder, with the placeholders filled in.

A file's head says what each `{name}` in it stands for. Other braces are SQL's own, and nothing needs to be doubled. A comment
between two statements is for the reader, and never reaches the server.
"""

import re
from functools import cache
from importlib.resources import files

FOLDER = files("unified_indexer.database.functions")
STATEMENT = re.compile(r"^CREATE .*?;$(?=\n*(?:^--|^CREATE |\Z))", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def statements(file: str, **values: object) -> list[str]:
    """The file's statements in their order. KeyError if one names a placeholder that has no value.

    What is filled in is taken as it is: braces in the name of a schema are none of ours.
    """
    return [PLACEHOLDER.sub(lambda found: str(values[found[1]]), statement) for statement in _templates(file)]


@cache
def _templates(file: str) -> list[str]:
    return STATEMENT.findall(FOLDER.joinpath(f"{file}.sql").read_text(encoding="utf-8"))
