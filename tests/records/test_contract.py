"""What every record type of unified_indexer/records keeps to: a new file is tested without another line here.

The databases of this module are emptied for each test, not made anew.
"""

import asyncio
import functools
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import permutations
from typing import Any, cast

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, seed, settings

from testing.application_schema import TABLES
from testing.commits import START, Stream, delete, did, put
from testing.contract import EMPTY, WAITING, Snapshot, changes, samples_of, snapshot, world
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.garbage import DID as SOMEONE
from testing.garbage import GENERIC, PROFILE, key_of, records
from testing.samples import ME
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.background.wiper import wipe_step
from unified_indexer.database.recount.compare import compare
from unified_indexer.database.recount.notifications import notifications
from unified_indexer.database.recount.rows import derived
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.protocol.events import Account
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

pytestmark = pytest.mark.asyncio(loop_scope="module")
SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
DRAWN = 40  # pieces of garbage a type
MINE = re.compile(f'"(author|recipient)_did": "{ME}"')
FIRST = 10  # seq of ME's first sample; lower ones are the world's


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["own", "application"])
async def ready(request: pytest.FixtureRequest, pg18: PostgresServer) -> AsyncIterator[Worker]:
    """A worker on a database of its own, or on an application's."""
    name = f"contract_{request.param}"
    async with connected(pg18.url_of("postgres")) as connection:
        # Work that xdist steals may set the module up a second time in one process.
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
    if request.param == "application":
        async with connected(pg18.url_of(name)) as connection:
            await connection.execute(TABLES)
    async with opened(pg18.url_of(name), durable=False) as worker:
        yield worker


@pytest_asyncio.fixture(loop_scope="module")
async def worker(ready: Worker) -> Worker:
    """The same, with the world alone in its tables."""
    await begin(ready)
    return ready


async def begin(worker: Worker) -> None:
    await worker.connection.execute(EMPTY)
    assert set(await worker.write(*world(Stream()))) == {"applied"}


@pytest.fixture(params=RECORD_TYPES, ids=lambda record_type: record_type.table)
def record_type(request: pytest.FixtureRequest) -> RecordType:
    return request.param


async def final(worker: Worker, record_type: RecordType, record: int) -> Snapshot:
    """The tables if of all samples this one alone was ever written."""
    samples = samples_of(record_type)
    await begin(worker)
    await worker.write(Stream(FIRST + 1).commit("me", put(samples.path, samples.records[record])))
    return await snapshot(worker.connection)


@pytest.mark.promise(3)
async def test_a_replay_of_any_stretch_changes_nothing(worker: Worker, record_type: RecordType) -> None:
    samples, stream = samples_of(record_type), Stream(FIRST)
    puts = [stream.commit("me", put(samples.path, record)) for record in samples.records]
    commits = [*puts, stream.commit("me", delete(samples.path)), stream.commit("me", put(samples.path, samples.records[0]))]
    assert set(await worker.write(*commits)) == {"applied"}
    before = await snapshot(worker.connection, rewritten=True)
    for first in range(len(commits)):
        for end in range(first + 1, len(commits) + 1):
            assert set(await worker.write(*commits[first:end])) == {"stale"}
    assert changes(before, await snapshot(worker.connection, rewritten=True)) == []


async def test_an_update_of_what_was_not_created_creates_it(worker: Worker, record_type: RecordType) -> None:
    samples = samples_of(record_type)
    for number, record in enumerate(samples.records):
        expected = await final(worker, record_type, number)
        await begin(worker)
        stream = Stream(FIRST)
        late = stream.commit("me", put(samples.path, samples.records[number - 1]))
        assert await worker.write(stream.commit("me", put(samples.path, record, "update")), late) == ["applied", "stale"]
        assert changes(expected, await snapshot(worker.connection)) == []


async def test_after_an_update_it_is_as_if_nothing_else_had_been_written(worker: Worker, record_type: RecordType) -> None:
    samples = samples_of(record_type)
    expected = [await final(worker, record_type, number) for number in range(len(samples.records))]
    for old, new in permutations(range(len(samples.records)), 2):
        await begin(worker)
        stream = Stream(FIRST)
        commits = [stream.commit("me", put(samples.path, samples.records[number], "update")) for number in (old, new)]
        assert await worker.write(*commits) == ["applied", "applied"]
        assert changes(expected[new], await snapshot(worker.connection)) == [], f"{old} -> {new}"


async def test_with_a_record_goes_all_that_follows_from_it(worker: Worker, record_type: RecordType) -> None:
    samples = samples_of(record_type)
    before = await snapshot(worker.connection)
    stream = Stream(FIRST)
    for record in samples.records:
        await worker.write(stream.commit("me", put(samples.path, record)))
        assert changes(before, await snapshot(worker.connection)) != []
        assert await worker.write(stream.commit("me", delete(samples.path))) == ["applied"]
        left = changes(before, await snapshot(worker.connection))
        assert [line for line in left if '"reason": "unverified"' not in line] == []
        assert len(left) == (record_type.table == "verifications")  # that it was taken back stays told
        await worker.connection.execute("DELETE FROM notifications WHERE reason = 'unverified'")


DERIVED = ("post_aggregations", "feed_items", "quotes", "post_viewer_states", "thread_contexts", "notifications")
UNTOLD = re.compile('"cid": [^,]*, ')  # in no record table, for some types


async def differences(worker: Worker, table: str = "") -> int:
    """What check finds; of one table's rows, or in all."""
    kinds = [*derived("public"), notifications("public", strict=True)]
    asked = [kind for kind in kinds if table in ("", kind.name)]
    return sum([(await compare(worker.connection, kind, None)).differences for kind in asked])


async def test_rebuild_and_check_know_what_follows_from_it(worker: Worker, record_type: RecordType) -> None:
    """After each sample both find nothing. Of a derived row that is lost, check finds that one; the rebuild brings it back."""
    samples, stream = samples_of(record_type), Stream(FIRST)
    without = await snapshot(worker.connection, tables=DERIVED)
    for record in samples.records:
        await worker.write(stream.commit("me", put(samples.path, record)))
        before = await snapshot(worker.connection, rewritten=True)
        assert await differences(worker) == 0
        assert await Rebuild(worker.pool).run()
        assert changes(before, await snapshot(worker.connection, rewritten=True)) == []
    whole = await snapshot(worker.connection, tables=DERIVED)
    for table in DERIVED:
        if whole[table] == without[table]:
            continue
        for row in await worker.connection.fetch(f"SELECT t.ctid FROM {table} AS t WHERE t::text LIKE '%{ME}%'"):
            if await worker.connection.execute(f"DELETE FROM {table} WHERE ctid = $1", row["ctid"]) == "DELETE 1":
                assert await differences(worker, table) == 1
                assert await Rebuild(worker.pool).run()
                assert await differences(worker) == 0
    again = await snapshot(worker.connection, tables=DERIVED)
    for table in DERIVED:
        assert sorted(UNTOLD.sub("", line) for line in again[table]) == sorted(UNTOLD.sub("", line) for line in whole[table])


async def test_a_deletion_of_what_is_not_there_changes_nothing(worker: Worker, record_type: RecordType) -> None:
    before = await snapshot(worker.connection, rewritten=True)
    path = samples_of(record_type).path
    assert await worker.write(Stream(FIRST).commit("me", delete(path), delete(path + "x"))) == ["applied"]
    assert changes(before, await snapshot(worker.connection, rewritten=True)) == []
    assert await worker.letters() == []


async def test_an_update_that_can_t_be_used_leaves_what_was_there(worker: Worker, record_type: RecordType) -> None:
    samples, stream = samples_of(record_type), Stream(FIRST)
    await worker.write(stream.commit("me", put(samples.path, samples.records[0])))
    before = await snapshot(worker.connection, rewritten=True)
    await worker.write(stream.commit("me", put(samples.path, {**samples.records[0], "$type": "app.bsky.feed.other"})))
    assert changes(before, await snapshot(worker.connection, rewritten=True)) == []
    assert [(path, reason) for path, reason, _, _ in await worker.letters()] == [(samples.path, "wrong_type")]


async def test_an_account_s_wipe_takes_what_it_wrote_and_leaves_what_others_did(worker: Worker) -> None:
    """All types at once: then the tables are as if it had written nothing, and nobody had told it anything."""
    expected = {
        table: [line for line in lines if table not in ("generic_records", "notifications") or not MINE.search(line)]
        for table, lines in (await snapshot(worker.connection)).items()
    }
    stream = Stream(FIRST)
    everything = [samples_of(record_type) for record_type in RECORD_TYPES]
    for number in range(max(len(samples.records) for samples in everything)):
        ops = [
            put(samples.path if samples.rkey == "self" else f"{samples.path}{number or ''}", samples.records[number])
            for samples in everything
            if number < len(samples.records) and (number == 0 or not samples.collection.endswith("gate"))
        ]
        assert await worker.write(stream.commit("me", *ops)) == ["applied"]
    assert await worker.letters() == []
    full = await snapshot(worker.connection)
    assert all(any(ME in line for line in full[record_type.table]) for record_type in RECORD_TYPES)

    await worker.write(Account(FIRST + 90, ME, START + timedelta(hours=1), False, "deleted", b""))
    async with worker.pool.connection() as connection:
        while not await wipe_step(connection, ME):
            pass
    assert changes(expected, await snapshot(worker.connection)) == []


@functools.cache
def garbage(collection: str) -> list[dict[str, Any]]:
    """Records of a collection as hypothesis draws them."""
    drawn: list[dict[str, Any]] = []

    @seed(20260701)
    @settings(max_examples=DRAWN, database=None, deadline=None, suppress_health_check=SLOW)
    @given(records[collection])
    def draw(record: dict[str, Any]) -> None:
        drawn.append(record)

    draw()
    return drawn


def owned(value: Any, author: str) -> Any:
    """The same with `author` in the place of the garbage's account."""
    match value:
        case dict():
            return {name: owned(inner, author) for name, inner in cast("dict[str, Any]", value).items()}
        case list():
            return [owned(inner, author) for inner in cast("list[Any]", value)]
        case str():
            return value.replace(SOMEONE, author)
        case _:
            return value


@pytest.mark.promise(6)
async def test_garbage_becomes_a_row_or_a_letter_with_a_reason(worker: Worker, record_type: RecordType) -> None:
    """Each record by an account of its own."""
    collection, stream = samples_of(record_type).collection, Stream(FIRST)
    before = await snapshot(worker.connection)
    drawn = await asyncio.to_thread(garbage, collection)
    paths = [f"{collection}/{key_of(collection, '1')}"] * len(drawn)
    names = [f"g{number:03d}x" for number in range(len(drawn))]
    for name, path, record in zip(names, paths, drawn, strict=True):
        assert await worker.write(stream.commit(name, put(path, owned(record, did(name))))) == ["applied"]
    letters = await worker.connection.fetch("SELECT did, path, reason FROM unified_worker.dead_letters")
    assert [letter for letter in letters if not re.fullmatch("(?!database|foreign_key)[a-z_]+", letter["reason"])] == []
    refused = {(letter["did"], letter["path"]) for letter in letters}
    after = await snapshot(worker.connection)
    home = [*after[record_type.table], *after[WAITING]]
    for name, path in zip(names, paths, strict=True):
        if (did(name), path) in refused:
            assert [line for lines in after.values() for line in lines if did(name) in line] == []
        else:
            assert len([line for line in home if f'"{did(name)}"' in line or f'"at://{did(name)}/' in line]) == 1, name
    assert [line for table, lines in before.items() for line in lines if line not in after[table]] == []
    assert len(drawn) >= DRAWN
    assert len(refused) < len(drawn)
    assert refused or collection in (GENERIC, PROFILE)  # these two take nearly anything
