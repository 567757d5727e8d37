"""A worker of sources with one more record type: what it writes, what its check finds, what its rebuild brings back."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# The worker's database side, without its stream: frames in, and after each what the tables say. In between all derived rows are
# lost: the check finds each, and the rebuild brings it back.
PROGRAM = """
import asyncio, json, sys
from unified_indexer.database.recount.compare import KeySample, compare
from unified_indexer.database.recount.notifications import notifications
from unified_indexer.database.recount.rows import derived
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.write.writer import Writer
from unified_indexer.protocol.frames import decode
from unified_indexer.records import RECORD_TYPES
from unified_worker import UnifiedWorker

DERIVED = ("post_aggregations", "feed_items", "quotes", "post_viewer_states", "thread_contexts", "notifications")
KINDS = [*derived("public"), notifications("public", strict=True)]

async def rows(connection):
    queries = [f"SELECT t.xmin::text, t::text FROM {table} AS t ORDER BY 2" for table in DERIVED]
    return [tuple(row) for query in queries for row in await connection.fetch(query)]

async def unhurt(connection):
    for kind in KINDS:
        for sample in (None, KeySample(100, 1)):
            found = await compare(connection, kind, sample)
            assert not found.differences, found

async def main(url, asked, *frames):
    pool = DatabasePool(url, size=3, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    for frame in frames:
        _, outcomes = await Writer(pool).write(0, [decode(bytes.fromhex(frame))])
        async with pool.connection() as connection:
            await unhurt(connection)
            before = await rows(connection)
        assert await Rebuild(pool).run()
        async with pool.connection() as connection:
            assert before == await rows(connection)
            found = [[list(row) for row in await connection.fetch(query)] for query in json.loads(asked)]
            for table in DERIVED:
                done = await connection.execute(f"DELETE FROM {table}")
                lost = sum([(await compare(connection, kind, None)).differences for kind in KINDS if kind.name == table])
                assert done == f"DELETE {lost}", (table, lost)
        assert await Rebuild(pool).run()
        async with pool.connection() as connection:
            await unhurt(connection)
            assert len(before) == len(await rows(connection))
        print(json.dumps([list(map(str, outcomes)), *found]))
    pool.terminate()

asyncio.run(main(*sys.argv[1:]))
"""


def with_file(folder: Path, name: str, text: str) -> None:
    """A copy of the sources with one more file of a record type."""
    shutil.copytree(ROOT / "unified_indexer", folder / "unified_indexer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "unified_worker.py", folder)
    (folder / "unified_indexer" / "records" / name).write_text(text)


def run(folder: Path, url: str, asked: list[str], *frames: bytes) -> list[Any]:
    """What a worker of the sources in this folder says of each frame, and what these queries then find."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, json.dumps(asked), *(frame.hex() for frame in frames)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
