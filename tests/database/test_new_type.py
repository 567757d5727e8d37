"""A new record type is one file in the folder and nothing else: its table comes by itself, in a database that is in use."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.database.builder import Stream, at, delete, did, post, put
from tests.database.worker import connected, opened

ROOT = Path(__file__).parents[2]
STATUS = "app.bsky.actor.status"

FILE = '''
"""app.bsky.actor.status: what an account is doing, and with whom."""

from indexer.effects import count, notification
from indexer.record_type import (
    CID, CREATED_AT, INDEXED_AT, KEY, URI, Column, Place, Record, RecordType, Row, created_at, required_did, required_text,
)


def row(record: Record, _at: Place) -> Row:
    """The other's DID, and the status."""
    return Row(required_did(record, "with"), None, created_at(record), {"status": required_text(record, "status")})


RECORD = RecordType(
    collection="app.bsky.actor.status",
    table="statuses",
    row=row,
    columns=(
        URI,
        CID,
        Column(name="author_did", type=f"{KEY} NOT NULL", value="p_did"),
        Column(name="with_did", type=f"{KEY} NOT NULL", value="v_subject"),
        Column(name="status", type="text NOT NULL", value="v_rest ->> 'status'"),
        CREATED_AT,
        INDEXED_AT,
    ),
    indexes=("author_did",),
    rkey="self",
    effects=(
        count("like_count", "{uri}"),
        notification("mention", suffix="with", author="{author_did}", recipient="{with_did}"),
    ),
)
'''
# The worker's database side, without its stream: frames in, and after each what the tables say.
PROGRAM = """
import asyncio, json, sys
from indexer.database.audit import look
from indexer.database.audit_notices import notifications
from indexer.database.audit_rows import derived
from indexer.database.pool import DatabasePool
from indexer.database.ready import make_ready
from indexer.database.rebuild import Rebuild
from indexer.database.writer import Writer
from indexer.protocol.frames import decode
from indexer.records import RECORD_TYPES
from unified_worker import UnifiedWorker

DERIVED = {"post_aggregations": "post_uri", "notifications": "uri"}

async def rows(connection):
    queries = [f"SELECT t.xmin::text, t::text FROM {table} AS t ORDER BY 2" for table in DERIVED]
    return [tuple(row) for query in queries for row in await connection.fetch(query)]

async def main(url, *frames):
    pool = DatabasePool(url, size=3, name="relay.test", durable=True)
    await make_ready(pool, RECORD_TYPES)
    for frame in frames:
        _, outcomes = await Writer(pool).write(0, [decode(bytes.fromhex(frame))])
        kinds = [*derived("public", RECORD_TYPES), notifications("public", RECORD_TYPES, strict=True)]
        async with pool.connection() as connection:
            for kind in kinds:
                found = await look(connection, kind, None)
                assert not found.differences, found
            before = await rows(connection)
        assert await Rebuild(pool).run()
        async with pool.connection() as connection:
            assert before == await rows(connection)
            for table in DERIVED:
                done = await connection.execute(f"DELETE FROM {table} WHERE {DERIVED[table]} LIKE '%actor.status%'")
                lost = sum([(await look(connection, kind, None)).differences for kind in kinds if kind.name == table])
                assert done == f"DELETE {lost}", (table, lost)
        assert await Rebuild(pool).run()
        async with pool.connection() as connection:
            for kind in kinds:
                assert not (await look(connection, kind, None)).differences
            statuses = await connection.fetch("SELECT author_did, with_did, status FROM statuses")
            told = await connection.fetch("SELECT uri, recipient_did, author_did, reason FROM notifications")
            print(json.dumps([outcomes, [list(row) for row in statuses], [list(row) for row in told]]))
    pool.terminate()

asyncio.run(main(*sys.argv[1:]))
"""


def run(folder: Path, url: str, *frames: bytes) -> list[Any]:
    """What a worker of the sources in this folder says of each frame."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, url, *(frame.hex() for frame in frames)],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_one_file_is_a_record_type(database: str, tmp_path: Path) -> None:
    stream = Stream()
    async with opened(database) as worker:  # as it was before the file
        await worker.write(stream.commit("a", put("app.bsky.feed.post/1", post())))
    shutil.copytree(ROOT / "indexer", tmp_path / "indexer", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "unified_worker.py", tmp_path)
    (tmp_path / "indexer" / "records" / "status.py").write_text(FILE)

    def status(text: str, other: str) -> dict[str, Any]:
        return {"$type": STATUS, "status": text, "with": did(other), "createdAt": at(0)}

    path, uri = f"{STATUS}/self", f"at://{did('a')}/{STATUS}/self"
    notice = [f"{uri}#notification/with", did("b"), did("a"), "mention"]
    steps = run(
        tmp_path,
        database,
        stream.frame("a", put(path, status("cooking", "b"))),
        stream.frame("a", put(path, status("eating", "b"), "update")),
        stream.frame("a", put(path, {**status("eating", "b"), "with": "nobody"}, "update")),
        stream.frame("a", put(path, status("eating", "a"), "update")),
        stream.frame("a", delete(path)),
    )
    assert steps == [
        [["applied"], [[did("a"), did("b"), "cooking"]], [notice]],
        [["applied"], [[did("a"), did("b"), "eating"]], [notice]],
        [["applied"], [[did("a"), did("b"), "eating"]], [notice]],  # refused, and kept
        [["applied"], [[did("a"), did("a"), "eating"]], []],  # nobody hears of their own act
        [["applied"], [], []],
    ]
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM posts") == 1
        letters = await connection.fetch("SELECT path, reason FROM unified_worker.dead_letters")
        assert [tuple(letter) for letter in letters] == []  # a later operation closed the one that there was
        assert await connection.fetchval("SELECT count(*) FROM generic_records") == 0
