"""What a record type is: the one value that each file of `records/` provides.

A `RecordType` says where a collection's records go (table, columns, indexes), how a record becomes a row (a pure function), and
what follows from the row (`effects`). Dispatch, the SQL that writes and deletes, the account wipe, the schema of an empty
database and the check of an existing one all derive from it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from unified_indexer.records.base.columns import Column
from unified_indexer.records.base.effects import Effect
from unified_indexer.records.base.values import Record, RecordAddress, Row

EVERY_OTHER = "*"
"""The collection of the one record type that takes what no other type is for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordType:
    """One record type: its collection's NSID, its table, and how a record becomes a row of it.

    `row` raises Rejected for an unusable record. `key` is the primary key's column. `unique`: the columns of the unique index
    by which duplicates are told (design: the oldest created_at, then uri, holds; the others wait). `rkey`: the only record key
    that is meaningful. `row_stays`: deleting the record clears columns instead of deleting the row. `other_columns`: columns
    that others fill, needed only when the table is ours to create.

    `effects`: what follows from a row. `meets`: SQL expressions over a row `t`, equal to the `meets` of the Row it came from.
    `cid`: where the columns have no CID, the expression that still finds it while `r` is the row. `shows`: the column that
    shows the count of that name in post_aggregations. `functions`: SQL functions that the effects call. `returning`: what
    of a written row goes into which variable. `record_uri`: the expression for the URI of the record that the row `t` is of.
    `share`: of the live network's operations, as far as it is worth a word: what is frequent is looked for first.
    `timed`: `unified_worker.commit_times` keeps when the record's last commit came, since others are judged by it and the
    table has no column for it.
    `rivals`: what different accounts write competes for one unique key, so the earliest commit holds it, whatever a record says
    of its own age.
    `comes_last`: of a whole repo, it is written after the rest, which decides what it says of others' records.
    """

    collection: str
    table: str
    row: Callable[[Record, RecordAddress], Row]
    columns: tuple[Column, ...]
    indexes: tuple[str, ...] = ()
    other_columns: tuple[str, ...] = ()
    key: str = "uri"
    unique: tuple[str, ...] = ()
    rkey: str | None = None
    row_stays: bool = False
    effects: tuple[Effect, ...] = ()
    meets: tuple[str, ...] = ()
    cid: str = "NULL"
    shows: str | None = None
    functions: tuple[str, ...] = ()
    returning: str = ""
    record_uri: str = "t.uri"
    share: float = 0.0
    timed: bool = False
    rivals: bool = False
    comes_last: bool = False

    @property
    def author(self) -> str | None:
        """The column that holds the DID of the account that wrote the record; None if only the key contains it."""
        return next((column.name for column in self.columns if column.value == "p_did"), None)

    @property
    def filled(self) -> str:
        """The condition on a row `t` that it holds a record, for tables where the row outlives the record."""
        return " OR ".join(f"t.{column.name} IS NOT NULL" for column in self.columns if column.cleared == "NULL")

    @property
    def divisible(self) -> bool:
        """Whether the table may be divided by its author: it has a key that no other account competes for."""
        return self.author is not None and self.author in self.unique

    @property
    def shared(self) -> bool:
        """Whether records of several accounts compete for one unique key, so that they meet there."""
        return bool(self.unique and self.meets) and self.author not in self.unique

    @property
    def kind(self) -> int:
        """The number, in SQL, of writing such a record; deleting one is the next number. 0 to 32,766: a smallint.

        It depends on nothing but the collection: workers of two relays share one database's functions, also while one of them
        is of a version that has more types.
        """
        return 2 * (int.from_bytes(hashlib.sha256(self.collection.encode()).digest()[:2], "big") >> 2)
