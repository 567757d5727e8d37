"""A PostgreSQL server of our own: made by initdb, run as a child process, and ended when this process ends, however it ends.

`directory` holds everything: `cluster/` (the data), `server.log`, and the socket. The server listens on that socket alone, and
the directory is closed to all but the server's account (mode 0700), so that no other user of the machine gets in.
"""

import asyncio
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypedDict
from urllib.parse import quote

from indexer.errors import OperatorError

log = logging.getLogger(__name__)

DATABASE = "unified"
USER = "unified"
SOCKET = ".s.PGSQL.5432"
MAX_SOCKET_PATH = 103  # bytes: what the smallest sockaddr_un of the supported systems (macOS) holds
POLL = 0.01  # seconds between two looks at a server that starts or stops
STOP_TIMEOUT = 30.0  # seconds: a fast stop writes the dirty shared_buffers, 256 MB at most
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


@dataclass(frozen=True, slots=True)
class Account:
    """The system user that a server runs as."""

    name: str
    uid: int
    gid: int


class Spawn(TypedDict, total=False):
    """The arguments of subprocess that make a child run as another user."""

    user: int
    group: int
    extra_groups: list[int]


def spawn_as(account: Account | None) -> Spawn:
    """What to pass to subprocess so that the child runs as `account`; None is the user of this process."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


class PostgresServer:
    """The server in `directory`, with the programs in `bin_dir` (PostgreSQL 15 or newer), run as `account` (None: this user).

    `settings` are PostgreSQL's own, added to SETTINGS. Data survive `stop` and `start`. `start` raises OperatorError when the
    directory cannot be used: another process runs it, another major version made it, or it holds something else.
    """

    def __init__(
        self, bin_dir: Path, directory: Path, *, account: Account | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.directory = directory.absolute()
        self.cluster = self.directory / "cluster"
        self.log_file = self.directory / "server.log"
        self._bin = bin_dir
        self._account = account
        self._settings = {**SETTINGS, **(settings or {})}
        self._socket_dir = self.directory
        self._lock = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the running server, None when it does not run."""
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
        """The shell command that opens the database."""
        return f"psql -h {self._socket_dir} -p 5432 -U {USER} {DATABASE}"

    async def start(self) -> None:
        """Make the cluster if there is none, end a server that a crash left behind, start, and wait until it takes connections.

        Recovery after a crash may take minutes; there is no time limit while the server is at it.
        """
        await asyncio.to_thread(self._prepare)
        try:
            await asyncio.to_thread(self._spawn)
            await self._ready()
        except BaseException:
            await self.stop("immediate")
            raise

    async def stop(self, mode: StopMode = "fast") -> None:
        """End the server and wait for its end. `fast` breaks connections and writes a checkpoint, `immediate` is as a crash."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT if mode == "fast" else signal.SIGQUIT)
            deadline = time.monotonic() + STOP_TIMEOUT
            while self._process.poll() is None:
                if time.monotonic() > deadline:
                    log.warning(
                        "PostgreSQL did not stop within %.0f s; it is stopped as in a crash and recovers at the next start",
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
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _prepare(self) -> None:
        major = self._major()
        self._make_private(self.directory)
        self._lock = os.open(self.directory, os.O_RDONLY)
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a process takes it along when it dies
            except BlockingIOError:
                raise OperatorError(
                    [f"{self.directory} is in use by another process: stop that one, or choose another directory"]
                ) from None
            if self.cluster.exists():
                self._check_version(major)
                self._end_orphan()
            else:
                self._check_foreign()
                self._initialize(major)
        except BaseException:
            self._release()
            raise

    def _major(self) -> int:
        version = self._run("postgres", "--version", cwd=Path("/"))
        found = re.search(r"\) (\d+)", version)
        if found is None:
            raise OperatorError([f"{self._bin / 'postgres'} is not a PostgreSQL server: it answered {version!r}"])
        return int(found[1])

    def _make_private(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        owner = os.geteuid() if self._account is None else self._account.uid
        if path.stat().st_uid != owner:
            if self._account is None:
                raise OperatorError([f"{path} belongs to another user: run as that user, or choose another directory"])
            os.chown(path, self._account.uid, self._account.gid)
        path.chmod(0o700)

    def _check_version(self, major: int) -> None:
        found = (self.cluster / "PG_VERSION").read_text().strip()
        if found != str(major):
            raise OperatorError(
                [
                    f"{self.cluster} was made by PostgreSQL {found}, this one is {major}: move it away and start anew, "
                    f"or carry it over with pg_dump of PostgreSQL {found}, or choose another directory"
                ]
            )

    def _check_foreign(self) -> None:
        ours = {"cluster.new", self.log_file.name}
        foreign = sorted(path.name for path in self.directory.iterdir() if path.name not in ours)
        if foreign:
            raise OperatorError([f"{self.directory} holds something else ({foreign[0]}): choose a new or an empty directory"])

    def _initialize(self, major: int) -> None:
        """All in a directory aside, renamed when complete: a crash in the middle leaves nothing that looks like a cluster."""
        fresh = self.directory / "cluster.new"
        shutil.rmtree(fresh, ignore_errors=True)
        # "builtin" is the same on every system; older servers take the C library's locale of that name.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"] if major >= 17 else ["--locale=C.UTF-8"]
        )
        access = ["--auth-local=trust", "--auth-host=reject"]  # the directory's mode is the lock
        self._run("initdb", f"--pgdata={fresh}", f"--username={USER}", "--encoding=UTF8", *access, *locale)
        self._run("postgres", "--single", "-D", str(fresh), "template1", stdin=f"CREATE DATABASE {DATABASE}\n")
        fresh.rename(self.cluster)

    def _end_orphan(self) -> None:
        deadline = time.monotonic() + STOP_TIMEOUT
        stop = signal.SIGINT
        while (pid := self._running_pid()) is not None:
            log.info("stopping the PostgreSQL server (process %d) that an earlier run left behind", pid)
            os.kill(pid, stop)
            while self._running_pid() == pid and time.monotonic() < deadline:
                time.sleep(POLL)
            stop, deadline = signal.SIGQUIT, deadline + STOP_TIMEOUT
        if (named := self._named_pid()) is not None and _exists(named):
            # The server would take the stranger that now has this process id for a server of its own, and give up.
            (self.cluster / "postmaster.pid").unlink()

    def _running_pid(self) -> int | None:
        """The server that runs this cluster now. The file of a dead one may name a process that has nothing to do with it."""
        pid = self._named_pid()
        if pid is None:
            return None
        try:
            if Path("/proc/self").exists():
                ours = Path(f"/proc/{pid}/cwd").samefile(self.cluster)  # the server works inside its data directory
            else:
                command = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
                ours = str(self.cluster) in command.stdout
        except OSError:  # no such process, or not ours to look at
            return None
        return pid if ours else None

    def _named_pid(self) -> int | None:
        lines = self._status_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def _status_lines(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _spawn(self) -> None:
        if len(os.fsencode(self.directory / SOCKET)) > MAX_SOCKET_PATH:
            self._socket_dir = Path(tempfile.mkdtemp(prefix="unified-", dir="/tmp"))  # TMPDIR may be long itself
            self._make_private(self._socket_dir)
        settings = {**self._settings, "unix_socket_directories": str(self._socket_dir)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        # A session of its own: Ctrl-C reaches the foreground group and would stop the server before the worker has drained.
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "watchdog", str(self.cluster)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            **spawn_as(self._account),
        )
        if self.log_file.exists():
            self.log_file.rename(self.log_file.with_suffix(".previous.log"))
        with self.log_file.open("wb") as output:
            self._process = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.cluster), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                cwd=self.directory,
                env=_environment(),
                **spawn_as(self._account),
            )

    async def _ready(self) -> None:
        assert self._process is not None
        while True:
            lines = self._status_lines()
            if len(lines) >= 8 and lines[0] == str(self._process.pid) and lines[7].strip() == "ready":
                return
            if self._process.poll() is not None:
                said = self.log_file.read_text(errors="replace").strip()[-2000:]
                raise OperatorError([f"PostgreSQL did not start in {self.directory}; its log says: {said}"])
            await asyncio.sleep(POLL)

    def _run(self, program: str, *arguments: str, stdin: str | None = None, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=cwd or self.directory,
            env=_environment(),
            **spawn_as(self._account),
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()[-2000:]
            raise OperatorError([f"{program} failed in {self.directory}: {said}"])
        return done.stdout


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _environment() -> dict[str, str]:
    """Ours without what steers PostgreSQL's programs, and with a locale that every system has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C"}
