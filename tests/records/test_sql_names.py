"""Record files use those names of the database's functions that one table lists, and no others."""

import re
from collections.abc import Iterable

import pytest

from unified_indexer.database.functions.install import functions
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.sql_names import NAMES

NAME = re.compile(r"\b[pv]_[a-z_]+\b")
FUNCTION = re.compile(r"FUNCTION unified_worker\.(\w+)\(")
INSTALLED = functions("public", RECORD_TYPES)


def names(texts: Iterable[str | None]) -> set[str]:
    return {name for text in texts if text for name in NAME.findall(text)}


def declared(prefix: str) -> dict[str, set[str]]:
    """By function whose name begins so: its parameters and variables."""
    heads = {found[1]: text.partition("\nBEGIN")[0] for text in INSTALLED if (found := FUNCTION.search(text))}
    return {name: names([head]) for name, head in heads.items() if name.startswith(prefix)}


def put(record_type: RecordType) -> set[str]:
    """The names that the type uses where a record is put."""
    columns = [text for column in record_type.columns for text in (column.value, column.updated, column.needed)]
    effects = [text for effect in record_type.effects for text in (effect.added, effect.written)]
    return names([*columns, *effects, record_type.returning])


def taken(record_type: RecordType) -> set[str]:
    """Those where a row is removed."""
    return names([*(effect.removed for effect in record_type.effects), *(column.cleared for column in record_type.columns)])


def other(record_type: RecordType) -> set[str]:
    """Those of other texts: derived rows as data, the rebuild, look-ups."""
    derived = [said for effect in record_type.effects for said in effect.derived]
    data = [text for said in derived for text in (*said.values.values(), said.when, said.source)]
    rebuild = [text for effect in record_type.effects for text in (effect.first, effect.judged)]
    return names([*data, *rebuild, *record_type.meets, record_type.cid, record_type.record_uri])


def test_every_name_is_there_where_the_table_says() -> None:
    (apply_commit,) = declared("apply_commit").values()
    assert set(NAMES) <= apply_commit
    removes, settles = declared("remove_"), declared("settle_")
    assert len(removes) == len(RECORD_TYPES)
    unique = {f"settle_{record_type.table}" for record_type in RECORD_TYPES if record_type.unique}
    assert unique
    assert unique <= set(settles)
    settles = {function: there for function, there in settles.items() if function in unique}  # others settle no record
    for place, found in (("removed", removes), ("settled", settles)):
        for function, there in found.items():
            assert {name for name, said in NAMES.items() if getattr(said, place)} <= there, function


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda record_type: record_type.table)
def test_a_type_uses_no_other_name(record_type: RecordType) -> None:
    assert put(record_type) | other(record_type) <= set(NAMES)
    assert taken(record_type) <= {name for name, said in NAMES.items() if said.removed}


@pytest.mark.parametrize("record_type", [one for one in RECORD_TYPES if one.unique], ids=lambda record_type: record_type.table)
def test_effects_of_a_unique_type_use_what_its_settling_has(record_type: RecordType) -> None:
    used = names(text for effect in record_type.effects for text in (effect.added, effect.removed))
    assert used <= {name for name, said in NAMES.items() if said.settled}


def test_no_name_is_listed_that_nobody_uses() -> None:
    assert set(NAMES) == {name for one in RECORD_TYPES for name in put(one) | taken(one) | other(one)}


def test_every_name_says_what_it_means() -> None:
    assert all(len(said.meaning) > 5 for said in NAMES.values())
