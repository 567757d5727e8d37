"""A start goes back further than a crash of the server can take; where that took something, every frame is there once."""

from time import monotonic
from typing import Any

import pytest

from relay_simulator.server import RelayServer
from testing.streams import Valkey, each_program, ingesting, valkey
from testing.traffic import traffic
from testing.waiting import until
from tests.stream.test_filling import RELAY, account, ended, filled, opened
from tests.stream.test_ingest import frames_in, holds
from unified_indexer.stream.engine import Reply
from unified_indexer.stream.ingest import begun_at
from unified_indexer.stream.keys import own_key

EVERYSEC = 2.0  # seconds that a server with appendfsync everysec may lose: one, and another while its disk is busy
SAID = 10.0  # seconds that a start goes back, as docs/streams.md says


@pytest.mark.promise(2)
async def test_a_start_goes_back_by_more_than_the_server_can_lose(engine: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame comes each half second; after each of them it is looked where an ingester would begin."""
    now, step, last = 1_000.0, 0.5, 60
    monkeypatch.setattr("unified_indexer.stream.filling.monotonic", lambda: now)
    monkeypatch.setattr("unified_indexer.stream.pending.MAX_BATCH", 1)
    connection, backs = await opened(engine), dict[int, float]()
    ask = connection.ask

    async def then_time_passes(*commands: Any) -> list[Reply]:
        nonlocal now
        replies = await ask(*commands)
        own = await engine.own(RELAY)
        begun = begun_at(own)
        assert begun is not None
        backs[int(own["cursor"])] = (int(own["cursor"]) - begun.seq) * step
        now += step
        return replies

    monkeypatch.setattr(connection, "ask", then_time_passes)
    await ended(await filled([account(seq) for seq in range(1, last + 1)]), connection)
    assert list(backs) == list(range(1, last + 1))
    known = [back for seq, back in backs.items() if seq * step > SAID + 2]
    assert min(known) > EVERYSEC
    assert SAID <= min(known) <= max(known) <= SAID + 2


@pytest.mark.promise(2)
async def test_what_came_late_while_nobody_read_is_there_after_a_start(database: str, engine: Valkey) -> None:
    """It has a lower seq than the stream's cursor, and the relay sends it to whoever asks from before."""
    frames = [account(seq) for seq in (10, 20, 30, 40, 50)]
    late = account(45, active=False)
    async with RelayServer(frames) as relay:
        async with ingesting(database, engine.url(relay.url)):
            await holds(engine, relay.url, 50)
        await engine.ask("HSET", own_key(relay.url.partition("://")[2]), "safe", 20, "safe_time", "")  # ten seconds have passed
        relay.append(late)
        relay.append(account(60))
        async with ingesting(database, engine.url(relay.url)):
            await holds(engine, relay.url, 60)
        assert relay.cursors[1:] == [20]
    found = [part for part in (await frames_in(engine, relay.url)).values() if part]
    assert found == [[*frames, late, account(60)]]


@pytest.mark.long
@pytest.mark.promise(2)
@each_program
async def test_a_server_that_loses_the_end_of_its_log_is_filled_again(database: str, program: str) -> None:
    """More than a second of what it had acknowledged is gone, and the last that is left is cut in two."""
    stream = traffic(1_500)
    async with (
        valkey(program) as engine,
        RelayServer(stream.frames, rate=300) as relay,
        ingesting(database, engine.url(relay.url)) as ingest,
    ):
        await until(lambda: ingest.metrics.finished > 200, "frames come in")
        there, size, since = await cursor(engine, relay.url), engine.logged, monotonic()
        await until(lambda: monotonic() - since > EVERYSEC, "so much time has passed as it may lose")
        lost = await cursor(engine, relay.url)
        engine.kill()
        engine.cut(size + 100)
        await engine.start()
        await holds(engine, relay.url, stream.last_seq)
        found = await frames_in(engine, relay.url)
    assert sorted(one for part in found.values() for one in part) == sorted(stream.frames)
    assert all(part == [one for one in stream.frames if one in set(part)] for part in found.values())
    assert there <= (relay.cursors[1] or 0) < lost


async def cursor(engine: Valkey, relay_url: str) -> int:
    """The relay's, which the server has."""
    return int((await engine.own(relay_url))["cursor"])
