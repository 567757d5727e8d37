"""A PostgreSQL data directory: made by initdb, used by one process at a time, and freed from a server that a crash left in
it."""

import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from unified_indexer.errors import OperatorError

log = logging.getLogger(__name__)

DATABASE = "unified"
USER = "unified"
LOG_FILE = "server.log"
READY = "ready"  # what a server that takes connections says in its status
POLL = 0.01  # seconds between two looks at a server that starts or stops
OTHERS = "{} belongs to another user: run as that user, or choose another directory"
UNMADE = "{} cannot be made ({}): choose another directory"
STOP_TIMEOUT = 30.0  # seconds: a fast stop writes the dirty shared_buffers, 256 MB at most


@dataclass(frozen=True, slots=True)
class OsAccount:
    """The system user that a server runs as."""

    name: str
    uid: int
    gid: int


class Spawn(TypedDict, total=False):
    """The arguments of subprocess that make a child run as another user."""

    user: int
    group: int
    extra_groups: list[int]


def spawn_as(account: OsAccount | None) -> Spawn:
    """The arguments that make a child process run as `account`; None is the user of this process."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


class InUse(OperatorError):
    """Another process uses the directory."""


class Cluster:
    """The cluster in `directory`/cluster, used by the programs in `bin_dir` as `account` (None: this user).

    The directory is closed to all but that account (mode 0700), and locked from `take` to `release`.
    """

    def __init__(self, bin_dir: Path, directory: Path, account: OsAccount | None) -> None:
        self.directory = directory.absolute()
        self.data = self.directory / "cluster"
        self.bin_dir = bin_dir
        self.account = account
        self._lock = -1

    def take(self) -> None:
        """Lock the directory, make the cluster if there is none, and end a server that a crash left running in it.

        Raises InUse when another process has it, OperatorError when another major version made it, or the directory holds
        something else.
        """
        major = self._major()
        self.make_private(self.directory)
        self._lock = os.open(self.directory, os.O_RDONLY)
        try:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a process takes it along when it dies
            except BlockingIOError:
                raise InUse(
                    [f"{self.directory} is in use by another process: stop that one, or choose another directory"]
                ) from None
            if self.data.exists():
                self._check_version(major)
                self._end_orphan()
            else:
                self._check_foreign()
                self._initialize(major)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the directory. Does nothing if it is not held."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _major(self) -> int:
        version = self._run("postgres", "--version", cwd=Path("/"))
        found = re.search(r"\) (\d+)", version)
        if found is None:
            raise OperatorError([f"{self.bin_dir / 'postgres'} is not a PostgreSQL server: it answered {version!r}"])
        return int(found[1])

    def examine(self) -> bool:
        """Whether there is a cluster. Changes nothing; raises OperatorError where `take` would, but for another process's
        use."""
        major = self._major()
        try:
            if self.data.exists():
                self._check_version(major)
                return True
            if self.directory.exists():
                self._check_foreign()
        except PermissionError:
            raise OperatorError([OTHERS.format(self.directory)]) from None
        there = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            raise OperatorError([UNMADE.format(self.directory, f"{there} is closed to this user, or no directory")])
        return False

    def make_private(self, path: Path) -> None:
        """Make the folder accessible to the account only."""
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OperatorError([UNMADE.format(path, error.strerror)]) from None
        owner = os.geteuid() if self.account is None else self.account.uid
        if path.stat().st_uid != owner:
            if self.account is None:
                raise OperatorError([OTHERS.format(path)])
            os.chown(path, self.account.uid, self.account.gid)
        path.chmod(0o700)

    def _check_version(self, major: int) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(major):
            raise OperatorError(
                [
                    f"{self.data} was made by PostgreSQL {found}, this one is {major}: move it away and start with an empty "
                    f"one, or transfer it with pg_dump of PostgreSQL {found}, or choose another directory"
                ]
            )

    def _check_foreign(self) -> None:
        ours = {"cluster.new", LOG_FILE}
        foreign = sorted(path.name for path in self.directory.iterdir() if path.name not in ours)
        if foreign:
            raise OperatorError(
                [f"{self.directory} contains something else ({foreign[0]}): choose a new or an empty directory"]
            )

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
        fresh.rename(self.data)

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
            (self.data / "postmaster.pid").unlink()

    def _running_pid(self) -> int | None:
        """The server that runs this cluster now. The file of a dead one may name a process that has nothing to do with it."""
        pid = self._named_pid()
        if pid is None:
            return None
        try:
            if Path("/proc/self").exists():
                ours = Path(f"/proc/{pid}/cwd").samefile(self.data)  # the server works inside its data directory
            else:
                command = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
                ours = str(self.data) in command.stdout
        except OSError:  # no such process, or not ours to look at
            return None
        return pid if ours else None

    def _named_pid(self) -> int | None:
        lines = self.status_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    def is_missing(self) -> bool:
        """Whether there is no cluster; False if that cannot be seen, because it belongs to another user: `take` reports
        that."""
        try:
            return not self.data.exists()
        except PermissionError:
            return False

    def ready_socket(self) -> Path | None:
        """The folder of the socket of a server that runs here, whoever runs it; None while none accepts connections."""
        lines = self.status_lines()
        ready = len(lines) >= 8 and lines[7].strip() == READY and self._running_pid() is not None
        return Path(lines[4]) if ready else None

    def status_lines(self) -> list[str]:
        """The lines that a server writes into postmaster.pid: its process id first, the socket's folder in line 5, its state
        in line 8. Empty if none runs."""
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _run(self, program: str, *arguments: str, stdin: str | None = None, cwd: Path | None = None) -> str:
        done = subprocess.run(
            [str(self.bin_dir / program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=cwd or self.directory,
            env=environment(),
            **spawn_as(self.account),
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


def environment() -> dict[str, str]:
    """Our environment without variables that change PostgreSQL's programs, and with a locale that every system has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C"}
