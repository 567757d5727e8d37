"""The functions for #account and #identity messages, and the wipe of a deleted account (accounts.sql, handles.sql, wipe.sql).

A message applies if it is newer than the last of its kind: by seq if that came from the same relay, else by time.
"""

from collections.abc import Sequence

from unified_indexer.database.functions.sql_files import statements
from unified_indexer.database.write.parameters import Mode, call_with
from unified_indexer.records.base.record_type import RecordType

# Statuses of the lexicon com.atproto.sync.subscribeRepos#account that hide an account; others, and those to come, are details.
HIDING = ("takendown", "suspended", "deleted", "deactivated")
UNCONFIRMED = "deletion_unconfirmed"  # the stored status of an account whose deletion only a relay has told so far

CHECKED_FOR = "interval '24 hours'"  # as long as a DID document counts
AGAIN_AFTER = "interval '1 minute'"  # whose handle was refuted may have mended it since
MOST_CHECKS = 1_000_000  # handles that wait to be checked, a hundred bytes each

# Rows that a transaction of a wipe takes: few, since other accounts' commits wait for its locks.
WIPE_ROWS = 100
MOST_REFUSED = 1_000  # records that a wipe passes over, since the database does not let them go

# The commit that deletes them: it takes no locks, and makes no row for the account.
TAKE = {
    "did": "p_did",
    "user": "false",
    "filtered": "false",
    "bucket_lo": "1",
    "bucket_hi": "0",
    "lo": "1",
    "hi": "cardinality(v_uris)",
    "kind": "v_kinds",
    "uri": "v_uris",
}

# Where accounts compete for a key, others move the account's records between their table and those that wait: so both are
# looked through at once.
WIPE_WAITING = """(SELECT {delete}::smallint, d.uri FROM unified_worker.duplicate_records AS d
          WHERE d.uri >= v_first AND d.uri < v_end AND d.collection = '{collection}' AND d.uri <> ALL (v_refused)
          LIMIT v_rows)"""
WIPE_BRANCH = "(SELECT {delete}::smallint, {uri} FROM {table} AS t WHERE {mine} AND {uri} <> ALL (v_refused) LIMIT v_rows)"


def functions(schema: str, not_data_classes: str) -> list[str]:
    """The functions that apply messages. `not_data_classes`: SQLSTATE classes that are no fault of the data, as literals."""
    hiding = ", ".join(f"'{status}'" for status in HIDING)
    return [
        *statements("handles", schema=schema, checked_for=CHECKED_FOR, again_after=AGAIN_AFTER, most_checks=MOST_CHECKS),
        *statements("accounts", schema=schema, not_data_classes=not_data_classes, hiding=hiding, unconfirmed=UNCONFIRMED),
    ]


def wipe(schema: str, record_types: Sequence[RecordType], not_data_classes: str) -> list[str]:
    """The procedure that deletes an account's rows, with all their derived rows."""
    branches = [
        WIPE_BRANCH.format(
            delete=record_type.kind + 1,
            uri=record_type.record_uri,
            table=f"{schema}.{record_type.table}",
            mine=_mine(record_type),
        )
        for record_type in record_types
    ]
    shared = [record_type for record_type in record_types if record_type.shared]
    branches += [WIPE_WAITING.format(delete=record_type.kind + 1, collection=record_type.collection) for record_type in shared]
    rows = "\n        UNION ALL ".join(branches)
    collections = ", ".join(f"'{record_type.collection}'" for record_type in shared) or "''"
    return statements(
        "wipe",
        schema=schema,
        rows=rows,
        shared=collections,
        take=call_with(Mode.WIPE, TAKE),
        not_data_classes=not_data_classes,
        step=WIPE_ROWS,
        most_refused=MOST_REFUSED,
    )


def _mine(record_type: RecordType) -> str:
    """The condition by which the account's rows are found."""
    if record_type.author is None:
        key = f't.{record_type.key} COLLATE "C"'
        return f"{key} >= v_first AND {key} < v_end"
    mine = f"t.{record_type.author} = p_did"
    if record_type.row_stays:
        mine += f" AND ({record_type.filled})"
    return mine
