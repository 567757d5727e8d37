"""All statements that install the functions and the procedures, in their order: the .sql files, with what the record types say.

The write path itself is in apply_commits.sql.
"""

from collections.abc import Collection, Sequence

from indexer.database.connection.failures import SCHEMA_CLASSES, SERVER_CLASSES
from indexer.database.functions import accounts, dead_letters, judging, rebuild_steps, references
from indexer.database.functions.sql_files import statements
from indexer.database.functions.write_branches import Texts, shows
from indexer.database.write.batch import REFUSED
from indexer.records.base.record_type import RecordType

MODE_LIVE = 0  # the rev guard decides
MODE_RETRY = 1  # an operation that was kept: no guard, but only while its dead letter is open
MODE_DIRECT = 2  # rows handed in by a caller of `process_*`: no guard, no commit
MODE_WIPE = 3  # rows taken away with their account: besides, letters stay, for they came after it

# Whether a commit goes on from a rev that did not come. Both revs must be known.
BROKEN = """p_since <> r.rev AND r.rev <> '' AND p_since IS DISTINCT FROM r.refused_rev AND r.refused_rev IS DISTINCT FROM ''"""

OP_PARAMETERS = """p_kind smallint[], p_uri text[], p_cid text[], p_subject text[], p_subject_cid text[],
  p_created_at timestamptz[], p_rest jsonb[]"""
OP_ARGUMENTS = "p_kind, p_uri, p_cid, p_subject, p_subject_cid, p_created_at, p_rest"

CALL = """unified_worker.apply_commit({live}, p_did[i], p_rev[i], p_since[i], p_data[i], p_seq[i], p_at[i], p_user[i],
        p_filtered[i], p_frame[i], p_buckets, p_bucket_lo[i], p_bucket_hi[i], p_lo[i], p_hi[i], {op_arguments})"""


def literals(*texts: str) -> str:
    """An SQL list of these words of letters and digits."""
    return ", ".join(f"'{text}'" for text in texts)


def functions(schema: str, record_types: Sequence[RecordType], lacking: Collection[tuple[str, str]] = ()) -> list[str]:
    """Every statement that (re)makes the functions and the procedure, for record tables that live in `schema`.

    `lacking`: the optional columns that are not there, as (table, column).
    """
    texts = [
        Texts(schema, record_type, {column for table, column in lacking if table == record_type.table})
        for record_type in record_types
    ]
    not_data_classes = literals(*SERVER_CLASSES, *SCHEMA_CLASSES)
    meetings = {text.type.collection: meeting for text in texts if (meeting := text.meeting("v_uris"))}
    return [
        *dead_letters.functions(),
        *references.functions(),
        *accounts.functions(schema, not_data_classes),
        *judging.functions(schema),
        *shows(schema, record_types),
        *(statement for text in texts for statement in text.functions()),
        *references.lock_commit(meetings),
        *accounts.wipe(schema, record_types, MODE_WIPE, not_data_classes),
        *rebuild_steps.functions(schema, record_types),
        *_write_path(schema, texts, not_data_classes),
    ]


def _write_path(schema: str, texts: Sequence[Texts], not_data_classes: str) -> list[str]:
    # Nearly every operation is a put, and the arms are looked through in turn, at 0.2 µs each.
    often = sorted(texts, key=lambda text: -text.type.share)
    return statements(
        "apply_commits",
        schema=schema,
        live=MODE_LIVE,
        retry=MODE_RETRY,
        wipe=MODE_WIPE,
        refused=REFUSED,
        broken=BROKEN,
        lock_class=references.LOCK_CLASS,
        rebuilding=rebuild_steps.REBUILDING,
        op_parameters=OP_PARAMETERS,
        call=CALL.format(live=MODE_LIVE, op_arguments=OP_ARGUMENTS),
        not_data_classes=not_data_classes,
        ahead="\n".join(text.ahead() for text in texts if text.ahead()),
        arms="\n".join([*(text.put() for text in often), *(text.delete() for text in often)]),
    )
