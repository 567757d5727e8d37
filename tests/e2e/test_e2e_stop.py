"""Signals: what was read is written, the cursor is saved, exit 0 within ten seconds; a second signal leaves at once."""

import itertools
import re
import signal
import time
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.authors import Author, liking
from testing.databases import connected, differences, saved, stored_cursor
from testing.processes import Process
from testing.traffic import traffic, traffic_of
from testing.waiting import until
from testing.workers import settings
from unified_indexer.embedded.server import PostgresServer

LIMIT = 10.0  # seconds that a stop may take, by the promise
LIKES = 6_000
SLACK = 5.0  # seconds for a machine that is busy with other tests

CLIENTS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.promise(2)
async def test_a_signal_in_mid_stream_drains_saves_and_exits_with_0(
    database: str, tmp_path: Path, number: signal.Signals
) -> None:
    """The cursor is that of the last event in the database, and what comes after it is taken up at the next start."""
    authors = [Author(f"steady{letter}") for letter in "abcdefgh"]
    stream = traffic_of(
        author.commit(seq, seq / 100, liking("create", f"like{seq}", seq))
        for seq, author in zip(range(1, LIKES + 1), itertools.cycle(authors), strict=False)
    )
    async with RelayServer(stream.frames) as relay, connected(database) as connection:
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            await worker.says("Connected to ")

            async def under_way() -> bool:
                return await connection.fetchval("SELECT count(*) > 500 FROM likes")

            await until(under_way, "some are written")
            worker.signal(number)
            assert await worker.ends(LIMIT) == 0
            assert f"[INFO] {number.name}: stopping" in worker.output
            assert worker.output.endswith("[INFO] Stopped\n")
            assert "Traceback" not in worker.output
        rows, highest = await connection.fetchrow("SELECT count(*), max(commit_seq::bigint) FROM likes") or (0, 0)
        assert rows < LIKES, "the signal did not come in mid-stream"
        # This stream has one commit a seq: all up to the cursor, and nothing beyond it.
        assert await stored_cursor(database, relay.url) == highest == rows
        async with Process(tmp_path, **settings(database, relay.url)) as worker:
            await saved(database, relay.url, stream.last_seq)
        assert relay.cursors == [0, rows]
    assert await differences(database, stream.model) == []


async def test_the_process_is_gone_from_the_database_after_a_stop(database: str, tmp_path: Path) -> None:
    async with RelayServer(traffic(1_000).frames) as relay, Process(tmp_path, **settings(database, relay.url)) as worker:
        await worker.says("Processed [0-9,]+ events")
        worker.signal(signal.SIGTERM)
        assert await worker.ends(LIMIT) == 0
        async with connected(database) as connection:

            async def alone() -> bool:
                return await connection.fetchval(CLIENTS) == 1

            await until(alone, "no connection of the worker is left", seconds=2)


async def test_a_stop_before_the_first_connection(database: str, tmp_path: Path) -> None:
    """No relay listens; the worker waits between two attempts."""
    async with Process(tmp_path, **settings(database, "ws://127.0.0.1:9")) as worker:
        await worker.says(r"\[WARNING\] Cannot connect to ws://127\.0\.0\.1:9 .*; reconnecting in ")
        worker.signal(signal.SIGTERM)
        assert await worker.ends(2) == 0
    assert await stored_cursor(database, "ws://127.0.0.1:9") is None


async def test_a_second_signal_leaves_at_once(database: str, tmp_path: Path) -> None:
    """The first one can't be obeyed: the test holds a table."""
    async with RelayServer(traffic(1_000).frames) as relay, Process(tmp_path, **settings(database, relay.url)) as worker:
        await worker.says("Connected to ")
        async with connected(database) as connection, connection.transaction():
            await connection.execute("LOCK TABLE likes")
            relay.append(traffic(1_001).frames[-1])
            worker.signal(signal.SIGTERM)
            await worker.says("SIGTERM: stopping")
            worker.signal(signal.SIGTERM)
            assert await worker.ends(1) == 128 + signal.SIGTERM


@pytest.mark.long
@pytest.mark.parametrize("noticed", [False, True])
async def test_sigterm_while_the_database_is_away(private_server: PostgresServer, tmp_path: Path, noticed: bool) -> None:
    """Exit 0 all the same, the cursor where it was, and a WARNING that says so; afterwards nothing is missing.

    `noticed`: the worker is already trying to connect again.
    """
    stream = traffic(3_000)
    async with RelayServer(stream.frames, rate=300) as relay:
        async with Process(tmp_path, **settings(private_server.url, relay.url)) as worker:
            await worker.says("Processed [0-9,]+ events")
            cursor = await _saved_at_all(private_server.url, relay.url)
            async with connected(private_server.url) as connection:
                await connection.execute("CHECKPOINT")  # it is visible; now it is durable too
            await private_server.stop("immediate")
            if noticed:
                await worker.says("The database does not answer")
            began = time.monotonic()
            worker.signal(signal.SIGTERM)
            assert await worker.ends(LIMIT + SLACK) == 0
            assert re.search(r"\[WARNING\] .*cursor is unchanged", worker.output), worker.output
            assert "Traceback" not in worker.output
            assert time.monotonic() - began < LIMIT + SLACK
        await private_server.start()
        after = await stored_cursor(private_server.url, relay.url)
        assert after is not None
        assert cursor <= after < stream.last_seq
        async with Process(tmp_path, **settings(private_server.url, relay.url)) as worker:
            await saved(private_server.url, relay.url, stream.last_seq)
        assert relay.cursors[-1] == after
    assert await differences(private_server.url, stream.model) == []


async def _saved_at_all(url: str, relay_url: str) -> int:
    async def there() -> bool:
        return await stored_cursor(url, relay_url) is not None

    await until(there, "a cursor is saved")
    return await stored_cursor(url, relay_url) or 0
