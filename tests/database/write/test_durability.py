"""What a call has acknowledged is on disk, though sessions commit without waiting for it."""

from collections.abc import AsyncIterator

import pytest

from testing.commits import POST, Stream, did, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.servers import SAFE, kill9, make_server, server_directory
from unified_indexer.database.functions.dead_letters import functions
from unified_indexer.database.write import outbox
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.protocol.events import Commit, RepoEvent, Unusable

ENDINGS = ("applied", "stale", "fork", "refused", "kept", "stale and broken")


# Nothing else writes to the log: what is flushed was flushed by the call, and what is not was written by it.
ALONE = {"wal_writer_delay": "10s", "autovacuum": "off", "wal_level": "minimal", "max_wal_senders": "0"}


@pytest.fixture
async def lazy_server() -> AsyncIterator[PostgresServer]:
    """A server that flushes by itself after 10 seconds only."""
    with server_directory() as directory:
        server = make_server(18, directory, SAFE | ALONE)
        await server.start()
        yield server
        await server.stop("immediate")


def events(ending: str, stream: Stream) -> list[Commit | Unusable]:
    """A batch whose last event comes to such an end."""
    batch: list[Commit | Unusable] = [
        stream.commit(f"{ending}{n}".replace(" ", ""), put(f"{POST}/1", post())) for n in range(5)
    ]
    match ending:
        case "applied":
            pass
        case "stale":
            batch.append(batch[0])
        case "fork":
            batch.append(stream.commit("fork0", rev=batch[0].rev, content="another tree"))
        case "refused":
            batch.append(stream.commit("refused0", put(f"{POST}/2", post("bad"))))
        case "kept":
            batch.append(stream.broken("kept0", put(f"{POST}/2", post())))
        case _:
            old = stream.broken("staleandbroken0", put(f"{POST}/0", post()))
            batch += [stream.commit("staleandbroken0", put(f"{POST}/2", post())), old]
    return batch


async def flushed(worker: Worker, ending: str, stream: Stream) -> bool:
    """Whether all that the call wrote is on disk when it returns."""
    await worker.write(*events(ending, stream))
    return await worker.value("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")


@pytest.mark.promise(2)
async def test_a_call_returns_when_its_commits_are_on_disk(lazy_server: PostgresServer) -> None:
    async with opened(lazy_server.url) as worker:
        await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'bad')")
        stream = Stream()
        assert {ending: await flushed(worker, ending, stream) for ending in ENDINGS} == dict.fromkeys(ENDINGS, True)
    async with opened(lazy_server.url, name="another.relay", durable=False) as worker:
        assert not await flushed(worker, "applied", Stream(seq=1000)), "this test could not have failed"
        async with worker.pool.connection() as connection:
            await outbox.flush(connection, 0, durable=True)  # as what others wrote is, before anybody is told of it
        assert await worker.value("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")


@pytest.mark.promise(2)
async def test_a_call_whose_last_event_writes_nothing(lazy_server: PostgresServer) -> None:
    """A frame that may be forged, of an account that nobody knows, finds no room."""
    async with opened(lazy_server.url) as worker:
        for statement in functions(frames_bytes=0):
            await worker.connection.execute(statement)
        stream = Stream()
        commits = [stream.commit(f"a{n}", put(f"{POST}/1", post())) for n in range(5)]
        forged = Unusable(99, did("nobody"), commits[0].rev, None, (), "bad_signature", "", b"forged", marks=False)
        assert await worker.write(*commits, forged) == ["applied"] * 5 + ["frame_dropped"]
        assert await worker.value("SELECT pg_current_wal_flush_lsn() >= pg_current_wal_insert_lsn()")
        assert await worker.value("SELECT count(*) FROM unified_worker.lanes WHERE flushed_at IS NOT NULL") == 1


@pytest.mark.long
@pytest.mark.promise(2)
async def test_what_is_acknowledged_survives_the_server_s_death(lazy_server: PostgresServer) -> None:
    acknowledged: list[RepoEvent] = []
    async with opened(lazy_server.url) as worker:
        stream = Stream()
        for ending in ("applied", "stale", "stale and broken"):
            batch = events(ending, stream)
            await worker.write(*batch)
            acknowledged += batch
        await kill9(lazy_server)
    await lazy_server.start()
    async with connected(lazy_server.url) as connection:
        found = {row["author_did"] for row in await connection.fetch("SELECT author_did FROM posts")}
        assert found == {event.repo for event in acknowledged if isinstance(event, Commit)}
        assert await connection.fetchval("SELECT count(*) FROM posts") == 16
