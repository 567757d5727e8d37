"""Who holds a handle: the account whose claim came first, for as long as it stands, whatever times others write."""

from datetime import UTC, datetime

import pytest

from testing.commits import POST, PROFILE, Stream, did, post, profile, put
from testing.database_side import Worker, opened
from testing.databases import connected
from unified_indexer.database.schema import tables
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.records import RECORD_TYPES

HANDLES = "SELECT right(did, 1), handle FROM users ORDER BY 1"
PLACES = "SELECT did, handle, handle_place, place_relay, place_seq FROM unified_worker.repos ORDER BY did"
NONE = "handle.invalid"


async def held(worker: Worker) -> dict[str, str]:
    return dict(await worker.connection.fetch(HANDLES))


async def users(worker: Worker, stream: Stream, names: str) -> None:
    await worker.write(*(stream.commit(name, put(f"{PROFILE}/self", profile(name.upper()))) for name in names))


async def test_a_handle_is_held_by_who_claimed_it_first(both_worker: Worker) -> None:
    stream = Stream()
    await users(both_worker, stream, "ab")
    assert await both_worker.write(stream.identity("a", "x.test"), stream.identity("c", "c.test")) == ["applied"] * 2
    search = await both_worker.value("SELECT search_vector::text FROM users WHERE did = $1", did("a"))
    assert "x.test" in search
    assert "'a'" in search
    await both_worker.write(stream.identity("b", "x.test"))
    assert await held(both_worker) == {"a": "x.test", "b": NONE}
    assert await both_worker.write(stream.identity("a", None)) == ["no_news"]
    assert await held(both_worker) == {"a": "x.test", "b": NONE}
    await both_worker.write(stream.identity("a", "handle.invalid"), stream.commit("c", put(f"{POST}/1", post())))
    assert await held(both_worker) == {"a": NONE, "b": "x.test", "c": "c.test"}, "b has waited for it"


@pytest.mark.parametrize("time", [datetime(2999, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)])
async def test_no_time_takes_the_handle_of_another(worker: Worker, time: datetime) -> None:
    stream = Stream()
    await users(worker, stream, "abc")
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    await worker.write(stream.identity("c", "x.test")._replace(time=time))
    assert await held(worker) == {"a": "x.test", "b": NONE, "c": NONE}
    await worker.write(stream.identity("a", "new.test"))
    assert await held(worker) == {"a": "new.test", "b": "x.test", "c": NONE}, "nor does it pass those that wait"


async def test_what_a_holder_does_that_keeps_its_handle(worker: Worker, database: str) -> None:
    stream = Stream()
    await users(worker, stream, "ab")
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"), stream.identity("a", "x.test"))
    assert await held(worker) == {"a": "x.test", "b": NONE}
    for status in ("deactivated", "takendown", "suspended", "throttled"):
        await worker.write(stream.account("a", False, status), stream.identity("b", "x.test"))
        assert await held(worker) == {"a": "x.test", "b": NONE}
    async with opened(database, name="another.relay") as other:
        other_stream = Stream()
        other_stream.seq = 1_000
        await other.write(other_stream.identity("a", "x.test"), other_stream.identity("b", "x.test"))
    assert await held(worker) == {"a": "x.test", "b": NONE}


async def test_a_deleted_account_lets_go_and_returns_to_the_end(both_worker: Worker) -> None:
    stream = Stream()
    await users(both_worker, stream, "abc")
    await both_worker.write(*(stream.identity(name, "x.test") for name in "ab"), stream.account("a", False, "deleted"))
    assert await held(both_worker) == {"a": NONE, "b": "x.test", "c": NONE}
    await both_worker.write(stream.identity("a", "y.test"), stream.identity("a", "x.test"), stream.identity("c", "x.test"))
    assert await held(both_worker) == {"a": NONE, "b": "x.test", "c": NONE}
    await both_worker.write(stream.account("a", True), stream.identity("b", "b.test"))
    assert await held(both_worker) == {"a": NONE, "b": "b.test", "c": "x.test"}, "c claimed it while a was away"
    await both_worker.write(stream.identity("c", "c.test"))
    assert await held(both_worker) == {"a": "x.test", "b": "b.test", "c": "c.test"}


async def test_an_account_without_a_row_in_users_holds_a_handle_too(worker: Worker) -> None:
    stream = Stream()
    await users(worker, stream, "b")
    await worker.write(stream.identity("a", "x.test"), stream.identity("b", "x.test"))
    assert await held(worker) == {"b": NONE}
    await users(worker, stream, "a")
    assert await held(worker) == {"a": "x.test", "b": NONE}


async def test_claims_of_one_relay_stand_by_their_seqs_however_lanes_run(worker: Worker) -> None:
    stream = Stream()
    await users(worker, stream, "abcd")
    claims = [stream.identity(name, "x.test") for name in "abcd"]
    for place in (2, 0, 3, 1):
        await worker.write(claims[place])
        first = "a" if place != 2 else "c"
        assert (await held(worker))[first] == "x.test"
        assert list((await held(worker)).values()).count("x.test") == 1
    for name, following in ("ab", "bc", "cd"):
        await worker.write(stream.identity(name, "handle.invalid"))
        assert (await held(worker))[following] == "x.test"


async def test_a_relay_that_began_its_seqs_again_takes_no_handle(worker: Worker) -> None:
    stream = Stream()
    await users(worker, stream, "ab")
    await worker.write(stream.identity("a", "x.test"))
    await worker.connection.execute("UPDATE unified_worker.repos SET placed_at = now() - interval '2 hours'")
    await worker.write(stream.identity("b", "x.test")._replace(seq=1))
    assert await held(worker) == {"a": "x.test", "b": NONE}


async def test_a_replay_moves_no_handle(worker: Worker) -> None:
    stream = Stream()
    await users(worker, stream, "abc")
    story = [
        *(stream.identity(name, "x.test") for name in "abc"),
        stream.identity("a", "handle.invalid"),
        stream.account("b", False, "deleted"),
        stream.identity("a", "x.test"),
        stream.account("b", True),
    ]
    await worker.write(*story)
    places = await worker.connection.fetch(PLACES)
    assert await held(worker) == {"a": NONE, "b": NONE, "c": "x.test"}
    assert set(await worker.write(*story)) == {"stale_message"}
    assert await worker.connection.fetch(PLACES) == places


EARLIER = f"""
INSERT INTO unified_worker.repos (did, rev, handle, handle_at, handle_seq, active, status) VALUES
  ('{did("a")}', '', 'x.test', '2026-01-01', 1, true, NULL), ('{did("b")}', '', 'x.test', '2026-01-03', 3, true, NULL),
  ('{did("c")}', '', 'x.test', '2026-01-02', 2, true, NULL), ('{did("d")}', '', 'x.test', '2026-01-04', 4, false, 'deleted');
INSERT INTO users (did, handle) SELECT did, CASE WHEN handle_seq = 3 THEN handle ELSE 'handle.invalid' END
FROM unified_worker.repos
"""


async def test_who_held_a_handle_before_an_upgrade_holds_it_after(database: str) -> None:
    async with connected(database) as connection:
        await connection.execute(f"{OWN_SCHEMA}; {OWN_VERSION}")
        for number, step in enumerate(MIGRATIONS[:3], 1):
            await connection.execute(step)
            await connection.execute("INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public')", number)
        for statement in tables.create("public", RECORD_TYPES):
            await connection.execute(statement)
        await connection.execute(EARLIER)
    async with opened(database) as worker:
        stream = Stream()
        stream.seq = 20_000_000  # a year's seconds later
        await worker.write(stream.identity("e", "x.test"))
        assert (await held(worker))["b"] == "x.test"
        for name, following in ("ba", "ac", "ce"):
            await worker.write(stream.identity(name, "handle.invalid"), stream.commit("e", put(f"{POST}/1", post())))
            assert (await held(worker))[following] == "x.test"
