"""The worker's own bookkeeping, in a schema of its own: the numbered steps in migrations/, each run once, in order.

A step that was released never changes, because a database that has run it never runs it again.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable


def read(folder: Traversable) -> tuple[str, ...]:
    """The steps in the order of their numbers. ValueError if one is missing: each database knows its steps by number."""
    steps = sorted((step for step in folder.iterdir() if step.name.endswith(".sql")), key=lambda step: step.name)
    for number, step in enumerate(steps, 1):
        if not step.name.startswith(f"{number:04}_"):
            raise ValueError(f"the schema's step {number} is missing: next comes {step.name}")
    return tuple(step.read_text(encoding="utf-8") for step in steps)


MIGRATIONS = read(files("unified_indexer.database.schema") / "migrations")
