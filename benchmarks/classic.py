"""The classic design, for comparison: each commit is one awaited `conn.transaction()` on one of twenty connections.

It writes the five record types of the seed, and no derived rows.

What is not in question it shares with the worker: the socket, the decoder, the records' rows, the tables, the rev guard, the
rule for duplicates, uvloop, durability. Accounts are spread over the connections, each with a bounded queue, so that an
account's commits keep their order. The SQL is static, and prepared once a connection. It stores no cursor and no dead letters,
in its own favour.

python -m benchmarks.classic, with DATABASE_URL (a database that the worker has prepared) and RELAY_URL in the environment.
"""

import asyncio
import re
from contextlib import aclosing
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import asyncpg
import uvloop

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

from benchmarks.bare import bare
from unified_indexer.config.settings import Config
from unified_indexer.database.connection.sessions import SESSION_SETTINGS, Connection
from unified_indexer.database.write.batch import Batch, build
from unified_indexer.metrics import Metrics
from unified_indexer.pipeline.lanes import MAX_QUEUED
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode
from unified_indexer.records import follow, like, post, profile, repost
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.relay.firehose import Firehose
from unified_indexer.relay.position import Position, Stored

PARAMETERS = {
    "p_did": "text",
    "p_rev": "text",
    "p_data": "text",
    "p_seq": "bigint",
    "p_at": "timestamptz",
    "p_user": "boolean",
    "v_uri": "text",
    "v_cid": "text",
    "v_subject": "text",
    "v_subject_cid": "text",
    "v_created_at": "timestamptz",
    "v_rest": "jsonb",
    "v_key": "text[]",
}
GUARD = """
INSERT INTO unified_worker.repos AS r (did, rev, data_cid, seq, has_user) VALUES (p_did, p_rev, p_data, p_seq, p_user)
ON CONFLICT (did) DO UPDATE SET rev = excluded.rev, data_cid = excluded.data_cid, seq = excluded.seq, updated_at = now()
  WHERE r.rev < excluded.rev
RETURNING r.has_user, r.held, r.xmax = 0
"""
USER = "INSERT INTO users (did, handle) VALUES (p_did, 'handle.invalid') ON CONFLICT DO NOTHING"
HAS_USER = "UPDATE unified_worker.repos SET has_user = true WHERE did = p_did"
HELD = "UPDATE unified_worker.repos SET held = true WHERE did = p_did"
FORGET = "DELETE FROM unified_worker.duplicate_records WHERE uri = v_uri"
WAIT = """
INSERT INTO unified_worker.duplicate_records (uri, collection, key, created_at, record)
VALUES (v_uri, '{collection}', {key}, v_created_at, jsonb_build_object({pairs}))
"""

FIVE_TYPES = tuple(map(bare, (follow.RECORD, like.RECORD, post.RECORD, profile.RECORD, repost.RECORD)))

Values = dict[str, Any]


class Statement:
    """A prepared statement whose parameters are named in its text."""

    def __init__(self, prepared: "PreparedStatement[Any]", names: list[str]) -> None:
        self._prepared = prepared
        self._pick = itemgetter(*names, names[0])  # one name more, so that it gives a tuple also for one parameter
        self._count = len(names)

    async def run(self, values: Values) -> Any:
        """The first row that it returns, if any."""
        return await self._prepared.fetchrow(*self._pick(values)[: self._count])


async def prepare(connection: Connection, sql: str) -> Statement:
    """Prepares a statement: each name of PARAMETERS in it becomes a parameter of that type."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        name = found[0]
        if name not in names:
            names.append(name)
        return f"${names.index(name) + 1}::{PARAMETERS[name]}"

    text = re.sub(rf"\b({'|'.join(PARAMETERS)})\b", number, sql)
    return Statement(await connection.prepare(text), names)


class RecordStatements:
    """What one connection does about records of one type."""

    def __init__(self, record_type: RecordType) -> None:
        self.type = record_type

    async def prepare(self, connection: Connection) -> None:
        """Prepares the statements, equal in effect to the arms of the worker's procedure."""
        kind = self.type
        columns = {column.name: column for column in kind.columns}
        names, values = ", ".join(columns), ", ".join(column.value for column in columns.values())
        key = columns[kind.key].value
        insert = f"INSERT INTO {kind.table} AS t ({names}) VALUES ({values}) ON CONFLICT"
        if kind.unique:
            unique = ", ".join(columns[name].value for name in kind.unique)
            pairs = ", ".join(f"'{column.name}', {column.value}" for column in columns.values())
            old = ", ".join(f"{name}::text" for name in kind.unique)
            self.put = await prepare(connection, f"{insert} DO NOTHING RETURNING true")
            self.delete = await prepare(connection, f"DELETE FROM {kind.table} WHERE uri = v_uri RETURNING ARRAY[{old}]")
            self.wait = await prepare(
                connection, WAIT.format(collection=kind.collection, key=f"ARRAY[{unique}]", pairs=pairs) + " RETURNING key"
            )
            self.settle = await prepare(connection, f"SELECT unified_worker.settle_{kind.table}(v_key)")
            return
        sets = ", ".join(
            f"{column.name} = {column.updated or f'excluded.{column.name}'}"
            for column in columns.values()
            if column.name != kind.key
        )
        clears = ", ".join(f"{column.name} = {column.cleared}" for column in columns.values() if column.cleared)
        self.put = await prepare(connection, f"{insert} ({kind.key}) DO UPDATE SET {sets} RETURNING true")
        self.delete = await prepare(
            connection,
            f"UPDATE {kind.table} AS t SET {clears} WHERE {kind.key} = {key}"
            if kind.row_stays
            else f"DELETE FROM {kind.table} WHERE {kind.key} = {key}",
        )


class Writer:
    """One connection, and the commits that wait for it."""

    def __init__(self, bound: int) -> None:
        self.queue: asyncio.Queue[Commit] = asyncio.Queue(bound)

    async def open(self, config: Config) -> None:
        """Connects and prepares every statement."""
        settings = {**SESSION_SETTINGS, "synchronous_commit": "on" if config.synchronous_commit else "off"}
        self._connection = await asyncpg.connect(config.database_url, server_settings=settings)
        self._guard, self._user, self._has_user, self._held, self._forget = [
            await prepare(self._connection, sql) for sql in (GUARD, USER, HAS_USER, HELD, FORGET)
        ]
        self._records = {record_type.kind: RecordStatements(record_type) for record_type in FIVE_TYPES}
        for statements in self._records.values():
            await statements.prepare(self._connection)

    async def work(self) -> None:
        """One commit after the other, each in a transaction of its own."""
        while True:
            commit = await self.queue.get()
            batch = build([commit])
            if batch.refused:
                raise NotImplementedError("the classic design keeps no dead letters: measure it on sound commits")
            async with self._connection.transaction():
                await self._apply(batch)

    async def _apply(self, batch: Batch) -> None:
        values: Values = {
            "p_did": batch.did[0],
            "p_rev": batch.rev[0],
            "p_data": batch.data[0],
            "p_seq": batch.seq[0],
            "p_at": batch.at[0],
            "p_user": batch.user[0],
        }
        guarded = await self._guard.run(values)
        if guarded is None:
            return
        has_user, held, new = guarded
        if batch.user[0] and (new or not has_user):
            await self._user.run(values)
            if not new:
                await self._has_user.run(values)
        for at, kind in enumerate(batch.kind):
            values |= {
                "v_uri": batch.uri[at],
                "v_cid": batch.cid[at],
                "v_subject": batch.subject[at],
                "v_subject_cid": batch.subject_cid[at],
                "v_created_at": batch.created_at[at],
                "v_rest": batch.rest[at],
            }
            held = await self._operation(kind, values, held)

    async def _operation(self, kind: int, values: Values, held: bool) -> bool:
        """Applies one operation; returns whether the account may have records that wait."""
        if held:
            await self._forget.run(values)
        records = self._records[kind - kind % 2]
        if kind % 2:
            gone = await records.delete.run(values)
            if gone is not None and held:
                await records.settle.run({"v_key": gone[0]})
        elif await records.put.run(values) is None:
            gone = await records.delete.run(values)  # its older self
            if gone is not None and held:
                await records.settle.run({"v_key": gone[0]})
            waits = await records.wait.run(values)
            await records.settle.run({"v_key": waits[0]})
            await self._held.run(values)
            return True
        return held


async def main() -> None:
    """Follows the relay from its oldest event until it is ended from outside."""
    config = Config.from_env()
    writers = [Writer(MAX_QUEUED // config.db_pool_size) for _ in range(config.db_pool_size)]
    async with asyncio.TaskGroup() as tasks:
        for writer in writers:
            await writer.open(config)
            tasks.create_task(writer.work())
        position = Position(config.relay_host, Stored(), 0)
        firehose = Firehose(config.relay_url, position, idle_timeout=0, metrics=Metrics())
        async with aclosing(firehose.frames()) as frames:
            async for frame in frames:
                event = decode(frame)
                if isinstance(event, Commit):
                    position.arrived(event.seq, None)
                    await writers[hash(event.repo) % len(writers)].queue.put(event)


if __name__ == "__main__":
    uvloop.run(main())
