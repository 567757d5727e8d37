"""Run a PostgreSQL server as a child process that ends when this process ends, however it ends.

`directory` holds everything: `cluster/` (the data), `server.log`, and the socket. The server listens on that socket alone, and
the directory is closed to all but the server's account (mode 0700), so that no other user of the machine gets in.
"""

import asyncio
import logging
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal
from urllib.parse import quote

from unified_indexer.embedded.cluster import (
    DATABASE,
    LOG_FILE,
    POLL,
    READY,
    STOP_TIMEOUT,
    USER,
    Cluster,
    InUse,
    OsAccount,
    environment,
    spawn_as,
)
from unified_indexer.errors import OperatorError

log = logging.getLogger(__name__)

SOCKET = ".s.PGSQL.5432"
JOIN_POLL = 0.1  # seconds between two attempts
JOIN_TIMEOUT = 30.0  # seconds: for another process's server that is about to start, or to end
MAX_SOCKET_PATH = 103  # bytes: what the smallest sockaddr_un of the supported systems (macOS) holds
SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "max_wal_size": "4GB",  # the default 1 GB makes a catch-up checkpoint all the time
        "checkpoint_timeout": "15min",
        "log_checkpoints": "off",
    }
)
# Reads a pipe whose other end this process alone holds: the read returns when this process is gone, even by kill -9.
WATCHDOG = 'read -r _; pid=$(head -n 1 "$1/postmaster.pid" 2>/dev/null) && kill -INT "$pid"'

StopMode = Literal["fast", "immediate"]


class PostgresServer:
    """The server in `directory`, with the programs in `bin_dir` (PostgreSQL 15 or newer), run as `account` (None: this user).

    `settings` are PostgreSQL's own, added to SETTINGS. Data survive `stop` and `start`. `start` raises OperatorError when the
    directory cannot be used: another process runs it, another major version made it, or it holds something else.
    """

    def __init__(
        self, bin_dir: Path, directory: Path, *, account: OsAccount | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self._cluster = Cluster(bin_dir, directory, account)
        self.directory = self._cluster.directory
        self.log_file = self.directory / LOG_FILE
        self._settings = {**SETTINGS, **(settings or {})}
        self._socket_dir = self.directory
        self._joined = False  # the server is another process's
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None if it is not running."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def url(self) -> str:
        """The URL of the database `unified`, for asyncpg and for psql. Valid while the server runs."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """The URL of another database of this server."""
        return f"postgresql://{USER}@/{quote(database)}?host={quote(str(self._socket_dir))}&port=5432"

    @property
    def psql(self) -> str:
        """The shell command that opens the database, with the server's own psql."""
        program = shlex.quote(str(self._cluster.bin_dir / "psql"))
        return f"{program} -h {shlex.quote(str(self._socket_dir))} -p 5432 -U {USER} {DATABASE}"

    async def start(self) -> None:
        """Make the cluster if there is none, end a server that a crash left behind, start, and wait until it takes connections.

        Recovery after a crash may take minutes; there is no time limit while the server is at it.
        """
        await asyncio.to_thread(self._cluster.take)
        try:
            await asyncio.to_thread(self._spawn)
            await self._ready()
        except BaseException:
            await self.stop("immediate")
            raise

    async def start_or_join(self) -> None:
        """Use the server that another process runs here, which `stop` then leaves alone; otherwise start one.

        Raises OperatorError where there is no cluster yet.
        """
        deadline = time.monotonic() + JOIN_TIMEOUT
        if self._cluster.is_missing():
            raise OperatorError([f"there is no database in {self.directory}: start the worker with --embedded first"])
        while True:
            try:
                return await self.start()
            except InUse:
                if await asyncio.to_thread(self.join):
                    return None
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(JOIN_POLL)

    def join(self) -> bool:
        """Use the server that runs in the directory already, whoever runs it; False while none accepts connections."""
        if (socket := self._cluster.ready_socket()) is not None:
            self._socket_dir, self._joined = socket, True
        return self._joined

    def examine(self) -> bool:
        """Whether there is a cluster. Changes nothing; raises OperatorError where `start` would, but for another process's
        use."""
        return self._cluster.examine()

    async def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server and wait for its end. `fast` ends connections and writes a checkpoint, `immediate` is like a
        crash."""
        if self._joined:
            return
        if self._process is not None:
            self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
            deadline = time.monotonic() + STOP_TIMEOUT
            while self._process.poll() is None:
                if time.monotonic() > deadline:
                    log.warning(
                        "PostgreSQL did not stop within %.0f s; stopping it as in a crash; it recovers at the next start",
                        STOP_TIMEOUT,
                    )
                    self._process.send_signal(signal.SIGQUIT)  # the server itself kills its children 5 s later
                    deadline = time.monotonic() + STOP_TIMEOUT
                await asyncio.sleep(POLL)
        self._release()

    def _release(self) -> None:
        self._process = None
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        if self._socket_dir != self.directory:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = self.directory
        self._cluster.release()

    def _spawn(self) -> None:
        if len(os.fsencode(self.directory / SOCKET)) > MAX_SOCKET_PATH or "," in str(self.directory):  # a comma parts two hosts
            self._socket_dir = Path(tempfile.mkdtemp(prefix="unified-", dir="/tmp"))  # TMPDIR may be long itself
            self._cluster.make_private(self._socket_dir)
        settings = {**self._settings, "unix_socket_directories": str(self._socket_dir)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # A session of its own: Ctrl-C reaches the foreground group and would stop the server before the worker has drained.
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self._cluster.data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            **spawn_as(self._cluster.account),
        )
        if self.log_file.exists():
            self.log_file.rename(self.log_file.with_suffix(".previous.log"))
        with self.log_file.open("wb") as output:
            self._process = subprocess.Popen(
                [str(self._cluster.bin_dir / "postgres"), "-D", str(self._cluster.data), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self.directory,
                env=environment(),
                **spawn_as(self._cluster.account),
            )

    async def _ready(self) -> None:
        assert self._process is not None
        while True:
            lines = self._cluster.status_lines()
            if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == READY:
                return
            if self._process.poll() is not None:
                said = self.log_file.read_text(errors="replace").strip()[-2000:]
                raise OperatorError([f"PostgreSQL did not start in {self.directory}; its log says: {said}"])
            await asyncio.sleep(POLL)
