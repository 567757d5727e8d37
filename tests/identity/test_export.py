"""The log of the directory: its lines, its import, and how it is followed."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from relay_simulator import keys
from testing.database_side import Worker
from testing.waiting import until
from testing.web_site import Site, answering, unregistered, web_site
from unified_indexer.errors import Rejected, Stop
from unified_indexer.identity import export, following, importing
from unified_indexer.identity.client import Client
from unified_indexer.identity.errors import Unreachable
from unified_indexer.identity.export import read_operation
from unified_indexer.identity.following import Log
from unified_indexer.identity.importing import Import, Progress
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.resolver import Identities
from unified_indexer.identity.store import Position, State
from unified_indexer.protocol.keys import read_key

TIME = "2026-01-02T03:04:{:02}.000Z"


def did(number: int) -> str:
    return keys.did(1, number)


def operation(number: int, key: int | None = None, **fields: Any) -> dict[str, Any]:
    made = {
        "type": "plc_operation",
        "verificationMethods": {"atproto": f"did:key:{keys.signer(1, number if key is None else key).multibase}"},
        "alsoKnownAs": [f"at://User{number}.test"],
        "services": {"atproto_pds": {"type": "AtprotoPersonalDataServer", "endpoint": f"https://pds{number % 3}.example.com"}},
    }
    return made | fields


def entry(number: int, made: dict[str, Any], seq: int | None = None, **fields: Any) -> bytes:
    told = {"did": did(number), "operation": made, "createdAt": TIME.format((seq or 0) % 60), **fields}
    return json.dumps(told if seq is None else told | {"seq": seq}).encode()


class Directory(NamedTuple):
    """A directory with a log. `lines[n]` has the seq n + 1."""

    site: Site
    lines: list[bytes]

    def add(self, number: int, made: dict[str, Any]) -> None:
        self.lines.append(entry(number, made, len(self.lines) + 1))

    async def page(self, request: web.Request) -> web.StreamResponse:
        after, count = int(request.query["after"]), int(request.query["count"])
        return web.Response(body=b"\n".join(self.lines[after : after + count]))


@pytest.fixture
async def directory(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Directory]:
    monkeypatch.setattr(importing, "PAGE_PAUSE", 0)
    async with web_site() as site:
        directory = Directory(site, [])
        site.paths["/export"] = directory.page
        yield directory


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with Client() as client:
        yield client


def importer(worker: Worker, told: list[Progress] | None = None) -> Import:
    return Import(worker.connection, (told if told is not None else []).append)


async def table(worker: Worker) -> dict[str, tuple[int, bytes | None, str | None]]:
    rows = await worker.connection.fetch(
        """SELECT did, state, key, url FROM unified_worker.identities AS i LEFT JOIN unified_worker.hosts AS h ON h.id = pds"""
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def test_an_operation_says_key_host_and_handle() -> None:
    for number in (1, 15):
        read = read_operation(entry(number, operation(number), 7))
        assert read is not None
        assert (read.seq, read.handle, read.row.pds) == (7, f"user{number}.test", f"https://pds{number % 3}.example.com")
        assert read.row.key is not None
        assert read_key(read.row.key).verifies(b"m", keys.signer(1, number).sign(b"m"))
        assert (read.row.did, read.row.checked, read.row.state) == (did(number), 1_767_323_047, State.KNOWN)


def test_the_first_form_of_an_operation_is_read_too() -> None:
    made = {
        "type": "create",
        "signingKey": f"did:key:{keys.signer(1, 1).multibase}",
        "handle": "a.test",
        "service": "https://pds.example.com",
    }
    read = read_operation(entry(1, made))
    assert read is not None
    assert (read.seq, read.handle, read.row.pds, read.row.state) == (None, "a.test", "https://pds.example.com", State.KNOWN)


@pytest.mark.parametrize(
    ("made", "state"),
    [
        ({"type": "plc_tombstone"}, State.TOMBSTONED),
        (operation(1, verificationMethods={}), State.NO_KEY),
        (operation(1, verificationMethods={"atproto": "did:key:zabc"}), State.NO_KEY),
        (operation(1, verificationMethods={"atproto": 7}), State.NO_KEY),
        (operation(1, services={}, alsoKnownAs=[]), State.KNOWN),
    ],
)
def test_an_operation_may_leave_no_key(made: dict[str, Any], state: State) -> None:
    read = read_operation(entry(1, made))
    assert read is not None
    assert read.row.state is state


def test_a_nullified_operation_says_nothing() -> None:
    assert read_operation(entry(1, operation(1), nullified=True)) is None
    assert read_operation(entry(1, operation(1), nullified=False)) is not None


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"{",
        entry(1, {}),
        entry(1, {"type": "other"}),
        entry(1, operation(1)).replace(b'"did"', b'"seq": "x", "did"'),
        entry(1, operation(1), did="did:web:a.com"),
        entry(1, operation(1), createdAt="today"),
        entry(1, operation(1), createdAt=7),
        entry(1, operation(1), operation=[]),
    ],
)
def test_what_is_no_operation_is_refused(line: bytes) -> None:
    with pytest.raises(Rejected, match="bad_plc_operation"):
        read_operation(line)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(operation(1))), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(list(operation(1))), JSON))
@settings(max_examples=200, deadline=None)
def test_whatever_an_operation_holds_it_is_read_or_refused(fields: dict[str, Any]) -> None:
    try:
        read = read_operation(entry(1, operation(1) | fields))
    except Rejected:
        return
    assert read is None or read.row.did == did(1)


async def test_a_directory_s_log_is_imported_and_resumed(
    worker: Worker, directory: Directory, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (export, following):
        monkeypatch.setattr(module, "PAGE", 10)
    for number in range(25):
        directory.add(number, operation(number))
    directory.add(3, operation(3, key=40))
    directory.add(4, {"type": "plc_tombstone"})
    directory.lines.append(b"nonsense")
    first = importer(worker)
    task = asyncio.create_task(first.from_directory(Log(client, directory.site.url)))
    first.stop()
    assert await task is False
    told: list[Progress] = []
    second = importer(worker, told)
    assert await second.from_directory(Log(client, directory.site.url)) is True
    rows = await table(worker)
    assert len(rows) == 25
    state, key, url = rows[did(3)]
    assert (state, url) == (0, "https://pds0.example.com")
    assert key is not None
    assert read_key(key).verifies(b"m", keys.signer(1, 40).sign(b"m"))
    assert rows[did(4)] == (3, None, None)
    assert second.refused == {"bad_plc_operation": 1}
    assert told[-1].position.position == 27
    assert told[-1].operations == 27
    third = importer(worker)
    assert await third.from_directory(Log(client, directory.site.url)) is True
    assert third.resumed == 27  # what is no operation, and has no seq, is read again until something follows it


async def test_what_was_looked_up_since_is_not_put_back(worker: Worker, directory: Directory, client: Client) -> None:
    directory.add(1, operation(1))
    await worker.connection.execute(
        "INSERT INTO unified_worker.identities (did, checked, state) VALUES ($1, 2000000000, 4)", did(1)
    )
    await importer(worker).from_directory(Log(client, directory.site.url))
    assert (await table(worker))[did(1)] == (4, None, None)


@pytest.mark.parametrize("name", ["log.jsonl", "log.jsonl.gz"])
async def test_a_file_is_imported_and_resumed(
    name: str, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "LINES", 10)
    data = b"\n".join(entry(number % 20, operation(number % 20, key=number)) for number in range(35)) + b"\n\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        first.stop()

    first = Import(worker.connection, stop)
    assert await first.from_file(path, allow_private=False) is False
    assert (len(told), told[0].operations) == (1, 10)
    second = importer(worker, told)
    assert await second.from_file(path, allow_private=False) is True
    assert second.resumed == 10
    assert sum(progress.operations for progress in (told[0], told[-1])) == 35
    assert told[-1].share == 1
    rows = await table(worker)
    assert len(rows) == 20
    for number in range(20):
        key = rows[did(number)][1]
        assert key is not None
        last = number + 20 if number < 15 else number
        assert read_key(key).verifies(b"m", keys.signer(1, last).sign(b"m"))


async def test_a_directory_that_does_not_number_its_log_is_told(worker: Worker, directory: Directory, client: Client) -> None:
    directory.lines.append(entry(1, operation(1)))
    with pytest.raises(Stop, match="order of a seq"):
        await importer(worker).from_directory(Log(client, directory.site.url))


async def test_a_directory_that_fails_is_asked_again(
    worker: Worker, directory: Directory, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "RETRY_PAUSE", 0.001)
    directory.site.paths["/export"] = answering(503)
    with pytest.raises(Unreachable):
        await importer(worker).from_directory(Log(client, directory.site.url))
    assert directory.site.asked("/export") == importing.ATTEMPTS


async def test_a_full_page_with_a_nullified_line_is_not_the_end(
    worker: Worker, directory: Directory, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (export, following):
        monkeypatch.setattr(module, "PAGE", 10)
    monkeypatch.setattr(following, "END_PAUSE", 600.0)
    monkeypatch.setattr(following, "PAGE_PAUSE", 0.0)
    log = Log(client, directory.site.url)
    assert await importer(worker).from_directory(log) is True
    for number in range(25):
        directory.lines.append(entry(number, operation(number), number + 1, nullified=number in (4, 17)))
    pages = [await log.read(Position(after, 0, True)) for after in (0, 10, 20)]
    assert [(len(page.operations), page.is_end) for page in pages] == [(9, False), (9, False), (5, True)]
    follower = following.Follower(worker.pool, [log], lambda _operations, _through: None)
    task = asyncio.create_task(follower.run())
    try:
        reached = "SELECT position = 25 FROM unified_worker.exports"
        await until(lambda: worker.value(reached), "the end of the log")
    finally:
        task.cancel()


async def test_a_log_that_was_imported_is_followed(
    worker: Worker, directory: Directory, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "END_PAUSE", 0.02)
    monkeypatch.setattr(following, "LOOK_PAUSE", 0.02)
    directory.site.answer = unregistered
    directory.add(1, operation(1))
    identities = Identities(worker.pool, client, directories=[directory.site.url], rate=100, ttl=60)
    heard: list[tuple[str, object]] = []
    identities.subscribe(lambda name, identity: heard.append((name, identity)))
    task = asyncio.create_task(identities.run())
    try:
        await identities.load([did(1), did(2)])
        await until(lambda: identities.known(did(1)) == NoIdentity("no_such_did"), "it was looked up")
        assert directory.site.asked("/export") == 0  # nobody imported it
        await importer(worker).from_directory(Log(client, directory.site.url))
        asked = len(directory.site.requests)
        directory.add(2, operation(2))
        await until(lambda: not isinstance(identities.known(did(2)), NoIdentity), "it came by the log")
        assert heard[-1][0] == did(2)
        directory.add(2, {"type": "plc_tombstone"})
        await until(lambda: identities.known(did(2)) == NoIdentity("tombstoned"), "it ended")
        assert all(request.path == "/export" for request in directory.site.requests[asked:])
    finally:
        task.cancel()
