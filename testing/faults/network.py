"""What the network does wrong, between the relay and the worker, and between the worker and PostgreSQL."""

import asyncio
import time
from random import Random

from testing.faults.cluster import writable
from testing.faults.kind import Kind
from testing.faults.proxy import Proxy
from testing.faults.scene import Scene

MOST_BYTES = 200_000  # until a connection is cut in the middle of whatever goes by
PROBES = 25.0  # seconds: those of the worker's sessions
UNANSWERED = "connection that holds the lock is gone"
BUT_THE_LOCK = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%python%'
AND pid NOT IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1)
"""
HALF_OPEN = 4.0  # seconds: more than the worker's IDLE_TIMEOUT of 3 s here


async def _reset_relay(scene: Scene, _rng: Random) -> None:
    scene.to_relay.reset()


async def _close_relay(scene: Scene, _rng: Random) -> None:
    scene.to_relay.close()


async def _cut_amid_frame(scene: Scene, rng: Random) -> None:
    await _cut(scene, scene.to_relay, rng.randrange(1, MOST_BYTES))


async def _cut(scene: Scene, proxy: Proxy, after: int) -> None:
    proxy.cut_after = after
    scene.feed.more(300)
    await scene.until(lambda: proxy.cut_after is None, "so many bytes went by")


async def _half_open(scene: Scene, _rng: Random) -> None:
    """No byte comes any more, and no end: only the worker's own clock can tell. New connections are sound."""
    connections = scene.relay.connections
    scene.to_relay.silence()
    await scene.until(lambda: scene.relay.connections > connections, "the worker notices the silence")


async def _stalled(scene: Scene, rng: Random) -> None:
    """The whole path is silent, for new connections too, and then goes on as if nothing had been."""
    scene.to_relay.stall()
    await asyncio.sleep(rng.uniform(1, HALF_OPEN + 1))
    scene.to_relay.resume()


async def _refused(scene: Scene, rng: Random) -> None:
    scene.to_relay.refusing = True
    scene.to_relay.reset()
    await asyncio.sleep(rng.uniform(0.5, 2.5))
    scene.to_relay.refusing = False


async def _reset_database(scene: Scene, rng: Random) -> None:
    scene.to_database.reset(rng.choice((0.0, 0.5, 1.0)))


async def _cut_amid_answer(scene: Scene, rng: Random) -> None:
    """The call may have been done or not: nobody knows."""
    await _cut(scene, scene.to_database, rng.randrange(1, 3_000))


async def _stalled_database(scene: Scene, rng: Random) -> None:
    scene.to_database.stall()
    await asyncio.sleep(rng.uniform(1, 3))
    if rng.random() < 0.5:
        scene.to_database.reset()
    scene.to_database.resume()


async def _half_open_database(scene: Scene, _rng: Random) -> None:
    """No answer comes any more, and no end. The server itself gives its ends up after a while, by TCP's own probes.

    A worker that is only starting waits for that; one at work asks whether the server is still there.
    """
    scene.to_database.silence()
    said, ended = scene.keeper.output.count(UNANSWERED), len(scene.keeper.codes)
    deadline = time.monotonic() + PROBES
    while time.monotonic() < deadline:
        if scene.keeper.output.count(UNANSWERED) > said or len(scene.keeper.codes) > ended:
            break
        await asyncio.sleep(0.1)
    scene.to_database.give_up()


async def _refused_database(scene: Scene, rng: Random) -> None:
    scene.to_database.refusing = True
    scene.to_database.reset()
    await asyncio.sleep(rng.uniform(0.5, 2.5))
    scene.to_database.refusing = False


async def _second_server(scene: Scene, rng: Random) -> None:
    """A failover before fencing: the first server takes nobody new, and the next in the URL can be written to as well."""
    assert scene.second is not None
    await writable(scene.second.url, now=True)
    scene.to_database.deafen()
    await scene.rows(BUT_THE_LOCK)
    scene.feed.more(300)
    await asyncio.sleep(rng.uniform(1, 3))
    await scene.to_database.listen()
    await writable(scene.second.url, now=False)


async def _slow_database(scene: Scene, rng: Random) -> None:
    scene.to_database.rate = 3_000.0
    await asyncio.sleep(rng.uniform(1, 2.5))
    scene.to_database.rate = None


KINDS = (
    Kind("net_closed", "network", "relay: closed in good order by what lies between", _close_relay),
    Kind("net_reset", "network", "relay: reset", _reset_relay),
    Kind("net_cut_amid_frame", "network", "relay: reset in the middle of a frame", _cut_amid_frame),
    Kind("net_half_open", "network", "relay: half-open and silent for good", _half_open),
    Kind("net_stalled", "network", "relay: silent for up to 5 s", _stalled),
    Kind("net_refused", "network", "relay: no connection for up to 2.5 s", _refused),
    Kind("db_net_reset", "network", "database: one, half or all connections reset", _reset_database),
    Kind("db_net_cut_amid_answer", "network", "database: reset in the middle of an answer", _cut_amid_answer),
    Kind("db_net_stalled", "network", "database: silent for up to 3 s, then continues or is reset", _stalled_database),
    Kind("db_net_half_open", "network", "database: half-open and silent for good", _half_open_database),
    Kind("db_net_refused", "network", "database: no connection for up to 2.5 s", _refused_database),
    Kind(
        "db_failover_unfenced",
        "network",
        "two hosts: the first takes nobody new, the second can be written to",
        _second_server,
        needs=frozenset({"second server"}),
        group="second",
    ),
    Kind("db_net_slow", "network", "database: 3 kB/s", _slow_database),
)
