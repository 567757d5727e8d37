"""Every statement that the functions of the write path run finds its rows by an index: as the server itself explains them."""

import re
from datetime import timedelta
from typing import Any

import asyncpg

from testing.commits import START, Stream, delete, put
from testing.contract import samples_of, world
from testing.database_side import Worker
from testing.samples import ME
from unified_indexer.database.background.wiper import wipe_step
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.write.apply import apply_all
from unified_indexer.database.write.batch import build
from unified_indexer.database.write.outcome import APPLIED
from unified_indexer.protocol.events import Account, Identity, RepoEvent
from unified_indexer.records import RECORD_TYPES

# The tables are nearly empty here: whatever plan there is without reading a whole table is taken.
EXPLAINED = """
LOAD 'auto_explain';
SET auto_explain.log_min_duration = 0;
SET auto_explain.log_nested_statements = on;
SET auto_explain.log_level = 'notice';
SET client_min_messages = 'notice';
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET jit = off;
"""
LEADING = """
SELECT c.relname, a.attname FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
"""
ONE_ROW = "dead_frames_size"
SCAN = re.compile(r"\b(Seq Scan|Index Scan|Index Only Scan)(?: Backward)?(?: using (\S+))? on (\S+)")


def read_whole(plan: str, leading: dict[str, str]) -> list[str]:
    """The tables and indexes that a plan reads from their beginning to their end, or nearly: without a value of the index's
    first column. `leading` names that, by index."""
    lines = plan.splitlines()
    found: list[str] = []
    for number, line in enumerate(lines):
        scan = SCAN.search(line)
        if scan is None:
            continue
        depth = len(line) - len(line.lstrip(" ->"))
        below: list[str] = []
        for text in lines[number + 1 :]:
            if len(text) - len(text.lstrip()) < depth or text.lstrip().startswith("->"):
                break
            below.append(text)
        if scan[3] == ONE_ROW:
            continue
        compared = re.compile(rf"Index Cond: .*\b{leading.get(scan[2])}\b\)?(::text)? [<>]?= ")
        if scan[1] == "Seq Scan" or not any(compared.search(text) for text in below):
            found.append(scan[0])
    return found


async def applied(connection: Connection, *events: RepoEvent) -> None:
    outcomes = await apply_all(connection, 0, "relay.test", build(events), durable=False, isolate=False)
    assert set(outcomes) == {APPLIED}


async def test_no_statement_of_the_write_path_reads_a_table_or_an_index_whole(worker: Worker) -> None:
    plans: list[str] = []
    connection = worker.connection
    leading = {row["relname"]: row["attname"] for row in await connection.fetch(LEADING)}

    def listen(_connection: object, message: Any) -> None:
        # asyncpg's own questions about types are none of ours.
        if isinstance(message, asyncpg.PostgresLogMessage) and "plan:" in str(message) and "typeinfo" not in str(message):
            plans.append(str(message))

    await worker.connection.execute(EXPLAINED)
    assert isinstance(connection, asyncpg.Connection)
    connection.add_log_listener(listen)
    stream = Stream()
    await applied(connection, *world(stream))
    for record_type in RECORD_TYPES:
        samples, before = samples_of(record_type), len(plans)
        first, *others = samples.records
        twin = put(f"{samples.path}{'' if samples.rkey == 'self' else 'twin'}", first)
        several = [put(samples.path, others[0]), put("com.example.a/1", {"$type": "com.example.a"})]
        await applied(
            connection,
            stream.commit("me", put(samples.path, first)),
            *(stream.commit("me", put(samples.path, record, "update")) for record in others),
            *([] if samples.collection.endswith("gate") else [stream.commit("me", twin), stream.commit("you", twin)]),
            stream.commit("me", *several),
            stream.commit("me", delete(samples.path)),
            stream.commit("me", put(samples.path, first)),
        )
        assert any(f".{record_type.table} " in plan for plan in plans[before:])
    later = START + timedelta(hours=1)
    await applied(connection, Identity(8_000, ME, later, "me.test", b""), Account(9_000, ME, later, False, "deleted", b""))
    while not await wipe_step(connection, ME):
        pass
    assert len(plans) > 500
    faults = {f"{scan} in {plan.partition('plan:')[2][:2000]}" for plan in plans for scan in read_whole(plan, leading)}
    assert sorted(faults) == []
