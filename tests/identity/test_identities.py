"""Identities: from memory, from the table, looked up; and what nobody can make us do."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from aiohttp import web

from relay_simulator import keys
from testing.database_side import Worker
from testing.waiting import until
from testing.web_site import Site, answering, telling, unregistered, web_site
from unified_indexer.accounts.documents import Documents
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity import asker, memory, pace, records, resolver
from unified_indexer.identity.client import Client
from unified_indexer.identity.document import Identity
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.resolver import Identities
from unified_indexer.protocol.keys import SigningKey

FAST = 500  # look-ups a second
DAY = 86_400


def did(number: int) -> str:
    return keys.did(1, number)


class World(NamedTuple):
    """A directory, and the identities that are asked of it. `settings`: how they were made, to make others like them."""

    directory: Site
    identities: Identities
    worker: Worker
    heard: list[tuple[str, Identity | NoIdentity]]

    def publish(self, number: int, key: int | None = None) -> None:
        """The directory says of this account that it has this key."""
        document = keys.did_document(did(number), f"user{number}.test", keys.signer(1, number if key is None else key))
        self.directory.paths[f"/{did(number)}"] = telling(document)

    def asked(self, number: int) -> int:
        return self.directory.asked(f"/{did(number)}")

    def knows(self, number: int, key: int | None = None) -> bool:
        """Whether that account's key is known, and is this one."""
        known = self.identities.known(did(number))
        return not (known is None or isinstance(known, NoIdentity)) and fits(known, number if key is None else key)

    async def looked_up(self, *numbers: int) -> None:
        await self.identities.load([did(number) for number in numbers])
        await until(lambda: all(self.identities.known(did(number)) is not None for number in numbers), "they are known", 20)

    async def stored(self, number: int) -> tuple[int, str | None] | None:
        """The state and the host of an account in the table."""
        query = """SELECT state, url FROM unified_worker.identities AS i LEFT JOIN unified_worker.hosts AS h ON h.id = i.pds
                   WHERE did = $1"""
        row = await self.worker.connection.fetchrow(query, did(number))
        return None if row is None else (row[0], row[1])


def fits(key: SigningKey, number: int) -> bool:
    return key.verifies(b"message", keys.signer(1, number).sign(b"message"))


@asynccontextmanager
async def running(
    pool: DatabasePool, directory: Site, rate: float = FAST, ttl: float = DAY, run: bool = True
) -> AsyncGenerator[Identities]:
    async with Client(allow_private=True) as client:
        identities = Identities(pool, client, directories=[directory.url], rate=rate, ttl=ttl, allow_private=True)
        task = asyncio.create_task(identities.run()) if run else None
        try:
            yield identities
        finally:
            if task is not None:
                assert not task.done()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "INTERVAL", 0.02)
    monkeypatch.setattr(asker, "RETRY_INTERVAL", 0.02)


@pytest.fixture
async def directory() -> AsyncIterator[Site]:
    async with web_site() as site:
        site.answer = unregistered
        yield site


@pytest.fixture
async def world(worker: Worker, directory: Site) -> AsyncIterator[World]:
    async with running(worker.pool, directory) as identities:
        heard: list[tuple[str, Identity | NoIdentity]] = []
        identities.subscribe(lambda did, identity: heard.append((did, identity)))
        yield World(directory, identities, worker, heard)


async def test_an_unknown_did_is_looked_up_and_kept(world: World) -> None:
    world.publish(1)
    world.publish(15)  # with a P-256 key
    assert world.identities.known(did(1)) is None
    await world.looked_up(1, 15)
    assert world.knows(1)
    assert world.knows(15)
    assert world.identities.pds(did(1)) == "https://pds.simulator.test"
    assert {(name, identity.handle) for name, identity in world.heard if isinstance(identity, Identity)} == {
        (did(1), "user1.test"),
        (did(15), "user15.test"),
    }
    for number in (1, 15):
        await until(lambda number=number: world.stored(number), "it is in the table")
    assert await world.stored(1) == (0, "https://pds.simulator.test")
    size = "SELECT length(key) FROM unified_worker.identities WHERE did = $1"
    assert [await world.worker.value(size, did(number)) for number in (1, 15)] == [35, 35]
    await world.looked_up(1, 15)
    assert (world.asked(1), world.asked(15)) == (1, 1)
    assert world.identities.counts == {"found": 2}
    assert world.identities.found == {"nowhere": 2, "memory": 2, "table": 0}


async def test_the_table_outlives_the_process(world: World) -> None:
    for number in (1, 15):
        world.publish(number)
    await world.looked_up(1, 15)
    for number in (1, 15):
        await until(lambda number=number: world.stored(number), "it is in the table")
    async with running(world.worker.pool, world.directory) as later:
        await later.load([did(1), did(15)])
        for number in (1, 15):
            known = later.known(did(number))
            assert known is not None
            assert not isinstance(known, NoIdentity)
            assert fits(known, number)
            assert later.pds(did(number)) == "https://pds.simulator.test"
        assert later.found == {"table": 2, "nowhere": 0}
    assert (world.asked(1), world.asked(15)) == (1, 1)


async def test_what_is_asked_for_many_times_is_looked_up_once(world: World) -> None:
    release = asyncio.Event()

    async def waiting(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.json_response(keys.did_document(did(1), "user1.test", keys.signer(1, 1)))

    world.directory.paths[f"/{did(1)}"] = waiting
    for _ in range(100):
        await world.identities.load([did(1)])
        world.identities.want(did(1))
    await until(lambda: world.asked(1) == 1, "it is asked")
    release.set()
    await world.looked_up(1)
    assert world.asked(1) == 1


@pytest.mark.parametrize(
    "name",
    ["did:plc:short", "did:key:zQ3sh", "did:web:127.0.0.1", "did:web:a.com:path", "did:web:[::1]", "nonsense", ""],
)
async def test_a_did_that_can_have_no_document_is_known_as_such(name: str, world: World) -> None:
    assert world.identities.known(name) == NoIdentity("bad_did")
    await world.identities.load([name])
    world.identities.stale(name)
    assert await world.identities.refresh(name) == NoIdentity("bad_did")
    assert await world.identities.wait(name, 0.1) == NoIdentity("bad_did")
    assert world.directory.requests == []


@pytest.mark.parametrize(
    ("status", "body", "reason", "state"),
    [
        (404, {"message": f"DID not registered: {did(1)}"}, "no_such_did", None),
        (404, {"message": f"DID not available: {did(1)}"}, "tombstoned", 3),
        (410, {"message": f"DID not available: {did(1)}"}, "tombstoned", 3),
        (200, {"id": did(1)}, "no_signing_key", 4),
    ],
)
async def test_what_is_no_identity_is_known_by_its_reason(
    status: int, body: object, reason: str, state: int | None, world: World
) -> None:
    world.publish(2)
    world.directory.paths[f"/{did(1)}"] = telling(body, status)
    await world.looked_up(1)
    await world.looked_up(2)  # what comes later is written later
    assert world.identities.known(did(1)) == NoIdentity(reason)
    assert world.identities.counts[reason] == (0 if reason == "no_signing_key" else 1)
    await until(lambda: world.stored(2), "the table is written")
    assert await world.stored(1) == (None if state is None else (state, None))  # whoever makes up a DID gets no row
    assert await world.worker.value("SELECT count(*) FROM unified_worker.hosts") == 1
    async with running(world.worker.pool, world.directory, run=False) as later:
        await later.load([did(1)])
        assert later.known(did(1)) == (None if state is None else NoIdentity(reason))


# What may be answered for an hour, by the directory's address or by the host of a did:web.
BAD_HOUR = {
    "page": answering(404, b"<html>default backend"),
    "redirect": answering(302, headers={"Location": "https://elsewhere.example/"}),
    "maintenance": telling({"error": "maintenance"}),
    "gone": answering(410),
}


@pytest.mark.promise(7)
@pytest.mark.parametrize("kind", BAD_HOUR)
async def test_what_is_no_word_of_the_directory_takes_no_key(kind: str, world: World) -> None:
    world.publish(1)
    await world.looked_up(1)
    await until(lambda: world.stored(1), "it is in the table")
    world.directory.paths[f"/{did(1)}"] = world.directory.paths[f"/{did(2)}"] = BAD_HOUR[kind]
    assert await world.identities.refresh(did(1)) is None
    assert world.knows(1)
    assert await world.identities.wait(did(2), 0.2) is None
    world.publish(3)
    await world.looked_up(3)
    await until(lambda: world.stored(3), "the table is written")
    assert await world.stored(1) == (0, "https://pds.simulator.test")
    assert await world.stored(2) is None


@pytest.mark.promise(7)
async def test_a_did_that_had_a_key_does_not_become_unregistered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory lacks something. But a tombstone counts, and a key counts for no longer than if nobody answered."""
    world.publish(1)
    world.publish(2)
    await world.looked_up(1, 2)
    del world.directory.paths[f"/{did(1)}"]
    world.directory.paths[f"/{did(2)}"] = telling({"message": f"DID not available: {did(2)}"}, 410)
    assert await world.identities.refresh(did(1)) is None
    assert await world.identities.refresh(did(2)) == NoIdentity("tombstoned")
    assert world.knows(1)
    assert world.identities.counts["contradicted"] == 1
    assert world.identities.failing_since is None, "it answers"
    monkeypatch.setattr(asker, "RETRY_PAUSE", 0.02)
    now = time.time()
    monkeypatch.setattr(memory.time, "time", lambda: now + 8 * DAY + 10)
    assert world.identities.known(did(1)) is None
    async with running(world.worker.pool, world.directory) as later:
        assert await later.wait(did(1), 20) == NoIdentity("no_such_did")


async def test_a_key_of_the_table_is_known_too(world: World) -> None:
    """Of an account that no commit has named since the start."""
    world.publish(1)
    await world.looked_up(1)
    await until(lambda: world.stored(1), "it is in the table")
    del world.directory.paths[f"/{did(1)}"]
    async with running(world.worker.pool, world.directory) as later:
        later.ask(did(1))
        await until(lambda: later.counts["contradicted"] == 1, "it is asked")
        known = later.known(did(1))
        assert known is not None
        assert not isinstance(known, NoIdentity)
        assert fits(known, 1)


@pytest.mark.promise(7)
@pytest.mark.parametrize("kind", BAD_HOUR)
async def test_a_bad_hour_of_its_host_takes_no_key_of_a_did_web(kind: str, world: World) -> None:
    name = f"did:web:localhost%3A{world.directory.port}"
    world.directory.paths["/.well-known/did.json"] = telling(keys.did_document(name, "user5.test", keys.signer(1, 5)))
    assert await world.identities.wait(name, 20) is not None
    world.directory.paths["/.well-known/did.json"] = BAD_HOUR[kind]
    assert await world.identities.refresh(name) is None
    known = world.identities.known(name)
    assert known is not None
    assert not isinstance(known, NoIdentity)


async def test_who_is_nobody_is_asked_for_again_ever_later(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.looked_up(1)
    now = time.time()
    for ask, passed in enumerate((120, 240, 480, 960, 1920, 3600, 3600), start=1):
        for seconds, expected in ((passed - 5, ask), (passed + 5, ask + 1)):
            monkeypatch.setattr(memory.time, "time", lambda at=now + seconds: at)
            await world.identities.load([did(1)])
            assert world.identities.waiting == expected - ask  # before its time it is not even put in line
            if expected == ask + 1:
                await until(lambda ask=ask: world.identities.counts["no_such_did"] == ask + 1, "it is asked again")
            assert world.asked(1) == expected
        now += passed + 5
        assert world.identities.known(did(1)) == NoIdentity("no_such_did")  # meanwhile it stays what it is
    world.publish(1)
    monkeypatch.setattr(memory.time, "time", lambda: now + 4000)
    await world.identities.load([did(1)])
    await until(lambda: world.knows(1), "it is somebody now")


async def test_a_key_is_asked_for_again_after_its_time_and_counts_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.publish(1)
    await world.looked_up(1)
    now = time.time()
    monkeypatch.setattr(memory.time, "time", lambda: now + DAY - 10)
    await world.identities.load([did(1)])
    assert world.identities.waiting == 0
    world.directory.paths[f"/{did(1)}"] = answering(500)
    monkeypatch.setattr(memory.time, "time", lambda: now + DAY + 10)
    await world.identities.load([did(1)])
    await until(lambda: world.identities.counts["server_error"] == 1, "it is asked again")
    assert world.knows(1)
    assert not world.identities.is_stale(did(1))
    monkeypatch.setattr(memory.time, "time", lambda: now + 8 * DAY - 10)
    assert world.knows(1)
    monkeypatch.setattr(memory.time, "time", lambda: now + 8 * DAY + 10)
    assert world.identities.known(did(1)) is None


async def test_a_rotated_key_is_found_by_one_refresh(world: World) -> None:
    world.publish(1)
    await world.looked_up(1)
    world.publish(1, key=2)
    answers = await asyncio.gather(*(world.identities.refresh(did(1)) for _ in range(50)))
    assert all(answer is not None and not isinstance(answer, NoIdentity) and fits(answer, 2) for answer in answers)
    assert world.asked(1) == 2
    world.publish(1, key=3)
    assert await world.identities.refresh(did(1)) is not None  # within the minute: what is known
    assert world.knows(1, key=2)
    assert world.asked(1) == 2


async def test_a_refresh_asks_the_primary(worker: Worker, directory: Site) -> None:
    async with web_site() as replica, Client(allow_private=True) as client:
        urls = [replica.url, directory.url]
        identities = Identities(worker.pool, client, directories=urls, rate=FAST, ttl=DAY)
        task = asyncio.create_task(identities.run())
        replica.answer = telling(keys.did_document(did(1), "user1.test", keys.signer(1, 1)))
        directory.answer = telling(keys.did_document(did(1), "user1.test", keys.signer(1, 2)))
        known = await identities.wait(did(1), 20)
        assert known is not None
        assert not isinstance(known, NoIdentity)
        assert fits(known, 1)
        refreshed = await identities.refresh(did(1))
        assert refreshed is not None
        assert not isinstance(refreshed, NoIdentity)
        assert fits(refreshed, 2)
        assert len(replica.requests) == 1
        task.cancel()


@asynccontextmanager
async def behind(worker: Worker, directory: Site) -> AsyncGenerator[tuple[Identities, Site]]:
    """A replica that keeps to an account's first key, which is known; the primary has the second one, and another handle."""
    async with web_site() as replica, Client(allow_private=True) as client:
        identities = Identities(worker.pool, client, directories=[replica.url, directory.url], rate=FAST, ttl=DAY)
        task = asyncio.create_task(identities.run())
        replica.answer = telling(keys.did_document(did(1), "before.test", keys.signer(1, 1)))
        directory.answer = telling(keys.did_document(did(1), "now.test", keys.signer(1, 2)))
        assert await identities.wait(did(1), 20) is not None
        assert has(identities, 1)
        yield identities, replica
        task.cancel()


def has(identities: Identities, key: int) -> bool:
    known = identities.known(did(1))
    return known is not None and not isinstance(known, NoIdentity) and fits(known, key)


@pytest.mark.promise(7)
async def test_a_replica_that_is_behind_undoes_no_identity(worker: Worker, directory: Site) -> None:
    async with behind(worker, directory) as (identities, replica):
        documents = Documents(identities)
        identities.stale(did(1))
        for _ in range(2):  # also when the #identity has been answered
            document = await documents.fresh(did(1))
            assert isinstance(document, Identity)
            assert document.handle == "now.test"
            assert not identities.is_stale(did(1))
            assert has(identities, 2)
        identities.want(did(1))
        await until(lambda: identities.counts["found"] == 4, "the replica has answered")
        assert len(replica.requests) == 2
        assert has(identities, 2)


async def test_a_replica_answers_no_identity_message(worker: Worker, directory: Site) -> None:
    async with behind(worker, directory) as (identities, replica):
        identities.stale(did(1))
        identities.want(did(1))
        await until(lambda: len(replica.requests) == 2 and identities.counts["found"] == 2, "the replica has answered")
        assert identities.is_stale(did(1))
        marked = "SELECT state = 1 FROM unified_worker.identities"
        await until(lambda: worker.value(marked), "the table knows of it")


def slow(handle: str, key: int, release: asyncio.Event) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The document of an account, once that is set."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.json_response(keys.did_document(did(1), handle, keys.signer(1, key)))

    return answer


@pytest.mark.promise(7)
async def test_a_look_up_of_before_answers_no_identity_message(world: World) -> None:
    release = asyncio.Event()
    world.directory.paths[f"/{did(1)}"] = slow("before.test", 1, release)
    world.identities.want(did(1))
    await until(lambda: world.asked(1) == 1, "it is asked")
    world.identities.stale(did(1))
    release.set()
    await until(lambda: world.knows(1), "the answer of before")
    assert world.identities.is_stale(did(1))
    await until(lambda: is_marked(world), "the table knows of it")


async def test_who_wants_a_document_of_now_gets_none_of_before(world: World) -> None:
    before, now = asyncio.Event(), asyncio.Event()
    world.directory.paths[f"/{did(1)}"] = slow("before.test", 1, before)
    world.identities.want(did(1))
    await until(lambda: world.asked(1) == 1, "it is asked")
    world.directory.paths[f"/{did(1)}"] = slow("now.test", 2, now)
    asking = asyncio.create_task(Documents(world.identities).fresh(did(1)))
    await until(lambda: world.asked(1) == 2, "it is asked again")
    before.set()
    await until(lambda: world.knows(1), "the answer of before")
    now.set()
    document = await asking
    assert isinstance(document, Identity)
    assert document.handle == "now.test"


@pytest.mark.promise(7)
async def test_an_answer_that_comes_late_undoes_no_newer_one(world: World) -> None:
    before, now = asyncio.Event(), asyncio.Event()
    world.directory.paths[f"/{did(1)}"] = slow("before.test", 1, before)
    world.identities.want(did(1))
    await until(lambda: world.asked(1) == 1, "it is asked")
    world.directory.paths[f"/{did(1)}"] = slow("now.test", 2, now)
    world.identities.ask(did(1))
    await until(lambda: world.asked(1) == 2, "it is asked again")
    now.set()
    await until(lambda: world.knows(1, 2), "the newer answer")
    before.set()
    await until(lambda: world.identities.counts["outdated"] == 1, "the older answer")
    assert world.knows(1, 2)


async def test_a_refresh_that_nobody_answers_is_none(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish(1)
    await world.looked_up(1)
    world.directory.paths[f"/{did(1)}"] = answering(503)
    assert await world.identities.refresh(did(1)) is None
    assert await world.identities.refresh(did(1)) is None  # at once: it failed lately
    assert world.asked(1) == 2
    monkeypatch.setattr(resolver, "REFRESH_PATIENCE", 0.1)
    release = asyncio.Event()

    async def waiting(_request: web.Request) -> web.StreamResponse:
        await release.wait()
        return web.json_response({})

    world.directory.paths[f"/{did(3)}"] = waiting
    assert await world.identities.refresh(did(3)) is None
    release.set()


@pytest.mark.long
async def test_forged_commits_of_many_accounts_keep_the_lanes_for_a_moment_alone(worker: Worker, directory: Site) -> None:
    """A lane that waits for a refresh does not read. All together may wait for so long, and not one by one without an end."""
    async with running(worker.pool, directory, rate=5, run=False) as identities:  # nobody answers
        began = time.monotonic()
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(identities.refresh(did(number)) for number in range(300)))
        assert set(answers) == {None}
        assert time.monotonic() - began < resolver.REFRESH_PATIENCE + 2
        async with asyncio.timeout(3):  # one that waited would take longer
            for number in range(300, 600):
                assert await identities.refresh(did(number)) is None


async def test_an_identity_message_has_it_asked_for_at_the_next_use(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.publish(1)
    await world.looked_up(1)
    await until(lambda: world.stored(1), "it is in the table")
    world.publish(1, key=2)
    world.identities.stale(did(1))
    assert world.identities.is_stale(did(1))
    assert world.knows(1)
    await until(lambda: is_marked(world), "the table knows of it")
    async with running(world.worker.pool, world.directory, run=False) as later:
        await later.load([did(1)])
        assert later.is_stale(did(1))
    assert world.asked(1) == 1
    now = time.time()
    monkeypatch.setattr(memory.time, "time", lambda: now + 61)
    await world.identities.load([did(1)])
    await until(lambda: world.knows(1, key=2), "the new key is known", 20)
    assert not world.identities.is_stale(did(1))
    await until(lambda: is_settled(world), "the table has the answer")


async def is_marked(world: World) -> bool:
    return await world.stored(1) == (1, "https://pds.simulator.test")


async def is_settled(world: World) -> bool:
    return await world.stored(1) == (0, "https://pds.simulator.test")


async def test_a_flood_of_identity_messages_asks_no_more_than_the_pace_allows(worker: Worker, directory: Site) -> None:
    rate, accounts = 20, 200
    async with running(worker.pool, directory, rate=rate) as identities:
        began, sent = time.monotonic(), 0
        while sent < 20_000 or len(directory.requests) < 10:
            for number in range(accounts):
                identities.stale(did(number))
                sent += 1
            await identities.load([did(number) for number in range(accounts)])
            await asyncio.sleep(0)
        allowed = (time.monotonic() - began) * rate + pace.BURST + 1
        assert len(directory.requests) <= allowed


async def test_the_newest_is_asked_for_first_and_the_line_has_an_end(worker: Worker, directory: Site) -> None:
    async with running(worker.pool, directory, run=False) as identities:
        for number in range(30_000):
            identities.want(did(number % 20_000))
        assert identities.waiting == 10_000
    async with running(worker.pool, directory) as identities:
        for number in range(3):
            identities.want(did(number))
        await until(lambda: len(directory.requests) == 3, "all are asked")
        assert directory.requests[0].path == f"/{did(2)}"


async def test_a_directory_that_fails_is_probed_and_then_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PROBE_INTERVAL", 0.3)
    monkeypatch.setattr(asker, "RETRY_PAUSE", 0.4)
    world.publish(0)
    await world.looked_up(0)
    world.directory.paths.clear()
    world.directory.answer = answering(503)
    before, start = len(world.directory.requests), time.monotonic()
    numbers = range(1, 200)
    await world.identities.load([did(number) for number in numbers])
    await until(lambda: len(world.directory.requests) - before >= 3, "it is asked in vain")
    await until(lambda: world.identities.failing_since is not None, "that is seen")
    assert abs(time.time() - (world.identities.failing_since or 0)) < 20
    await asyncio.sleep(1)
    probes = (time.monotonic() - start) / 0.3 + 1
    assert len(world.directory.requests) - before <= asker.AT_ONCE + 1 + probes  # those under way at first, and the probes
    assert await world.identities.refresh(did(0)) is None
    assert world.knows(0)
    for number in range(200):
        world.publish(number)
    await until(lambda: all(world.knows(number) for number in numbers), "all are known", 30)
    assert world.identities.failing_since is None


async def test_a_directory_that_says_wait_is_left_alone(world: World) -> None:
    world.directory.answer = answering(429, headers={"Retry-After": "3600"})
    await world.identities.load([did(number) for number in range(1, 100)])
    await until(lambda: world.identities.counts["rate_limited"] >= 1, "it says so")
    await world.identities.load([did(number) for number in range(100, 200)])
    await asyncio.sleep(0.2)
    assert len(world.directory.requests) <= asker.AT_ONCE + 1  # those that were under way


async def test_a_did_whose_look_up_fails_does_not_stop_others(world: World) -> None:
    world.directory.paths[f"/{did(1)}"] = answering(500)
    for number in range(2, 30):
        world.publish(number)
    await world.identities.load([did(1)])
    await until(lambda: world.asked(1) == 1, "it is asked")
    await world.looked_up(*range(2, 30))
    for _ in range(20):
        await world.identities.load([did(1)])
    assert world.asked(1) == 1


async def test_one_waits_until_it_is_known_or_the_time_is_over(world: World) -> None:
    world.publish(1)
    assert await world.identities.wait(did(1), 20) is not None
    assert world.knows(1)
    world.directory.paths[f"/{did(2)}"] = answering(500)
    began = time.monotonic()
    assert await world.identities.wait(did(2), 0.3) is None
    assert 0.25 < time.monotonic() - began < 5


async def test_did_webs_are_asked_of_their_hosts(world: World) -> None:
    name = f"did:web:localhost%3A{world.directory.port}"
    document = keys.did_document(name, "user5.test", keys.signer(1, 5))
    world.directory.paths["/.well-known/did.json"] = telling(document)
    known = await world.identities.wait(name, 20)
    assert known is not None
    assert not isinstance(known, NoIdentity)
    assert fits(known, 5)
    assert world.identities.failing_since is None


async def test_the_database_may_be_away(world: World, database: str) -> None:
    world.publish(1)
    await world.worker.connection.execute("ALTER TABLE unified_worker.identities RENAME TO away")
    assert await world.identities.wait(did(1), 20) is not None
    await world.identities.load([did(2)])
    assert world.asked(2) == 0  # it may be in the table
    await world.worker.connection.execute("ALTER TABLE unified_worker.away RENAME TO identities")
    await until(lambda: world.stored(1), "it is in the table")


async def test_many_rows_are_written_in_a_few_statements(world: World) -> None:
    for number in range(700):
        world.publish(number)
    await world.looked_up(*range(700))
    count = "SELECT count(*) = 700 FROM unified_worker.identities"
    await until(lambda: world.worker.value(count), "all are in the table")
    assert await world.worker.value("SELECT max(id) FROM unified_worker.hosts") < 50  # numbers are not used up
