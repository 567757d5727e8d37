"""What operators put between a worker and PostgreSQL, as real programs on loopback: HAProxy and pgbouncer."""

import asyncio
import contextlib
import shutil
import signal
import socket
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from relay_simulator.ports import free_port
from testing.databases import connected
from testing.servers import server_directory
from testing.waiting import until
from testing.web_site import web_site
from unified_indexer.database.connection.sessions import SESSION_SETTINGS
from unified_indexer.embedded.cluster import OsAccount, spawn_as
from unified_indexer.embedded.programs import unprivileged_account
from unified_indexer.embedded.server import SOCKET, PostgresServer

HAPROXY = shutil.which("haproxy") or "/usr/sbin/haproxy"
PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
needs_haproxy = pytest.mark.skipif(
    not Path(HAPROXY).exists(), reason="haproxy is not installed (Debian: apt-get install haproxy)"
)
needs_pgbouncer = pytest.mark.skipif(
    not Path(PGBOUNCER).exists(), reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)"
)

# As Patroni's documents have it: the one that says it is the primary gets all; whoever was connected to another one is cut off.
HAPROXY_CONFIG = """
defaults
  mode tcp
  timeout connect 2s
  timeout client 30m
  timeout server 30m
  timeout check 5s
listen primary
  bind 127.0.0.1:{port}
  option httpchk GET /primary
  http-check expect status 200
  default-server inter 1s fall 3 rise 1 on-marked-down shutdown-sessions
{servers}
"""
# Of what is sent with a connection pgbouncer passes on little; the worker then sets the rest in its session.
IGNORED = "ignore_startup_parameters = " + ",".join(("extra_float_digits", *SESSION_SETTINGS))
PGBOUNCER_CONFIG = """
[databases]
{database} = host={host} port=5432 user=unified dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
server_login_retry = 1
pool_mode = {mode}
{more}
"""


@contextlib.asynccontextmanager
async def haproxy(folder: Path, servers: Sequence[PostgresServer]) -> AsyncGenerator[int]:
    """The port at which HAProxy passes everything on to that one of the servers which takes writes."""
    async with contextlib.AsyncExitStack() as stack:
        lines: list[str] = []
        for number, server in enumerate(servers):
            asked = await stack.enter_async_context(telling_primary(server))
            lines.append(f"  server s{number} unix@{server.directory / SOCKET} check addr 127.0.0.1 port {asked}")
        port, config = free_port(), folder / "haproxy.cfg"
        config.write_text(HAPROXY_CONFIG.format(port=port, servers="\n".join(lines)))
        await stack.enter_async_context(listening(port, HAPROXY, "-db", "-f", str(config)))
        yield port


@contextlib.asynccontextmanager
async def telling_primary(server: PostgresServer) -> AsyncGenerator[int]:
    """A port that answers 200 where the server takes writes, as Patroni's does."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        try:
            async with connected(server.url) as connection:
                primary = await connection.fetchval("SELECT NOT pg_is_in_recovery()")
        except OSError:
            primary = False
        return web.Response(status=200 if primary else 503)

    async with web_site() as site:
        site.answer = answer
        yield site.port


class Pgbouncer:
    """pgbouncer at a port of its own, before this database of one server, and later of another one."""

    def __init__(self, config: Path, database: str, mode: str, more: str) -> None:
        self.port = free_port()
        self.url = f"postgresql://unified@127.0.0.1:{self.port}/{database}"
        self.process: asyncio.subprocess.Process | None = None
        self._config = config
        self._values = {"port": self.port, "database": database, "mode": mode, "more": more}

    def lead_to(self, server: PostgresServer) -> None:
        """New connections go to this server."""
        self._config.write_text(PGBOUNCER_CONFIG.format(host=server.directory, **self._values))
        if self.process is not None:
            self.process.send_signal(signal.SIGHUP)


@contextlib.asynccontextmanager
async def pgbouncer(server: PostgresServer, database: str, mode: str, more: str) -> AsyncGenerator[Pgbouncer]:
    """pgbouncer before this database, in that mode. `more`: further lines of its configuration."""
    with server_directory() as directory:
        account = unprivileged_account(directory)
        directory.mkdir(exist_ok=True)
        directory.chmod(0o755)
        config = directory / "pgbouncer.ini"
        bouncer = Pgbouncer(config, database, mode, more)
        bouncer.lead_to(server)
        async with listening(bouncer.port, PGBOUNCER, "-q", str(config), account=account) as bouncer.process:
            yield bouncer


@contextlib.asynccontextmanager
async def listening(port: int, *command: str, account: OsAccount | None = None) -> AsyncGenerator[asyncio.subprocess.Process]:
    """The program runs, and takes connections at this port."""
    process = await asyncio.create_subprocess_exec(*command, **spawn_as(account))

    def listens() -> bool:
        assert process.returncode is None, f"{command[0]} ended at its start"
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    try:
        await until(listens, f"{command[0]} listens")
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
