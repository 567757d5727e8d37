"""The bounds that docs/security.md names are those of the code, by name and number."""

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*) \|$", PAGE, re.MULTILINE)
CONSTANTS = [(bound, name) for _, bound, where in ROWS for name in re.findall(r"`([a-z_.]+\.[A-Z_]+)`", where)]
SPECIAL = {"unified_indexer.protocol.commits.MAX_SEQ": "64 bits", "unified_indexer.relay.connection.READ_AHEAD": "one"}


def value_of(name: str) -> object:
    module, _, constant = name.rpartition(".")
    return getattr(importlib.import_module(module), constant)


def written(value: object) -> set[str]:
    """The ways in which the page may write a bound; none for what is no number."""
    if not isinstance(value, int | float):
        return set()
    units = ((1e3, "kB"), (2**10, "kB"), (2**20, "MiB"), (2**20, "MB"), (1e9, "GB"))
    return {f"{value:,.0f}", *(f"{value / unit:,g} {name}" for unit, name in units)}


def test_the_table_is_read() -> None:
    assert len(CONSTANTS) > 30


@pytest.mark.parametrize(("bound", "name"), CONSTANTS, ids=[name for _, name in CONSTANTS])
def test_a_bound_is_what_the_page_says(bound: str, name: str) -> None:
    value = value_of(name)
    ways = {SPECIAL[name]} if name in SPECIAL else written(value)
    assert value is not None
    assert not ways or any(re.search(rf"(^|[^0-9,]){re.escape(way)}($|[^0-9,])|{re.escape(way)},", bound) for way in ways)
