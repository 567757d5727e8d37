"""All statements that install the functions and procedures, in order: the .sql files, completed from the record types.

The write path itself is in apply_commits.sql.
"""

from collections.abc import Collection, Sequence

from unified_indexer.database.connection.failures import SCHEMA_CLASSES, SERVER_CLASSES
from unified_indexer.database.connection.sessions import PUBLISHES
from unified_indexer.database.functions import (
    accounts,
    dead_letters,
    judging,
    rebuild_steps,
    references,
    repair,
    searchable,
    states,
)
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.database.functions.write_branches import RecordTypeSql, shows
from unified_indexer.database.write import parameters
from unified_indexer.database.write.batch import KIND_REFUSED
from unified_indexer.database.write.parameters import Mode
from unified_indexer.records.base.record_type import RecordType


def literals(*texts: str) -> str:
    """An SQL list of these words, which consist of letters and digits."""
    return ", ".join(f"'{text}'" for text in texts)


def functions(schema: str, record_types: Sequence[RecordType], lacking: Collection[tuple[str, str]] = ()) -> list[str]:
    """Every statement that makes (or replaces) the functions and procedures, for record tables in `schema`.

    `lacking`: the optional columns that are not there, as (table, column).
    """
    texts = [
        RecordTypeSql(schema, record_type, {column for table, column in lacking if table == record_type.table})
        for record_type in record_types
    ]
    # Nearly every operation is a put, and the arms are looked through in turn, at 0.2 µs each.
    often = sorted(texts, key=lambda text: -text.type.share)
    not_data_classes = literals(*SERVER_CLASSES, *SCHEMA_CLASSES)
    meetings = {text.type.collection: meeting for text in texts if (meeting := text.meeting("v_uris"))}
    return [
        *searchable.functions(),
        *dead_letters.functions(),
        *statements("outbox", publishes=PUBLISHES),
        *references.functions(),
        *states.functions(),
        *accounts.functions(schema, not_data_classes),
        *judging.functions(schema),
        *shows(schema, record_types),
        *(statement for text in texts for statement in text.functions()),
        *references.lock_commit(meetings),
        *accounts.wipe(schema, record_types, not_data_classes),
        *rebuild_steps.functions(schema, record_types),
        *repair.functions(schema, often),
        *_write_path(schema, texts, often, not_data_classes),
    ]


def _write_path(
    schema: str, texts: Sequence[RecordTypeSql], often: Sequence[RecordTypeSql], not_data_classes: str
) -> list[str]:
    return statements(
        "apply_commits",
        schema=schema,
        live=Mode.LIVE,
        retry=Mode.RETRY,
        wipe=Mode.WIPE,
        refused=KIND_REFUSED,
        doubt=states.DOUBT,
        doubt_in_loop=states.DOUBT_IN_LOOP,
        begins=states.BEGINS,
        blind=states.BLIND,
        proves=states.PROVES,
        pending=dead_letters.PENDING,
        lock_class=references.LOCK_CLASS,
        rebuilding=rebuild_steps.REBUILDING,
        parameters=parameters.of_one(),
        arrays=parameters.of_all(),
        call=parameters.call_in_loop(Mode.LIVE),
        not_data_classes=not_data_classes,
        publishes=PUBLISHES,
        ahead="\n".join(text.ahead() for text in texts if text.ahead()),
        arms="\n".join([*(text.put() for text in often), *(text.delete() for text in often)]),
    )
