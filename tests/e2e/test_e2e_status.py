"""`status` as an operator types it: beside a worker and without one, on stdout alone, changing nothing."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from relay_simulator.faults import Say
from relay_simulator.server import RelayServer
from testing.application_schema import TABLES
from testing.authors import Author, liking
from testing.databases import connected, saved
from testing.processes import ROOT, Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import settings


class Answer(NamedTuple):
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str


async def asked(folder: Path, *arguments: str, url: str) -> Answer:
    """`unified_worker.py status …`, to its end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "unified_worker.py"), "status", *arguments),
        cwd=folder,
        env={"PATH": os.environ["PATH"], "DATABASE_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    answer = Answer(process.returncode or 0, out.decode(), err.decode())
    assert "Traceback" not in answer.err
    return answer


async def told(folder: Path, url: str) -> dict[str, Any]:
    answer = await asked(folder, "--json", url=url)
    assert (answer.code, answer.err) == (0, "")
    return json.loads(answer.out)


@pytest.mark.long
async def test_beside_a_worker_after_its_stop_and_after_its_death(database: str, tmp_path: Path) -> None:
    """On an application's tables; test_e2e_embedded.py asks it of the worker's own."""
    async with connected(database) as connection:
        await connection.execute(TABLES)
    stream = traffic(600, awkward=True)
    async with RelayServer(stream.frames) as relay, connected(database) as connection:
        env = settings(database, relay.url)
        async with Process(tmp_path, **env) as worker:
            await saved(database, relay.url, stream.last_seq)
            answer = await asked(tmp_path, url=database)
            assert (answer.code, answer.err) == (0, "")
            lines = answer.out.splitlines()
            assert lines[0] == relay.url.removeprefix("ws://")
            assert f"process {worker.pid} on " in answer.out
            assert f"cursor          {stream.last_seq}, stored " in answer.out
            assert "last stop" not in answer.out
            rows = await connection.fetchval("SELECT count(*) FROM posts")
            assert any(line.split()[:2] == ["posts", f"{rows:,}"] for line in lines)
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0
        found = await told(tmp_path, database)
        (first,) = found["relays"]
        assert (first["running"], first["cursor"], first["gaps"]) == (None, str(stream.last_seq), 0)
        assert first["runs"][0]["how"] == "SIGTERM"
        counts = first["runs"][0]["counts"]
        assert counts["finished"] == 600
        letters = await connection.fetch("SELECT reason, count(*) FROM unified_worker.dead_letters GROUP BY reason")
        assert found["dead_letters"]["by_reason"] == dict(map(tuple, letters))
        assert sum(counts["refused"].values()) >= len(letters) > 0
        async with Process(tmp_path, **env) as worker:
            await worker.says("Connected to ")
            runs = "SELECT count(*) FROM unified_worker.runs"
            await until(lambda: _is(connection, runs, 2), "the run is noted")
            assert "SIGTERM" in (await asked(tmp_path, url=database)).out
            worker.kill()
        locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"
        await until(lambda: _is(connection, locks, 0), "the server has seen its end")
        answer = await asked(tmp_path, url=database)
        assert "not running" in answer.out
        assert "last stop       did not shut down cleanly: killed" in answer.out
        did = await connection.fetchval("SELECT did FROM unified_worker.dead_letters WHERE did <> '' ORDER BY id LIMIT 1")
        answer = await asked(tmp_path, "--did", did, url=database)
        assert (answer.code, answer.out.splitlines()[0]) == (0, did)


async def _is(connection: Any, query: str, value: int) -> bool:
    return await connection.fetchval(query) == value


async def test_a_fault_is_the_last_word_of_a_run(database: str, tmp_path: Path) -> None:
    author = Author("counting")
    async with RelayServer([author.commit(50_000, 1, liking("create", "a", 1)).frame]) as relay:
        relay.script.append([Say(1, author.commit(7, 2, liking("create", "b", 1)).frame)])
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            assert await worker.ends() == 1
    answer = await asked(tmp_path, url=database)
    assert ", fault: 127.0.0.1:" in answer.out
    assert "restarted its numbering" in answer.out


@pytest.mark.long
async def test_what_it_refuses(database: str, tmp_path: Path) -> None:
    for did in ("alice.test", "did:plc:", "did:plc:x\x1b[2J", "'; DROP TABLE posts; --", "did:plc:" + "a" * 5000, ""):
        answer = await asked(tmp_path, "--did", did, url=database)
        assert (answer.code, answer.out) == (2, "")
        assert "write a DID" in answer.err
        assert "\x1b" not in answer.err
        assert len(answer.err) < 400
    answer = await asked(tmp_path, url=database)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "unified_worker: no worker has prepared this database yet: start the worker on it first, or correct DATABASE_URL\n"
    )
    answer = await asked(tmp_path, url="postgresql://user:geheim@127.0.0.1:9/nothing")
    assert (answer.code, answer.out) == (2, "")
    assert "start the database or correct the address" in answer.err
    assert "geheim" not in answer.err
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT to_regnamespace('unified_worker') IS NULL")
