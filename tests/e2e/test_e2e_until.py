"""--until: the run ends by itself, with exactly what came before in the database and the cursor there."""

import itertools
import signal
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.authors import Author, liking
from testing.databases import connected, stored_cursor
from testing.processes import Process
from testing.traffic import traffic_of
from testing.workers import settings

LAST = 800
LEFT_OUT = range(300, 302)  # seqs that the relay never gave
ROWS = "SELECT count(*), max(commit_seq::bigint) FROM likes"


@pytest.mark.long
async def test_it_ends_at_a_seq_or_a_time_with_all_before_it_and_nothing_after(database: str, tmp_path: Path) -> None:
    authors = itertools.cycle([Author(f"steady{letter}") for letter in "abcdefgh"])
    commits = [
        next(authors).commit(seq, seq, liking("create", f"like{seq}", seq)) for seq in range(1, LAST + 1) if seq not in LEFT_OUT
    ]
    stream = traffic_of(commits)
    times = {commit.truth.seq: commit.truth.time for commit in commits}
    async with RelayServer(stream.frames) as relay, connected(database) as connection:

        async def run(until: str, cursor: int, rows: int) -> str:
            async with Process(tmp_path, "--until", until, **settings(database, relay.url)) as worker:
                assert await worker.ends() == 0, worker.output
            assert worker.output.endswith("[INFO] Stopped\n")
            assert f"Reached --until {until}: everything up to seq {cursor} is in the database" in worker.output
            assert await stored_cursor(database, relay.url) == cursor
            assert tuple(await connection.fetchrow(ROWS) or ()) == (rows, cursor)
            return worker.output

        await run("300", 299, 299)  # which a later event shows to be behind
        await run("450", 450, 448)
        connections = relay.connections
        await run("450", 450, 448)
        assert relay.connections == connections, "what is reached already needs no relay"
        await run(times[600], 600, 598)
        how = await connection.fetchval("SELECT how FROM unified_worker.runs ORDER BY started_at DESC LIMIT 1")
        assert how == f"--until {times[600]}"
        async with Process(tmp_path, "--until", "1000", "--hold", **settings(database, relay.url)) as worker:
            await worker.says("Connected to ")
            worker.signal(signal.SIGTERM)
            assert await worker.ends() == 0, "it may be stopped before"
        assert "Reached" not in worker.output


async def test_what_it_does_not_take_is_said_before_anything_starts(tmp_path: Path) -> None:
    async with Process(tmp_path, "--until", "soon") as worker:
        assert await worker.ends() == 2
    assert "argument --until: write a seq (0 to " in worker.output
    env = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/x", "RELAY_URL": "redis://127.0.0.1:9/0"}
    async with Process(tmp_path, "--until", "7", **env) as worker:
        assert await worker.ends() == 2
    assert "--until is for a relay's own stream" in worker.output
