"""All parts of one run: a server of its own, the relay, a proxy before each, the stream, the worker, and who watches."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg

from relay_simulator.frames_file import FrameLog
from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from relay_simulator.truth import Sent
from testing.faults.cluster import SETTINGS, own_directory, second_server, standby_of
from testing.faults.feed import Feed
from testing.faults.keeper import Keeper
from testing.faults.proxy import Proxy, to_port, to_socket
from testing.faults.witness import GONE, MINE, Witness
from testing.servers import MEMORY, make_server
from testing.streams import Valkey, ingesting, valkey
from testing.waiting import until
from unified_indexer.embedded.server import SOCKET, PostgresServer

RATE = 900.0  # messages a second
FEW = 4  # messages at a time, while a commit is waited for
PATIENCE = 60.0  # seconds for anything that must come about


@dataclass
class Scene:
    """What faults strike at. `url` leads straight to the database, past the proxy."""

    folder: Path
    server: PostgresServer
    url: str
    service: str  # the relay's name in firehose_cursor: that of its proxy
    relay: RelayServer
    to_relay: Proxy
    to_database: Proxy
    feed: Feed
    keeper: Keeper
    witness: Witness
    disk: Path | None  # where the small one is mounted
    clock: Path | None  # the file that says how far the worker's clock is off
    sent: list[Sent]  # the stream as it is to be judged
    operator: asyncio.Lock = field(default_factory=asyncio.Lock)  # who stops and starts the server
    renumbered: bool = False  # whether the relay counts anew
    second: PostgresServer | None = None  # the next host in the worker's URL: read-only, if no fault changes that
    to_second: Proxy | None = None
    beside: list[Keeper] = field(default_factory=list[Keeper])  # of other workers
    directory: Services | None = None  # that knows who signs for the accounts
    engine: Valkey | None = None  # the stream's server
    broken: set[str] = field(default_factory=set[str])  # accounts of which a broken message came besides

    @property
    def hosts(self) -> Services:
        """The hosts beside the relay, of a run that needs them."""
        assert self.directory is not None
        return self.directory

    def fail_over(self) -> None:
        """The second server is the one that counts from now on."""
        assert self.second is not None
        assert self.to_second is not None
        self.server, self.second = self.second, self.server
        self.to_database, self.to_second = self.to_second, self.to_database
        self.url = self.server.url
        self.witness.turn_to(self.url)

    def log(self, sent: Iterable[Sent]) -> FrameLog:
        """A log for the relay, of these messages."""
        return Overlapping(sent, self.witness.slack)

    async def sql(self, *statements: str) -> None:
        """Run statements on a connection of one's own, when there is one to be had."""
        for statement in statements:
            await self.rows(statement)

    async def rows(self, query: str, *args: Any) -> list[Any]:
        """The rows of a query, likewise."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return await self._rows(query, *args)
            except GONE:
                if time.monotonic() >= deadline:
                    raise
            await asyncio.sleep(0.1)

    async def _rows(self, query: str, *args: Any) -> list[Any]:
        connection = await asyncpg.connect(self.url, server_settings=MINE)
        try:
            return await connection.fetch(query, *args)
        finally:
            connection.terminate()

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], what: str, seconds: float = PATIENCE) -> None:
        """Wait for a condition; a database that is away just now does not fulfil it."""

        async def held() -> bool:
            try:
                now = condition()
                return now if isinstance(now, bool) else await now
            except GONE:
                return False

        try:
            await until(held, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; the worker said:\n{self.keeper.output[-3000:]}") from None

    @contextlib.asynccontextmanager
    async def playing(self) -> AsyncGenerator[None]:
        """Meanwhile the stream flows, the worker is kept running, and everything is watched."""
        pipe = [self.keeper.pipe.run()] if self.keeper.pipe else []
        tasks = [asyncio.create_task(part) for part in (self.feed.run(), self.keeper.run(), self.witness.run(), *pipe)]
        body = asyncio.current_task()
        assert body is not None
        for task in tasks:  # so that the run ends at once where one of them fails
            task.add_done_callback(lambda ended: body.cancel() if not ended.cancelled() and ended.exception() else None)
        try:
            yield
        finally:
            self.keeper.rest()
            for task in tasks:
                task.cancel()
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(error, Exception):
                    if body.cancelling():
                        body.uncancel()
                    raise error

    async def newer(self, than: str, reserved: float) -> float:
        """Wait until a commit newer than this rev is there, while the stream trickles; the seconds that it took.

        `reserved`: the share of the stream that is not given away for it.
        """
        began = time.monotonic()

        def there() -> bool:
            self.feed.burst(FEW, reserved)
            return self.witness.newest > than

        await self.until(there, "commits go on")
        return time.monotonic() - began


class Overlapping(FrameLog):
    """A relay whose seqs are out of order by up to `slack` goes back by as much: what a client has not seen may lie below."""

    def __init__(self, sent: Iterable[Sent], slack: int) -> None:
        super().__init__(one.frame for one in sent)
        self._slack = slack

    def after(self, cursor: int, *, inclusive: bool) -> int:
        return super().after(cursor - self._slack, inclusive=inclusive)


def fake_clock() -> str | None:
    """The library that changes a process's clock; None where it is not installed."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    return str(found[0]) if found else None


def _forget_clocks(pids: Sequence[int]) -> None:
    """libfaketime's shared memory outlives a process that was killed."""
    for pid in pids:
        for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
            (MEMORY / name).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a run wants: the stream, the worker's settings, and what its faults need."""

    sent: list[Sent]
    slack: int = 0
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    needs: frozenset[str] = frozenset()
    network: Settings | None = None  # of which there is a directory


@contextlib.asynccontextmanager
async def raised(template: Path, folder: Path, wishes: Wishes) -> AsyncGenerator[Scene]:
    """A scene with everything running but the worker, which `Scene.play` starts."""
    async with contextlib.AsyncExitStack() as stack:
        directory, disk = stack.enter_context(own_directory(template, small="small disk" in wishes.needs))
        server = make_server(18, directory, SETTINGS)
        await server.start()
        stack.push_async_callback(server.stop, "immediate")
        parts = urlsplit(server.url)
        path = Path(parse_qs(parts.query)["host"][0]) / SOCKET
        relay = await stack.enter_async_context(RelayServer())
        to_relay = await stack.enter_async_context(Proxy(to_port(urlsplit(relay.url).port or 0)))
        to_database = await stack.enter_async_context(Proxy(to_socket(str(path))))
        hosts, several = f"127.0.0.1:{to_database.port}", ""
        second = to_second = None
        if "second server" in wishes.needs:
            second = await stack.enter_async_context(second_server(template))
        elif "standby" in wishes.needs:
            second = await stack.enter_async_context(standby_of(server))
        if second is not None:
            beside = Path(parse_qs(urlsplit(second.url).query)["host"][0]) / SOCKET
            to_second = await stack.enter_async_context(Proxy(to_socket(str(beside))))
            hosts, several = f"{hosts},127.0.0.1:{to_second.port}", "&target_session_attrs=read-write"
        service = f"127.0.0.1:{to_relay.port}"
        env = {
            "DATABASE_URL": f"postgresql://{parts.username}@{hosts}{parts.path}?sslmode=disable{several}",
            "RELAY_URL": f"ws://{service}",
            "CURSOR": "oldest",
            "VERIFY": "off",
            "BACKFILL": "off",
            "HTTP_BIND": "127.0.0.1:0",
            "IDLE_TIMEOUT": "3",
            **wishes.env,
        }
        feed = Feed(relay, tuple(wishes.sent), RATE)
        directory = None
        if wishes.network is not None:
            directory = await stack.enter_async_context(Services(_ledger(wishes.network, wishes.sent, feed)))
            env |= {"VERIFY": "full", "PLC_RATE": "1000"} | directory.settings
        engine = None
        if "stream" in wishes.needs:
            engine = await stack.enter_async_context(valkey())
            env["RELAY_URL"] = engine.url(env["RELAY_URL"])
            ingested = await stack.enter_async_context(ingesting(env["DATABASE_URL"], env["RELAY_URL"]))
            stack.callback(ingested.stop)
        clock = folder / "clock" if "clock" in wishes.needs else None
        if clock is not None:
            clock.write_text("+0")
            env |= {
                "LD_PRELOAD": fake_clock() or "",
                "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        keeper = Keeper(folder, env, relay, asks=engine is None)
        if "pipe" in wishes.needs:
            keeper.use_pipe()
        witness = Witness(server.url, service, wishes.sent, wishes.slack)
        relay.log = Overlapping((), wishes.slack)
        if clock is not None:
            stack.callback(_forget_clocks, keeper.pids)
        yield Scene(
            *(folder, server, server.url, service, relay, to_relay, to_database, feed, keeper, witness, disk, clock),
            wishes.sent,
            second=second,
            to_second=to_second,
            directory=directory,
            engine=engine,
        )


def _ledger(network: Settings, sent: Sequence[Sent], feed: Feed) -> Ledger:
    """What the directory knows: as much as the relay has been given, by the first numbering."""
    ledger = Ledger(network, lambda: sent[feed.position - 1].truth.seq if feed.position else -1)
    for one in sent:
        ledger.note(one.truth)
    return ledger
