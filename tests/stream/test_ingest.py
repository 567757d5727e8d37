"""The ingester against a real relay and a real Valkey server: what is there after it, and after every failure."""

import pytest

from relay_simulator.encoding import Value, frame, seq_of
from relay_simulator.server import RelayServer
from testing.databases import connected
from testing.streams import Valkey, each_program, ingesting, valkey
from testing.traffic import traffic
from testing.waiting import until
from unified_indexer.protocol.events import Account, Commit, Identity, Sync, Unusable
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.proving import did_of
from unified_indexer.stream.keys import PARTITIONS, partition_key, partition_of
from unified_indexer.stream.pieces import PIECE, Joining
from unified_indexer.stream.stored import Cursors, Stored

TABLE = "CREATE TABLE firehose_cursor (service text PRIMARY KEY, cursor text, last_event_time text)"


async def frames_in(engine: Valkey, relay_url: str) -> dict[int, list[bytes]]:
    """The frames of each partition, in order."""
    host = relay_url.partition("://")[2]
    found: dict[int, list[bytes]] = {}
    for number in range(1, PARTITIONS + 1):
        joining = Joining()
        entries = await engine.ask("XRANGE", partition_key(host, number), "-", "+")
        whole = (joining.take(fields[0], fields[1]) for _, fields in entries)
        found[number] = [one for one in whole if one is not None]
    return found


async def holds(engine: Valkey, relay_url: str, cursor: int) -> None:
    async def reached() -> bool:
        return (await engine.own(relay_url)).get("cursor") == str(cursor)

    await until(reached, f"the stream's cursor is {cursor}")


async def stored(database: str, relay_url: str, seq: int) -> None:
    """PostgreSQL has all partitions up to here."""
    host = relay_url.partition("://")[2]
    services = [f"{host}#{number}/64" for number in range(1, PARTITIONS + 1)]
    async with connected(database) as connection:
        await connection.execute(TABLE)
        await connection.execute("INSERT INTO firehose_cursor SELECT s, $2 FROM unnest($1::text[]) AS s", services, str(seq))


@pytest.mark.promise(2)
async def test_every_frame_is_once_in_its_account_s_partition_in_order(database: str, engine: Valkey) -> None:
    stream = traffic(600, awkward=True)
    frames = [*stream.frames[:300], b"\xff no frame", *stream.frames[300:]]
    async with RelayServer(frames) as relay, ingesting(database, engine.url(relay.url)):
        await holds(engine, relay.url, stream.last_seq)
    found = await frames_in(engine, relay.url)
    expected: dict[int, list[bytes]] = {number: [] for number in found}
    for one in dict.fromkeys(frames):  # a frame that is sent twice with one seq is there once
        match decode(one):
            case Commit() | Sync() | Identity() | Account() | Unusable() as event:
                expected[partition_of(did_of(event))].append(one)
            case _:
                expected[partition_of("")].append(one)
    assert found == expected


async def test_a_long_frame_is_there_in_pieces(database: str, engine: Valkey) -> None:
    account: dict[str, Value] = {"seq": 7, "did": "did:plc:" + "a" * 24, "time": "2026-01-01T00:00:00Z", "active": True}
    long = frame("#account", account | {"more": "y" * 3 * PIECE})
    async with RelayServer([long]) as relay, ingesting(database, engine.url(relay.url)):
        await holds(engine, relay.url, 7)
    assert await engine.entries(relay.url) == 4
    assert [one for part in (await frames_in(engine, relay.url)).values() for one in part] == [long]


@pytest.mark.long
@pytest.mark.promise(2)
async def test_after_each_crash_of_the_server_nothing_is_missing_and_nothing_twice(database: str, engine: Valkey) -> None:
    """It loses what it had acknowledged and not yet written; once it loses all that it had."""
    stream = traffic(1_500)
    async with RelayServer(stream.frames, rate=500) as relay, ingesting(database, engine.url(relay.url)) as ingest:
        for losing in (False, True):
            before = ingest.metrics.finished
            await until(lambda before=before: ingest.metrics.finished > before + 100, "frames come in")
            engine.kill()
            if losing:
                engine.empty()
            await engine.start()
        await holds(engine, relay.url, stream.last_seq)
    found = await frames_in(engine, relay.url)
    assert sorted(one for part in found.values() for one in part) == sorted(stream.frames)
    assert all(part == [one for one in stream.frames if one in set(part)] for part in found.values())


@pytest.mark.promise(2)
async def test_only_what_postgresql_has_is_trimmed(database: str, engine: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unified_indexer.stream.keeping.KEPT", 0.3)
    stream = traffic(300)
    async with RelayServer(stream.frames) as relay, ingesting(database, engine.url(relay.url)):
        await holds(engine, relay.url, stream.last_seq)
        host = relay.url.partition("://")[2]
        number, frames = max((await frames_in(engine, relay.url)).items(), key=lambda part: len(part[1]))
        middle = seq_of(frames[len(frames) // 2])
        async with connected(database) as connection:
            await connection.execute(TABLE)
            await connection.execute("INSERT INTO firehose_cursor VALUES ($1, $2)", f"{host}#{number}/64", str(middle))

        async def trimmed() -> bool:
            return (await engine.own(relay.url)).get(f"trim:{number}") == str(middle)

        await until(trimmed, "the partition is trimmed")
        after = await frames_in(engine, relay.url)
    assert after[number] == frames[len(frames) // 2 :]
    assert sum(map(len, after.values())) == len(stream.frames) - len(frames) // 2


@pytest.mark.promise(2)
async def test_what_postgresql_has_is_kept_a_while_all_the_same(
    database: str, engine: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A standby that takes over may have less of it."""
    monkeypatch.setattr("unified_indexer.stream.keeping.KEPT", 3_600.0)
    cursors, looks = Stored.cursors, list[int]()

    async def noted(stored: Stored) -> Cursors:
        found = await cursors(stored)
        looks.append(len(found.partitions))
        return found

    monkeypatch.setattr(Stored, "cursors", noted)
    stream = traffic(100)
    async with RelayServer(stream.frames) as relay, ingesting(database, engine.url(relay.url)):
        await holds(engine, relay.url, stream.last_seq)
        await stored(database, relay.url, stream.last_seq)
        await until(lambda: looks.count(64) > 3, "it has seen that PostgreSQL has all")
        assert await engine.entries(relay.url) == len(stream.frames)
        monkeypatch.setattr("unified_indexer.stream.keeping.KEPT", 0.1)

        async def trimmed() -> bool:
            return await engine.entries(relay.url) < len(stream.frames)

        await until(trimmed, "what PostgreSQL has is trimmed")


@pytest.mark.promise(5)
async def test_a_server_that_is_nearly_full_stops_the_reading(database: str, caplog: pytest.LogCaptureFixture) -> None:
    stream = traffic(4_000)
    async with (
        valkey(maxmemory="12mb") as engine,
        RelayServer(stream.frames) as relay,
        ingesting(database, engine.url(relay.url)) as ingest,
    ):
        await until(lambda: "the relay is not read until workers have caught up" in caplog.text, "it says that it is full")
        assert (await engine.own(relay.url))["full"] == "1"
        assert ingest.metrics.finished < len(stream.frames)
        await engine.ask("CONFIG", "SET", "maxmemory", "256mb")
        await holds(engine, relay.url, stream.last_seq)


@pytest.mark.promise(5)
@each_program
async def test_a_full_server_is_trimmed_and_filled_again(database: str, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """It is as if an operator had lowered its limit: it takes nothing, until what PostgreSQL has is gone."""
    monkeypatch.setattr("unified_indexer.stream.keeping.KEPT", 0.1)
    stream = traffic(600)
    async with (
        valkey(program, maxmemory="64mb") as engine,
        RelayServer(stream.frames[:300]) as relay,
        ingesting(database, engine.url(relay.url)) as ingest,
    ):
        half = seq_of(stream.frames[299]) or 0
        await holds(engine, relay.url, half)
        await engine.ask("CONFIG", "SET", "maxmemory", "1")
        for frame in stream.frames[300:]:
            relay.append(frame)

        async def full() -> bool:
            return (await engine.own(relay.url)).get("full") == "1"

        await until(full, "workers can see that it is full")
        await ingest.initialize()  # another one would start
        await stored(database, relay.url, half)

        async def trimmed() -> bool:
            return await engine.entries(relay.url) <= PARTITIONS

        await until(trimmed, "what PostgreSQL has is trimmed")
        await engine.ask("CONFIG", "SET", "maxmemory", "64mb")
        await holds(engine, relay.url, stream.last_seq)


@pytest.mark.promise(5)
async def test_a_server_that_is_full_between_two_looks_is_tried_again(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its cursor: nothing is missing, and nothing twice."""
    monkeypatch.setattr("unified_indexer.stream.keeping.FULL", 1e12)
    stream = traffic(600)
    async with (
        valkey(maxmemory="64mb") as engine,
        RelayServer(stream.frames[:300]) as relay,
        ingesting(database, engine.url(relay.url)),
    ):
        await holds(engine, relay.url, seq_of(stream.frames[299]) or 0)
        before = relay.connections
        await engine.ask("CONFIG", "SET", "maxmemory", "1")
        for frame in stream.frames[300:]:
            relay.append(frame)
        await until(lambda: relay.connections > before, "a session begins again")
        await engine.ask("CONFIG", "SET", "maxmemory", "64mb")
        await holds(engine, relay.url, stream.last_seq)
        found = await frames_in(engine, relay.url)
    assert sorted(one for part in found.values() for one in part) == sorted(stream.frames)


async def test_a_start_at_a_full_server_waits_for_room(database: str, caplog: pytest.LogCaptureFixture) -> None:
    stream = traffic(100)
    async with valkey(maxmemory="1") as engine, RelayServer(stream.frames) as relay, ingesting(database, engine.url(relay.url)):
        assert "takes nothing just now (OOM" in caplog.text
        await engine.ask("CONFIG", "SET", "maxmemory", "64mb")
        await holds(engine, relay.url, stream.last_seq)


async def test_the_second_of_two_waits_for_the_first(database: str, engine: Valkey, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stream = traffic(300)
    async with RelayServer(stream.frames) as relay, ingesting(database, engine.url(relay.url)):
        await holds(engine, relay.url, stream.last_seq)
        async with ingesting(database, engine.url(relay.url)) as second:
            await until(lambda: "Another ingester fills this stream" in caplog.text, "the second waits")
            assert (second.metrics.finished, relay.connections) == (0, 1)
