"""A primary and a standby that streams from it: two real servers, to lose one of them."""

import contextlib
import os
import subprocess
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from testing.database_side import opened
from testing.databases import connected
from testing.servers import FAST, fast_parent, make_server, server_directory
from testing.waiting import until
from unified_indexer.embedded.programs import programs, unprivileged_account
from unified_indexer.embedded.server import SOCKET, PostgresServer, spawn_as

# Whoever has been killed has written to the kernel, so fsync off loses nothing here.
SETTINGS = FAST | {"shared_buffers": "32MB", "max_connections": "30", "wal_receiver_status_interval": "1"}
WORKERS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'unified-worker%'"
LOCK = "pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1)"
Pair = tuple[PostgresServer, PostgresServer]


@dataclass(frozen=True, slots=True)
class Places:
    """Two folders of data, made once and copied for each test."""

    primary: Path
    standby: Path


async def make_template(folder: Path) -> Places:
    """A primary with the worker's tables, and what pg_basebackup takes of it; neither runs afterwards."""
    folder.mkdir()
    places = Places(folder / "primary", folder / "standby")
    primary = make_server(18, places.primary, SETTINGS)
    await primary.start()
    try:
        async with opened(primary.url):
            pass
        base_backup(primary, places.standby)
    finally:
        await primary.stop()
    return places


def base_backup(primary: PostgresServer, directory: Path) -> None:
    """Put a standby of this server, which runs, into a new directory."""
    directory.mkdir()
    account = unprivileged_account(directory)
    if account is not None:
        os.chown(directory, account.uid, account.gid)
    command = [programs(account) / "pg_basebackup", "-h", primary.directory, "-U", "unified", "-D", directory / "cluster"]
    subprocess.run([*command, "-R", "-c", "fast"], check=True, cwd="/", **spawn_as(account))


def follow(standby: Path, primary: PostgresServer) -> None:
    """Have a standby that does not run follow this server from its next start on."""
    with (standby / "cluster" / "postgresql.auto.conf").open("a") as file:
        file.write(f"primary_conninfo = 'host={primary.directory} user=unified'\n")


@contextlib.asynccontextmanager
async def started(places: Places) -> AsyncGenerator[Pair]:
    """Copies of both, running."""
    with server_directory(fast_parent()) as folder:
        folder.mkdir()
        servers: list[PostgresServer] = []
        for name, source in (("a", places.primary), ("b", places.standby)):
            (folder / name).mkdir()
            subprocess.run(["cp", "-a", str(source / "cluster"), str(folder / name / "cluster")], check=True)
            servers.append(make_server(18, folder / name, SETTINGS))
        primary, standby = servers
        follow(standby.directory, primary)
        try:
            for server in servers:
                await server.start()
            yield primary, standby
        finally:
            for server in servers:
                await server.stop("immediate")


async def tell(server: PostgresServer, *statements: str) -> None:
    """Run statements there."""
    async with connected(server.url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def promote(standby: PostgresServer) -> None:
    """It replays what it has received, and then takes writes."""
    await tell(standby, "SELECT pg_promote()")


async def cut_off(standby: PostgresServer) -> None:
    """It receives nothing from now on."""
    await tell(standby, "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()")
    async with connected(standby.url) as connection:
        await until(lambda: connection.fetchval("SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)"), "it is cut off")


@contextlib.contextmanager
def silenced(server: PostgresServer) -> Generator[None]:
    """None of its processes runs, and nothing is closed: a machine that hangs."""
    assert server.pid is not None
    process = psutil.Process(server.pid)
    victims = [process, *process.children(recursive=True)]
    for victim in victims:
        victim.suspend()
    try:
        yield
    finally:
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.resume()


def socket_of(server: PostgresServer) -> str:
    """The path of its socket."""
    return str(server.directory / SOCKET)


def url_of(*places: PostgresServer | int) -> str:
    """One URL for all: a server by its socket, or a port of this machine."""
    hosts = [f"127.0.0.1:{p}" if isinstance(p, int) else f"{quote(str(p.directory), safe='')}:5432" for p in places]
    several = "&target_session_attrs=read-write" if len(places) > 1 else ""
    return f"postgresql://unified@{','.join(hosts)}/unified?sslmode=disable{several}"
