"""Several workers share a stream: together they write what one would, whatever their number is, and when it changes."""

from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.server import RelayServer
from testing.databases import connected, differences
from testing.processes import Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.config.settings import Config
from unified_indexer.database.status.database import status
from unified_indexer.errors import OperatorError
from unified_worker import UnifiedWorker

CURSORS = "SELECT split_part(service, '#', 2), cursor::bigint FROM firehose_cursor ORDER BY service"
EVENTS = 4_500


async def cursors(url: str) -> dict[str, int]:
    """By share."""
    async with connected(url) as connection:
        return {row[0]: row[1] for row in await connection.fetch(CURSORS)}


async def refused(url: str, relay: RelayServer, said: str, **env: str) -> None:
    worker = UnifiedWorker(Config.from_env(settings(url, relay.url, **env)))
    with pytest.raises(OperatorError, match=said):
        await worker.initialize()
    worker.abandon()


@pytest.mark.long
@pytest.mark.promise(2)
@pytest.mark.promise(4)
async def test_two_then_three_then_one(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two is killed in the middle of the stream; three go on, and then one: no event is lost, and none counts twice."""
    monkeypatch.setattr("unified_indexer.database.connection.lock.LOCK_PATIENCE", 0.5)
    monkeypatch.setattr("unified_indexer.database.status.shares.INTERVAL", 0.2)
    stream = traffic(EVENTS, awkward=True, seed=15, accounts=400)
    third = EVENTS // 3
    first, second, last = stream.frames[:third], stream.frames[third : 2 * third], stream.frames[2 * third :]
    async with RelayServer(first) as relay:
        async with (
            Process(tmp_path, **settings(database, relay.url, SHARE="1/2", DB_POOL_SIZE="2")) as killed,
            running(database, relay.url, SHARE="2/2", DB_POOL_SIZE="3") as other,
        ):
            await killed.says("Connected to ")
            await until(lambda: other.session.watermark.cursor is not None, "the other one reads")
            for wrong in ("1/3", "1/1"):
                await refused(database, relay, "another number of shares|another worker writes", SHARE=wrong)
            await refused(database, relay, "#2/2", SHARE="2/2")

            async def begun() -> bool:
                return (await cursors(database)).get("1/2") is not None

            await until(begun, "the first one's cursor is stored")
            killed.kill()
            for frame in second:
                relay.append(frame)
            seq = seq_of(second[-1])
            await until(lambda: other.session.watermark.cursor == seq, "the other one is through")
            await until(lambda: other.keeper.keeps, "the other one does what is done once for all")
            await until(lambda: [one[1:] for one in other.shares.seen] == [(False, False), (True, True)], "its end is seen")
        stored = await cursors(database)
        assert stored["1/2"] < stored["2/2"] == seq
        async with AsyncExitStack() as stack:
            three = [
                await stack.enter_async_context(running(database, relay.url, SHARE=f"{k}/3", DB_POOL_SIZE="3"))
                for k in (1, 2, 3)
            ]
            assert set(await cursors(database)) == {"1/3", "2/3", "3/3"}
            for frame in last:
                relay.append(frame)
            for worker in three:
                await finished(worker, stream.last_seq)
            assert relay.cursors[-3:] == [stored["1/2"]] * 3
            assert sum(worker.keeper.keeps for worker in three) == 1
            async with connected(database) as connection:
                relays = (await status(connection, "public")).relays
            assert [relay.keeper for relay in relays] == [worker.keeper.keeps for worker in three]
            expected = [(True, worker.keeper.keeps) for worker in three]
            for worker in three:  # and each page shows all
                await until(lambda shares=worker.shares: [one[1:] for one in shares.seen] == expected, "all shares are seen")
                assert all(one.lag is not None and one.lag > 0 for one in worker.shares.seen)
            own = [sum(worker.metrics.operations.values()) for worker in three]
            assert min(own) > sum(own) / 6
        assert await differences(database, stream.model) == []
        async with running(database, relay.url) as one:
            await finished(one, stream.last_seq)
            assert one.keeper.keeps
            assert one.shares.seen == []
            async with connected(database) as connection:
                assert [relay.keeper for relay in (await status(connection, "public")).relays] == [False]  # there are no others
        assert await differences(database, stream.model) == []
        async with connected(database) as connection:
            assert await connection.fetchval("SELECT array_agg(service) FROM firehose_cursor") == [urlsplit(relay.url).netloc]
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.gaps") == 0
