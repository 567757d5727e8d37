"""Two workers, one of which stands by: it takes over within 15 s where the other falls silent, within 3 s where it dies."""

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.server import RelayServer
from testing.databases import connected, differences, saved, stored_cursor
from testing.processes import Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import settings
from unified_indexer.command_line.texts.status import status_text
from unified_indexer.database.connection.lock import STANDING_BY
from unified_indexer.database.status.database import status

log = logging.getLogger(__name__)

SPARE = 3.0  # seconds that a busy machine may take besides
STANDS_BY = STANDING_BY.partition("%")[0]


async def answer(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as found:
        return found.status, await found.text()


@pytest.mark.long
@pytest.mark.promise(2)
async def test_a_standby_takes_over(database: str, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    stream = traffic(1_500, seed=9)
    parts = [stream.frames[at : at + 500] for at in range(0, 1_500, 500)]
    ends = [seq_of(part[-1]) or 0 for part in parts]
    env = {"DB_POOL_SIZE": "3", "STANDBY": "1", "HTTP_BIND": "127.0.0.1:0"}

    async with RelayServer(parts[0]) as relay:

        async def moved_on(frames: Sequence[bytes], what: str) -> float:
            """Seconds until the cursor moves, because of frames that come now; logged, and kept for --junit-xml."""
            began, before = time.monotonic(), await stored_cursor(database, relay.url)
            for frame in frames:
                relay.append(frame)

            async def moved() -> bool:
                return await stored_cursor(database, relay.url) != before

            await until(moved, "the cursor moves")
            seconds = time.monotonic() - began
            log.info("%s: the other worker writes after %.1f s", what, seconds)
            record_property(what, round(seconds, 1))
            return seconds

        async with (
            Process(tmp_path, **settings(database, relay.url, **env)) as first,
            Process(tmp_path, "--standby", **settings(database, relay.url, **env)) as second,
        ):
            both = first, second
            await until(lambda: any(STANDS_BY in one.output for one in both), "one stands by")
            active, standby = both if STANDS_BY in second.output else both[::-1]
            await saved(database, relay.url, ends[0])
            page = (await standby.says(r"Live page: (http://\S+/)"))[1]
            assert (await answer(page + "healthz"))[0] == 200
            code, text = await answer(page + "readyz")
            assert code == 503
            assert '"reason":"standby"' in text
            async with connected(database) as connection:
                found = await status(connection, "public")
            assert found.relays[0].standbys == 1
            assert any("standby" in line for line in status_text(found))

            active.signal(signal.SIGSTOP)  # as if its machine were gone, behind a network that says nothing of it
            assert await moved_on(parts[1], "SIGSTOP") < 15 + SPARE
            active.signal(signal.SIGCONT)
            await active.says(STANDS_BY)  # its lock is lost, and now it waits itself
            await asyncio.sleep(1.2)  # two more attempts: it says so once
            for one in both:
                assert one.output.count(STANDS_BY) == 1

            await saved(database, relay.url, ends[1])
            standby.kill()
            assert await moved_on(parts[2], "kill -9") < 3 + SPARE
            await saved(database, relay.url, stream.last_seq)
            assert active.code is None
    assert await differences(database, stream.model) == []
