"""pgbouncer in transaction mode breaks what the worker builds on: it is found out at start and refused with the remedy."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg.connection
import pytest

from testing.database_side import opened
from testing.servers import server_directory
from unified_indexer.database.connection.sessions import SESSION_SETTINGS
from unified_indexer.embedded.programs import unprivileged_account
from unified_indexer.embedded.server import PostgresServer, spawn_as
from unified_indexer.errors import OperatorError

PGBOUNCER = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
pytestmark = pytest.mark.skipif(
    not Path(PGBOUNCER).exists(), reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)"
)

CONFIG = """
[databases]
{database} = host={host} port=5432 user=unified dbname={database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
{ignored}
"""
SETTINGS = "ignore_startup_parameters = " + ",".join(("extra_float_digits", *SESSION_SETTINGS))


@pytest.fixture(params=["", SETTINGS], ids=["strict", "ignoring"])
async def pooler(request: pytest.FixtureRequest, database: str, pg18: PostgresServer) -> AsyncIterator[str]:
    """The URL of the database behind pgbouncer."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    name = database.partition("?")[0].rpartition("/")[2]
    host = database.partition("host=")[2].partition("&")[0]
    with server_directory() as directory:
        account = unprivileged_account(directory)
        directory.mkdir(exist_ok=True)
        config = directory / "pgbouncer.ini"
        config.write_text(CONFIG.format(database=name, host=host, port=port, ignored=request.param))
        if account is not None:
            directory.chmod(0o755)
        process = await asyncio.create_subprocess_exec(PGBOUNCER, "-q", str(config), **spawn_as(account))
        try:
            async with asyncio.timeout(10):
                while True:
                    try:
                        socket.create_connection(("127.0.0.1", port)).close()
                        break
                    except ConnectionRefusedError:
                        assert process.returncode is None
                        await asyncio.sleep(0.02)
            yield f"postgresql://unified@127.0.0.1:{port}/{name}"
        finally:
            process.terminate()
            await process.wait()


async def test_a_pooler_is_refused_with_the_remedy(pooler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):  # what a refused start leaves behind on the pooler's connections doesn't change what the next is told
        monkeypatch.setattr(asyncpg.connection, "_uid", 0)  # as in a new process: statements get the same names again
        with pytest.raises(OperatorError) as caught:
            async with opened(pooler):
                pass
        (fault,) = caught.value.faults
        assert "connection pooler" in fault
        assert "point it at PostgreSQL itself" in fault
