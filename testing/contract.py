"""What the tests of the contract do with a database: the world around the records, snapshots, and a clean slate."""

import json
from collections.abc import Iterable

from testing.commits import Stream, post, put
from testing.garbage import BLOCK, FOLLOW, GENERATOR, GENERIC, LABELER, LIKE, POST, REPOST
from testing.samples import ME, SAMPLES, Record, Samples, facet, ref
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.protocol.events import Commit
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.derived_tables import DERIVED_TABLES
from unified_indexer.records.base.record_type import EVERY_OTHER, RecordType

STATUS = "app.bsky.actor.status"  # of no type of its own

ROWS = (*(record_type.table for record_type in RECORD_TYPES), *(t.table for t in DERIVED_TABLES if not t.read_only))
WAITING = "unified_worker.duplicate_records"
OWN = ("repos", "dead_letters", "dead_frames", "duplicate_records", "lanes")
EMPTY = "".join(f"DELETE FROM {table};" for table in (*ROWS, *(f"unified_worker.{table}" for table in OWN)))

# When a row came, and its number.
WHEN = {"indexed_at", "updated_at", "id"}
# Their created_at is when the row came.
UNDATED = {"users", "post_aggregations", "post_viewer_states", "thread_contexts"}

Snapshot = dict[str, list[str]]


def samples_of(record_type: RecordType) -> Samples:
    """The samples of a record type; a failure that says where they belong if there are none."""
    collection = GENERIC if record_type.collection == EVERY_OTHER else record_type.collection
    assert collection in SAMPLES, f"{collection} has a file in unified_indexer/records and no records in testing/samples.py"
    return SAMPLES[collection]


def world(stream: Stream) -> list[Commit]:
    """What others wrote before, and what they say of ME's records, there or not: so that all that may follow from one does."""
    me, labeler = ref(ME), ref(ME, LABELER, "self")
    answer = post("yes", reply={"root": me, "parent": me}, facets=[facet("mention", did=ME)])
    about: dict[str, Record] = {
        f"{POST}/answer": answer,
        f"{POST}/quote": post("look", embed={"$type": "app.bsky.embed.record", "record": me}),
        f"{LIKE}/me": {"subject": me},
        f"{LIKE}/feed": {"subject": ref(ME, GENERATOR)},
        f"{LIKE}/labeler": {"subject": labeler},
        f"{REPOST}/me": {"subject": me},
        f"{FOLLOW}/me": {"subject": ME},
        f"{BLOCK}/me": {"subject": ME},
    }
    author_s_like = {"$type": LIKE, "subject": ref(ME), "via": ref(ME, REPOST)}
    return [
        stream.commit("star", put(f"{POST}/1", post("root")), put(f"{GENERATOR}/1", SAMPLES[GENERATOR].records[0])),
        stream.commit("friend", put(f"{POST}/1", post("friend's")), put(f"{GENERATOR}/1", SAMPLES[GENERATOR].records[1])),
        stream.commit("friend", *(put(path, {"$type": path.partition("/")[0], **record}) for path, record in about.items())),
        stream.commit("star", put(f"{LIKE}/1", author_s_like)),
        stream.commit("me", put(f"{STATUS}/self", {"$type": STATUS, "status": "busy"})),
    ]


async def snapshot(connection: Connection, *, rewritten: bool = False, tables: Iterable[str] = (*ROWS, WAITING)) -> Snapshot:
    """What all rows say. `rewritten`: also when each was written, so that a row that was written anew is another."""
    found: Snapshot = {}
    for table in tables:
        lines: list[str] = []
        for xmin, text in await connection.fetch(f"SELECT t.xmin::text, to_jsonb(t)::text FROM {table} AS t"):
            left_out = WHEN | {"created_at"} if table in UNDATED else WHEN
            said = {name: value for name, value in json.loads(text).items() if rewritten or name not in left_out}
            lines.append(f"{xmin if rewritten else ''} {json.dumps(said, sort_keys=True)}")
        found[table] = sorted(lines)
    return found


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """Rows that are in one of the two alone, in words."""
    told: list[str] = []
    for table, lines in after.items():
        told += [f"{table}: new {line}" for line in lines if line not in before[table]]
        told += [f"{table}: gone {line}" for line in before[table] if line not in lines]
        if not told and len(lines) != len(before[table]):
            told.append(f"{table}: {len(before[table])} rows, now {len(lines)}")
    return told
