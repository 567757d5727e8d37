"""The ceiling: COPY of the rows that a run has left into the same tables, with the same indexes.

No socket, no decoding, no transaction a commit, no guard: what PostgreSQL takes at most to store these rows.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from benchmarks.processes import server_cpu
from benchmarks.throughput import LOG_POSITION, Run, fresh_database, wrong_rows
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.records.base.record_type import RecordType

WRITERS = 2  # connections; the worker has as many lanes on two cores
# What a table has but the worker's own columns don't fill is left out: generated and identity columns.
COLUMNS = """
SELECT attname::text FROM pg_catalog.pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
"""


async def save_rows(url: str, tables: Sequence[str], folder: Path) -> dict[str, Path]:
    """Writes each table that has rows to a file, in the order in which they are stored; the files by table."""
    connection = await asyncpg.connect(url)
    saved: dict[str, Path] = {}
    for table in tables:
        path = folder / f"{table}.rows"
        schema, _, name = table.rpartition(".")
        if await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
            columns = [row["attname"] for row in await connection.fetch(COLUMNS, table)]
            await connection.copy_from_table(name, schema_name=schema or None, columns=columns, output=path, format="binary")
            saved[table] = path
    await connection.close()
    return saved


async def copy_rows(
    server: PostgresServer,
    record_types: Sequence[RecordType],
    saved: Mapping[str, Path],
    commits: int,
    wanted: Mapping[str, int],
) -> Run:
    """Copies the files into the empty tables of a new database, the largest first, over WRITERS connections."""
    postmaster = server.pid
    assert postmaster is not None
    waiting = sorted(saved, key=lambda table: saved[table].stat().st_size)

    async def write(url: str) -> None:
        connection = await asyncpg.connect(url)
        while waiting:
            table = waiting.pop()
            schema, _, name = table.rpartition(".")
            columns = [row["attname"] for row in await connection.fetch(COLUMNS, table)]
            await connection.copy_to_table(
                name, schema_name=schema or None, columns=columns, source=saved[table], format="binary"
            )
        await connection.close()

    async with fresh_database(server, record_types) as url:
        eye = await asyncpg.connect(url)
        log_before = await eye.fetchval(LOG_POSITION)
        began, python, postgres = time.monotonic(), time.process_time(), server_cpu(postmaster)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WRITERS):
                tasks.create_task(write(url))
        seconds = time.monotonic() - began
        run = Run(
            commits / seconds,
            seconds,
            1e6 * (time.process_time() - python) / commits,
            1e6 * (server_cpu(postmaster) - postgres) / commits,
            0.0,
            (await eye.fetchval(LOG_POSITION) - log_before) / commits,
            0,
            (),
            await wrong_rows(eye, wanted),
        )
        await eye.close()
    return run
