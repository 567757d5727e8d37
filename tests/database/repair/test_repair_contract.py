"""What every record type keeps to when its repo is repaired, whichever file of unified_indexer/records it is.

The databases of this module are emptied for each test, not made anew.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator
from itertools import permutations

import pytest
import pytest_asyncio

from relay_simulator.encoding import tid
from testing.application_schema import TABLES
from testing.commits import START, Stream, at, put
from testing.contract import EMPTY, ROWS, STATUS, WAITING, Snapshot, changes, samples_of, snapshot, world
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.samples import ME
from testing.whole import Whole, repaired
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

pytestmark = pytest.mark.asyncio(loop_scope="module")
BY_COMMIT = re.compile(r'"commit_(rev|seq|time)": ("[^"]*"|null), ')
WAITS_AS = re.compile(r'"record": \{.*\}, ')
FIRST = 10  # seq of ME's first sample; lower ones are the world's
REV = tid(int(START.timestamp() * 1_000_000) + 10**9, 0)
BUSY = {f"{STATUS}/self": {"$type": STATUS, "status": "busy"}}  # what ME has in the world


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["own", "application"])
async def ready(request: pytest.FixtureRequest, pg18: PostgresServer) -> AsyncIterator[Worker]:
    """A worker on a database of its own, or on an application's."""
    name = f"repairs_{request.param}"
    async with connected(pg18.url_of("postgres")) as connection:
        # Work that xdist steals may set the module up a second time in one process.
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {name}")
    if request.param == "application":
        async with connected(pg18.url_of(name)) as connection:
            await connection.execute(TABLES)
    async with opened(pg18.url_of(name), durable=False) as worker:
        yield worker


async def begin(worker: Worker) -> None:
    await worker.connection.execute(EMPTY + "DELETE FROM unified_worker.commit_times; DELETE FROM unified_worker.repairs;")
    assert set(await worker.write(*world(Stream()))) == {"applied"}


@pytest_asyncio.fixture(loop_scope="module")
async def worker(ready: Worker) -> Worker:
    """The same, with the world alone in its tables."""
    await begin(ready)
    return ready


@pytest.fixture(params=RECORD_TYPES, ids=lambda record_type: record_type.table)
def record_type(request: pytest.FixtureRequest) -> RecordType:
    return request.param


async def rows(worker: Worker) -> Snapshot:
    """All rows, without what only the stream says of their commits, and whom they tell of what."""
    found = await snapshot(worker.connection, tables=[table for table in (*ROWS, WAITING) if table != "notifications"])
    found[WAITING] = [WAITS_AS.sub("", line) for line in found[WAITING]]
    return {table: [BY_COMMIT.sub("", line) for line in lines] for table, lines in found.items()}


async def test_a_repair_gives_the_rows_that_the_repo_s_commits_would(worker: Worker, record_type: RecordType) -> None:
    """Whatever was there before: nothing, the same, another record. Each says when its commit came: gates judge by that."""
    samples = samples_of(record_type)
    records = [{**record, "createdAt": at((FIRST + 1) / 60)} for record in samples.records]
    for number, record in enumerate(records):
        await begin(worker)
        await worker.write(Stream(FIRST).commit("me", put(samples.path, record)))
        expected = await rows(worker)
        whole = Whole(REV, {**BUSY, samples.path: record})
        ended = await repaired(worker, "me", whole)
        assert ended.counts == Counter(same=2), "what is right is not touched"
        assert changes(expected, await rows(worker)) == []
        await begin(worker)
        ended = await repaired(worker, "me", whole)
        assert ended.counts == Counter(put=1, same=1)
        assert changes(expected, await rows(worker)) == []
        assert await worker.value(f"SELECT count(*) FROM notifications WHERE author_did = '{ME}'") == 0
        for before in records[:number] + records[number + 1 :]:
            await begin(worker)
            await worker.write(Stream(FIRST).commit("me", put(samples.path, before)))
            assert (await repaired(worker, "me", whole)).counts == Counter(put=1, same=1)
            assert changes(expected, await rows(worker)) == []


async def test_with_a_record_goes_all_that_follows_from_it(worker: Worker, record_type: RecordType) -> None:
    samples = samples_of(record_type)
    expected = await rows(worker)
    for record in samples.records:
        await worker.write(Stream(FIRST).commit("me", put(samples.path, record)))
        assert (await repaired(worker, "me", Whole(REV, BUSY))).counts == Counter(gone=1, same=1)
        after = await rows(worker)
        assert [line for line in changes(expected, after) if not line.startswith("users:")] == []
        await begin(worker)


async def test_of_two_records_with_one_key_the_older_holds_it(worker: Worker, record_type: RecordType) -> None:
    """Case 14: within the repo, and against what is there and waits."""
    if not record_type.unique:
        pytest.skip("it has no unique key")
    samples = samples_of(record_type)
    collection, record = samples.collection, samples.records[0]
    paths = [f"{collection}/{tid(int(START.timestamp() * 1_000_000) - 10**6 * age, 0)}" for age in (3, 2, 1)]
    await worker.write(*(Stream(FIRST + age).commit("me", put(path, record)) for age, path in enumerate(paths)))
    expected = await rows(worker)
    assert len(expected[WAITING]) == 2
    whole = Whole(REV, {**BUSY, **dict.fromkeys(paths, record)})
    assert (await repaired(worker, "me", whole)).counts == Counter(same=4)
    for first, second in permutations(range(3), 2):
        await begin(worker)
        stream = Stream(FIRST)
        await worker.write(stream.commit("me", put(paths[first], record)), stream.commit("me", put(paths[second], record)))
        assert (await repaired(worker, "me", whole)).counts == Counter(put=1, same=3)
        found = await rows(worker)
        assert len(found[WAITING]) == 2
        if not record_type.rivals:
            assert changes(expected, found) == []
