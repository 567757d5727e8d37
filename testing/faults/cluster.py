"""The PostgreSQL clusters of a run: copies of one template, so that a run has its own within a second."""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import asyncpg

from testing.database_side import opened
from testing.failover import base_backup
from testing.faults.witness import MINE
from testing.servers import FAST, fast_parent, make_server, server_directory
from unified_indexer.embedded.server import PostgresServer

# Commits reach the kernel either way, so fsync off loses nothing by kill -9. Few connections, so that they can be used up.
SETTINGS = FAST | {"max_connections": "30", "max_wal_size": "96MB", "min_wal_size": "32MB", "shared_buffers": "64MB"}
DISK = "170m"  # of a run that fills it: the cluster takes some 60 MB, and its log and tables grow


async def make_template(directory: Path) -> None:
    """A cluster to copy, so that a run has a server of its own within a second."""
    server = make_server(18, directory, SETTINGS)
    await server.start()
    await server.stop()


@contextlib.contextmanager
def own_directory(template: Path, *, small: bool) -> Generator[tuple[Path, Path | None]]:
    """A directory with a copy of the template, and where its small disk is mounted, if it is to have one."""
    with server_directory(fast_parent()) as directory:
        disk = directory.parent
        if small:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(disk)], check=True)
        try:
            directory.mkdir()
            subprocess.run(["cp", "-a", str(template / "cluster"), str(directory / "cluster")], check=True)
            yield directory, disk if small else None
        finally:
            if small:
                subprocess.run(["umount", "-l", str(disk)], check=True)


def mountable() -> str | None:
    """Why no small disk can be mounted here; None if it can."""
    with tempfile.TemporaryDirectory() as place:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, text=True)
        if done.returncode == 0:
            subprocess.run(["umount", place], check=True)
            return None
        return f"no tmpfs can be mounted ({done.stderr.strip()}): run as root"


@contextlib.asynccontextmanager
async def standby_of(primary: PostgresServer) -> AsyncGenerator[PostgresServer]:
    """A server that follows this one."""
    with server_directory(fast_parent()) as directory:
        await asyncio.to_thread(base_backup, primary, directory)
        server = make_server(18, directory, SETTINGS)
        await server.start()
        try:
            yield server
        finally:
            await server.stop("immediate")


@contextlib.asynccontextmanager
async def second_server(template: Path) -> AsyncGenerator[PostgresServer]:
    """Another server with the worker's tables, which takes no writes for now."""
    with own_directory(template, small=False) as (directory, _):
        server = make_server(18, directory, SETTINGS)
        await server.start()
        try:
            async with opened(server.url):
                pass
            await writable(server.url, now=False)
            yield server
        finally:
            await server.stop("immediate")


async def writable(url: str, *, now: bool) -> None:
    """Whether a server takes writes; the sessions that there are end."""
    connection = await asyncpg.connect(url, server_settings=MINE)
    try:
        await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {'off' if now else 'on'}")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    finally:
        connection.terminate()
