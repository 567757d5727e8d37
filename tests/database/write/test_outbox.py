"""What PUBLISH is to say is written with what it tells of, and read in the order of each repo."""

from collections.abc import AsyncIterator

import pytest

from testing.commits import LIKE, POST, Stream, delete, did, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.whole import Whole, repaired
from tests.database.repair.test_many_repos import REV
from unified_indexer.database.dead_letters.retry import Kept, retry
from unified_indexer.database.write.outbox import Place, Row, flush
from unified_indexer.publishing.entries import fields
from unified_indexer.selection import EVERYTHING

WAITS = "SELECT id, what, did, rev, seq, kinds, uris, cids, active, status FROM unified_worker.outbox ORDER BY id"
ROW = "INSERT INTO unified_worker.outbox (what, did, rev) VALUES ('commit', 'did:plc:x', '') RETURNING id"
NUMBER = "SELECT nextval(pg_get_serial_sequence('unified_worker.outbox', 'id'))"


@pytest.fixture
async def publishing(database: str) -> AsyncIterator[Worker]:
    async with opened(database, publishes=True) as worker:
        yield worker


async def told(worker: Worker) -> list[dict[str, object]]:
    """The entries of all rows, without those that say nothing; the operations as (action, path)."""
    entries: list[dict[str, object]] = []
    for row in await worker.connection.fetch(WAITS):
        flat = fields(Row(*row))
        if flat is not None:
            entries.append(dict(zip(map(str, flat[::2]), flat[1::2], strict=True)))
    return entries


@pytest.mark.promise(2)
async def test_what_was_written_is_told_and_nothing_else(publishing: Worker) -> None:
    worker, stream = publishing, Stream()
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'bad')")
    commit = stream.commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", {"$type": LIKE}), delete(f"{POST}/2"))
    nothing = (
        commit,  # stale
        stream.commit("a"),  # without operations
        stream.commit("b", put(f"{LIKE}/1", {"$type": LIKE})),  # refused by us
        stream.commit("c", put(f"{POST}/1", post("bad"))),  # refused by the database
        stream.broken("d", put(f"{POST}/1", post())),
        stream.account("e", False, "deactivated"),
        stream.commit("e", put(f"{POST}/1", post())),  # of an account that is not active
    )
    await worker.write(commit)
    await worker.write(*nothing)
    uri = f"at://{did('a')}/{POST}"
    first, account = await told(worker)
    ops = f'[{{"action":"put","uri":"{uri}/1","cid":"{await worker.value("SELECT cid FROM posts")}"}}'
    assert first == {
        "kind": "commit",
        "did": did("a"),
        "rev": commit.rev,
        "seq": commit.seq,
        "ops": f'{ops},{{"action":"delete","uri":"{uri}/2"}}]'.encode(),
    }
    assert account["kind"] == "account"
    assert (account["did"], account["active"], account["status"]) == (did("e"), 0, "deactivated")


async def test_letters_that_are_applied_are_told_under_the_rev_that_the_repo_has_then(publishing: Worker) -> None:
    worker, stream = publishing, Stream()
    await worker.connection.execute("ALTER TABLE posts ADD CONSTRAINT sound CHECK (text <> 'bad')")
    refused, later = stream.commit("a", put(f"{POST}/1", post("bad"))), stream.commit("a", put(f"{POST}/2", post()))
    await worker.write(refused, later)
    await worker.connection.execute("ALTER TABLE posts DROP CONSTRAINT sound")
    letter = await worker.connection.fetchrow("SELECT did, rev, reason, frame_sha256 FROM unified_worker.dead_letters")
    assert letter is not None
    async with worker.pool.connection() as connection:
        await retry(connection, Kept(*letter), EVERYTHING)
    entries = await told(worker)
    assert [(entry["kind"], entry["rev"], entry["seq"]) for entry in entries] == [
        ("commit", later.rev, later.seq),
        ("retried", later.rev, refused.seq),
    ]
    assert f"{POST}/1".encode() in str(entries[1]["ops"]).encode()


async def test_a_repair_is_told_when_it_is_done_and_where_it_wrote(publishing: Worker) -> None:
    worker = publishing
    await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
    whole = Whole(REV, {f"{POST}/3kaaaaaaaaa2a": post("found")})
    await repaired(worker, "a", whole)
    await repaired(worker, "a", whole)  # nothing is missing now
    entries = await told(worker)
    assert [(entry["kind"], entry["rev"]) for entry in entries[1:]] == [("repaired", REV)]


async def test_nothing_is_noted_without_publish(worker: Worker) -> None:
    stream = Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())), stream.account("a", False, "deleted"))
    assert await worker.value("SELECT count(*) FROM unified_worker.outbox") == 0


async def read(worker: Worker, place: Place) -> list[int]:
    """The ids that the publisher reads, and passes."""
    rows = await place.next(worker.connection, 10)
    if rows:
        place.passed(rows, await flush(worker.connection, place.after, durable=False))
    return [row.id for row in rows]


@pytest.mark.promise(4)
async def test_what_commits_late_is_read_before_what_follows_on_it(database: str, worker: Worker) -> None:
    """And an id whose transaction was undone is asked for no longer than transactions of its time run."""
    place = Place()

    async def ids() -> list[int]:
        return await read(worker, place)

    async with connected(worker.pool.url) as late:
        transaction = late.transaction()
        await transaction.start()
        first = await late.fetchval(ROW)
        second = await worker.value(ROW)
        assert await ids() == [second]
        assert first in place.awaited
        await transaction.commit()
        third = await worker.value(ROW)
        assert await ids() == [first, third]
    undone = await worker.value(NUMBER)
    fifth = await worker.value(ROW)
    assert await ids() == [fifth]
    assert undone in place.awaited
    await worker.value("SELECT pg_current_xact_id()")
    assert await ids() == []
    assert place.awaited == set()


@pytest.mark.promise(4)
async def test_what_commits_late_is_awaited_though_an_older_transaction_ends_first(database: str, worker: Worker) -> None:
    """The id of the transaction that runs is above all that have ended."""
    place = Place()
    async with connected(worker.pool.url) as older, connected(worker.pool.url) as late:
        before, after = older.transaction(), late.transaction()
        await before.start()
        await older.fetchval("SELECT pg_current_xact_id()")
        await after.start()
        first = await late.fetchval(ROW)
        second = await older.fetchval(ROW)
        await before.commit()
        assert await read(worker, place) == [second]
        assert await read(worker, place) == []
        assert first in place.awaited
        await after.commit()
        assert await read(worker, place) == [first]
