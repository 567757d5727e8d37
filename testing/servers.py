"""PostgreSQL servers for the tests: the embedded one (18) and, where Debian's package is installed, 15; to use and to kill."""

import asyncio
import atexit
import contextlib
import functools
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import psutil

from unified_indexer.embedded.cluster import Cluster, OsAccount
from unified_indexer.embedded.programs import programs, unprivileged_account
from unified_indexer.embedded.server import PostgresServer

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
HAS_15 = (DEBIAN_15 / "postgres").exists()
VERSIONS = (18, 15)
# Tests that only look at what is written need no disk; those that kill the server run it with SAFE.
FAST = {"fsync": "off", "shared_buffers": "128MB", "max_wal_size": "1GB", "autovacuum": "off"}
SAFE = {"shared_buffers": "128MB", "max_wal_size": "1GB"}


MEMORY = Path("/dev/shm")
MEMORY_NEEDED = 4 * 2**30  # bytes: two servers' write-ahead logs, and a database a test


@contextlib.contextmanager
def server_directory(parent: Path = Path("/tmp")) -> Generator[Path]:
    """A folder that the server's account can enter, also where the tests run as root and pytest's own folders are root's."""
    path = Path(tempfile.mkdtemp(prefix="unified-tests-", dir=parent))
    path.chmod(0o755)
    try:
        yield path / "server"
    finally:
        shutil.rmtree(path)


def fast_parent() -> Path:
    """Where FAST servers keep their data: in memory if there is room, for each test has a database of some hundred files."""
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= MEMORY_NEEDED
    return MEMORY if roomy else Path("/tmp")


def make_server(version: int, directory: Path, settings: dict[str, str]) -> PostgresServer:
    """A server of that major version, not yet started; a new directory gets a cluster."""
    if not directory.exists():
        copy_cluster(version, directory)
    account = unprivileged_account(directory)
    return PostgresServer(_programs(version, account), directory, account=account, settings=settings)


def copy_cluster(version: int, directory: Path) -> None:
    """Put a cluster as initdb leaves it into a directory: to make one takes a second of CPU, to copy one a tenth."""
    made = _cluster_made_once(version)
    directory.mkdir(parents=True)
    subprocess.run(["cp", "-a", str(made / "cluster"), str(directory / "cluster")], check=True)


@functools.cache
def _cluster_made_once(version: int) -> Path:
    """A directory with a cluster that nobody runs, while this process lives."""
    place = contextlib.ExitStack()
    directory = place.enter_context(server_directory(fast_parent()))
    atexit.register(place.close)
    account = unprivileged_account(directory)
    cluster = Cluster(_programs(version, account), directory, account)
    cluster.take()
    cluster.release()
    return directory


def _programs(version: int, account: OsAccount | None) -> Path:
    return DEBIAN_15 if version == 15 else programs(account)


async def kill9(server: PostgresServer) -> None:
    """kill -9 for the server and all its processes, as a crash of the machine would; `server.start()` then recovers."""
    assert server.pid is not None
    process = psutil.Process(server.pid)
    process.suspend()  # else it answers the first child's death by ending the others in good order, and starts new ones
    victims = [process, *process.children(recursive=True)]
    for victim in victims:
        with contextlib.suppress(psutil.NoSuchProcess):
            victim.kill()
    await server.stop("immediate")  # it is dead: this reaps it and lets go of the directory
    await asyncio.to_thread(psutil.wait_procs, victims, timeout=10)


def alive(pid: int) -> bool:
    """Whether the process runs; a dead one that nobody has waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
