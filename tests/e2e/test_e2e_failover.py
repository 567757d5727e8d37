"""The primary is lost and its standby promoted, under a worker at work: cursor and rows are of one moment on either server, so
what the one has lost is read again, and in the end nothing is missing."""

import asyncio
import contextlib
import logging
import re
import signal
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.truth import Sent
from testing.between import IGNORED, haproxy, needs_haproxy, needs_pgbouncer, pgbouncer
from testing.databases import connected, differences, saved, stored_cursor
from testing.failover import (
    LOCK,
    WORKERS,
    Pair,
    cut_off,
    promote,
    silenced,
    socket_of,
    tell,
    url_of,
)
from testing.faults.proxy import Proxy, to_socket
from testing.model import Model
from testing.processes import Process
from testing.servers import kill9
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import settings
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

log = logging.getLogger(__name__)

REVS = "SELECT did, rev FROM unified_worker.repos WHERE rev <> ''"
RESUMED = re.compile(r"Resuming \S+ from the stored cursor (\d+)")
UNFENCED = 3.0  # seconds in which both servers take writes
SILENCE = 18.0  # seconds until a silent server is left, and three for one more attempt to reach it
SPARE = 5.0  # seconds that a busy machine may take besides


@dataclass(frozen=True, slots=True)
class Work:
    """A worker that has written the first of three parts of a stream, and the relay that it reads."""

    relay: RelayServer
    worker: Process
    parts: list[list[Sent]]

    @property
    def ends(self) -> list[int]:
        """The last seq of each part."""
        return [part[-1].truth.seq for part in self.parts]

    def come(self, part: list[Sent]) -> None:
        """The relay gets these."""
        for sent in part:
            self.relay.append(sent.frame)

    async def reaches(self, server: PostgresServer, part: list[Sent]) -> None:
        """Wait until the cursor there is at this part's end."""
        await saved(server.url, self.relay.url, part[-1].truth.seq)

    async def goes_on(self, server: PostgresServer, since: float, *, after: int | None = None, without: int = 0) -> None:
        """The last part comes and is written to this server, with all that came before.

        `after`: the seq that it must go on from, where that is known: what the worker had in mind may be another. `without`:
        so many of the last part have come already.
        """
        stored = await stored_cursor(server.url, self.relay.url)

        async def moved() -> bool:
            return await stored_cursor(server.url, self.relay.url) != stored

        self.come(self.parts[-1][without:])
        await until(moved, "the cursor moves")
        log.info("the worker writes to the new primary after %.1f s", time.monotonic() - since)
        await self.reaches(server, self.parts[-1])
        resumed = [int(seq) for seq in RESUMED.findall(self.worker.output)]
        assert self.relay.cursors[1:] == resumed != []
        assert after in (None, resumed[0])
        model = traffic_of(sent for part in self.parts for sent in part).model
        assert await differences(server.url, model) == []
        async with connected(server.url) as connection:
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.gaps") == 0
        self.worker.signal(signal.SIGTERM)
        assert await self.worker.ends() == 0
        assert "Traceback" not in self.worker.output


@contextlib.asynccontextmanager
async def at_work(pair: Pair, url: str, folder: Path) -> AsyncGenerator[Work]:
    """A worker with this DATABASE_URL has written the first part, and the standby has it too."""
    generated = Settings(seed=21, accounts=1_000, mix=Mix.realistic(), cheap=True, history=50)
    stream = list(Generator(generated).stream(1_800))
    parts = [stream[at : at + 600] for at in range(0, 1_800, 600)]
    env = {"DB_POOL_SIZE": "3"}
    async with (
        RelayServer([sent.frame for sent in parts[0]]) as relay,
        Process(folder, **settings(url, relay.url, **env)) as worker,
    ):
        work = Work(relay, worker, parts)
        await work.reaches(pair[0], parts[0])
        await work.reaches(pair[1], parts[0])
        yield work


def revs_of(stream: Iterable[Sent]) -> dict[str, str]:
    """The rev of each repo after these messages."""
    model = Model()
    for sent in stream:
        model.apply(sent.truth)
    return model.revs


@pytest.mark.long
@pytest.mark.promise(2)
async def test_what_an_asynchronous_standby_lacks_is_read_again(pair: Pair, tmp_path: Path) -> None:
    primary, standby = pair
    async with at_work(pair, url_of(primary, standby), tmp_path) as work:
        await cut_off(standby)
        work.come(work.parts[1])
        await work.reaches(primary, work.parts[1])
        assert await stored_cursor(standby.url, work.relay.url) == work.ends[0]
        work.come(work.parts[2][:300])  # so that it dies at work
        await kill9(primary)
        await promote(standby)
        await work.goes_on(standby, time.monotonic(), after=work.ends[0], without=300)


@pytest.mark.promise(2)
@pytest.mark.long
async def test_a_synchronous_standby_lacks_nothing(pair: Pair, tmp_path: Path) -> None:
    primary, standby = pair
    await tell(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()")
    async with at_work(pair, url_of(primary, standby), tmp_path) as work:
        work.come(work.parts[1])

        async def moved() -> bool:
            return await stored_cursor(primary.url, work.relay.url) != work.ends[0]

        await until(moved, "the cursor moves")
        there = await stored_cursor(primary.url, work.relay.url) or 0
        await kill9(primary)
        await promote(standby)
        due = revs_of(sent for part in work.parts for sent in part if sent.truth.seq <= there)
        async with connected(standby.url) as connection:
            have = {row["did"]: row["rev"] for row in await connection.fetch(REVS)}
        assert [did for did, rev in due.items() if have.get(did, "") < rev] == []
        await work.goes_on(standby, time.monotonic())


@pytest.mark.promise(2)
@pytest.mark.long
async def test_a_primary_that_falls_silent_is_left(pair: Pair, tmp_path: Path) -> None:
    """And where it comes back unfenced, nothing is written there any more."""
    primary, standby = pair
    async with (
        Proxy(to_socket(socket_of(primary))) as to_primary,
        at_work(pair, url_of(to_primary.port, standby), tmp_path) as work,
    ):
        with silenced(primary):
            began = time.monotonic()
            await promote(standby)
            work.come(work.parts[1])
            await work.reaches(standby, work.parts[1])
            assert time.monotonic() - began < SILENCE + SPARE
        await work.goes_on(standby, began, after=work.ends[0])
        assert await stored_cursor(primary.url, work.relay.url) == work.ends[0]


@pytest.mark.long
@pytest.mark.promise(2)
async def test_while_both_take_writes_rows_and_cursor_stay_together(pair: Pair, tmp_path: Path) -> None:
    """The lock's connection goes on, the lanes' are lost, and where they would connect anew nobody listens."""
    primary, standby = pair
    async with (
        Proxy(to_socket(socket_of(primary))) as to_primary,
        at_work(pair, url_of(to_primary.port, standby), tmp_path) as work,
    ):
        await promote(standby)
        to_primary.deafen()
        await tell(primary, f"{WORKERS} AND NOT {LOCK}")
        work.come(work.parts[1])
        await asyncio.sleep(UNFENCED)  # in which nothing must happen
        async with connected(standby.url) as connection:
            newest = await connection.fetchval("SELECT max(rev) FROM unified_worker.repos")
        assert newest == max(revs_of(work.parts[0]).values())
        assert await stored_cursor(standby.url, work.relay.url) == work.ends[0]
        await to_primary.listen()
        await work.reaches(primary, work.parts[1])
        to_primary.deafen()  # and now it is fenced
        to_primary.reset()
        await work.goes_on(standby, time.monotonic(), after=work.ends[0])


@pytest.mark.promise(2)
@pytest.mark.long
async def test_a_switchover_loses_nothing(pair: Pair, tmp_path: Path) -> None:
    """A primary that is stopped in order gives its standby all that it has."""
    primary, standby = pair
    async with at_work(pair, url_of(primary, standby), tmp_path) as work:
        work.come(work.parts[1])
        await work.reaches(primary, work.parts[1])
        await primary.stop("fast")
        await promote(standby)
        assert await stored_cursor(standby.url, work.relay.url) == work.ends[1]
        await work.goes_on(standby, time.monotonic(), after=work.ends[1])


@needs_haproxy
@pytest.mark.promise(2)
@pytest.mark.long
async def test_behind_haproxy_one_address_leads_to_the_primary(pair: Pair, tmp_path: Path) -> None:
    primary, standby = pair
    async with haproxy(tmp_path, pair) as port, at_work(pair, url_of(port), tmp_path) as work:
        work.come(work.parts[1])
        await kill9(primary)
        await promote(standby)
        await work.goes_on(standby, time.monotonic())


@needs_pgbouncer
@pytest.mark.promise(2)
@pytest.mark.long
async def test_behind_pgbouncer_that_leads_to_another_server(pair: Pair, tmp_path: Path) -> None:
    primary, standby = pair
    async with (
        pgbouncer(primary, "unified", "session", IGNORED) as bouncer,
        at_work(pair, bouncer.url, tmp_path) as work,
    ):
        work.come(work.parts[1])
        await kill9(primary)
        await promote(standby)
        bouncer.lead_to(standby)
        await work.goes_on(standby, time.monotonic())


async def test_what_a_standby_is_asked_it_answers_or_refuses(pair: Pair, tmp_path: Path) -> None:
    primary, standby = pair
    async with at_work(pair, url_of(primary), tmp_path) as work:
        for command, code, said in (
            (("status",), 0, r"server +a standby of PostgreSQL, read-only"),
            (("status",), 0, r"worker +only the primary knows whether one runs; last seen"),
            (("status",), 0, rf"cursor +{work.ends[0]}, stored"),
            (("check", "--full"), 0, "^No differences in [0-9,]+ rows"),
        ):
            async with Process(tmp_path, *command, **settings(standby.url, work.relay.url)) as process:
                await process.says(said)
                assert await process.ends() == code
                assert "Traceback" not in process.output
        pool = DatabasePool(standby.url, size=2, name="relay.test", durable=True)
        with pytest.raises(
            OperatorError, match=r"takes no writes .*: name the primary, or all hosts with target_session_attrs"
        ):
            await make_ready(pool, RECORD_TYPES, patience=0)  # as the worker does, and each command that writes, after 30 s
        pool.terminate()
