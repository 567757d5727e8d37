"""The database's connection is encrypted, and its server known, as sslmode says; what can't be is told, with its remedy.

The server is Debian's PostgreSQL 15, for the embedded one is built without TLS. It wants a password in the clear, and over TLS
from the role `certified` a certificate besides.
"""

import asyncio
import shutil
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import pytest

from relay_simulator.certificates import Certificates, make_certificates
from relay_simulator.ports import free_port
from testing.processes import Process
from testing.servers import FAST, HAS_15, fast_parent, make_server, server_directory
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.tls import tls_fault
from unified_indexer.database.schema.ready import START_PATIENCE, make_ready
from unified_indexer.embedded.programs import unprivileged_account
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

PASSWORD = "hunter2geheim"
HBA = """
local all all trust
hostssl all certified all scram-sha-256 clientcert=verify-full
host all secretive all scram-sha-256
"""


class Server(NamedTuple):
    """A server that speaks TLS, and one like it that does not."""

    port: int
    plain_port: int
    files: Certificates

    def url(self, *, plain: bool = False, **parameters: object) -> str:
        """A DATABASE_URL with these parameters; `host` and `user` among them stand in their usual places."""
        host, user = parameters.pop("host", "localhost"), parameters.pop("user", "secretive")
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{user}:{PASSWORD}@{host}:{self.plain_port if plain else self.port}/unified?{query}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    if not HAS_15:
        pytest.skip("PostgreSQL 15 is not installed (Debian: apt-get install postgresql-15); the embedded one has no TLS")
    with server_directory(fast_parent()) as directory, asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        folder = directory.parent
        files = make_certificates(folder, client="certified")
        (folder / "pg_hba.conf").write_text(HBA)
        if account := unprivileged_account(directory):
            for path in (files.key, files.client_key):
                shutil.chown(path, account.uid, account.gid)
        ports = free_port(), free_port()
        common = {**FAST, "listen_addresses": "127.0.0.1,127.0.0.2", "hba_file": f"{folder}/pg_hba.conf"}
        tls = {"ssl_cert_file": files.server, "ssl_key_file": files.key, "ssl_ca_file": files.authority}
        options = (
            {**common, "port": str(ports[0]), "ssl": "on", **{name: str(path) for name, path in tls.items()}},
            {**common, "port": str(ports[1]), "ssl": "off"},
        )
        running = [make_server(15, folder / f"server{number}", option) for number, option in enumerate(options)]
        for one, port in zip(running, ports, strict=True):
            runner.run(one.start())
            runner.run(make_roles(one.url.replace("port=5432", f"port={port}")))
        yield Server(*ports, files)
        for one in running:
            runner.run(one.stop("immediate"))


async def make_roles(url: str) -> None:
    connection = await asyncpg.connect(url)
    for role in ("secretive", "certified"):
        await connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; GRANT ALL ON DATABASE unified TO {role}")
    await connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    await connection.close()


async def encrypted(url: str) -> bool:
    """Whether the worker's own connection is, after a start that went well."""
    pool = DatabasePool(url, size=2, name="relay.test", durable=False)
    try:
        await pool.open()
        async with pool.lock_connection() as connection:
            return await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    finally:
        pool.terminate()


async def fault_of(url: str) -> str:
    """The one fault of a start, told at once."""
    pool = DatabasePool(url, size=2, name="relay.test", durable=False)
    began = time.monotonic()
    with pytest.raises(OperatorError) as caught:
        await make_ready(pool, RECORD_TYPES)
    pool.terminate()
    assert time.monotonic() - began < START_PATIENCE / 3
    (fault,) = caught.value.faults
    assert PASSWORD not in fault
    assert "\n" not in fault
    return fault


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
@pytest.mark.parametrize("by", ["url", "environment"])
async def test_every_sslmode_is_honoured(server: Server, mode: str, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "url":
        url = server.url(sslmode=mode, sslrootcert=server.files.authority)
    else:
        monkeypatch.setenv("PGSSLMODE", mode)
        monkeypatch.setenv("PGSSLROOTCERT", str(server.files.authority))
        url = server.url()
    # allow: first without, which this server takes.
    assert await encrypted(url) is (mode not in ("disable", "allow"))


async def test_without_sslmode_it_is_encrypted_where_the_server_can(server: Server) -> None:
    assert await encrypted(server.url())
    assert not await encrypted(server.url(plain=True))
    assert not await encrypted(server.url(plain=True, sslmode="prefer"))


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
async def test_an_unknown_authority_is_refused(server: Server, mode: str, tmp_path: Path) -> None:
    other = make_certificates(tmp_path).authority
    fault = await fault_of(server.url(sslmode=mode, sslrootcert=other))
    assert "certificate of postgresql://secretive:***@localhost" in fault
    assert "not trusted" in fault
    assert "sslrootcert=" in fault


async def test_another_host_s_certificate_is_refused_by_verify_full_alone(server: Server) -> None:
    parameters: dict[str, object] = {"host": "127.0.0.2", "sslrootcert": server.files.authority}
    assert await encrypted(server.url(sslmode="verify-ca", plain=False, **parameters))
    fault = await fault_of(server.url(sslmode="verify-full", plain=False, **parameters))
    assert "not trusted" in fault
    assert "127.0.0.2" in fault


async def test_no_authority_for_a_mode_that_needs_one(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert "root.crt" in await fault_of(server.url(sslmode="verify-full"))


async def test_a_server_without_tls_is_refused_where_it_is_asked_for(server: Server) -> None:
    for mode in ("require", "verify-full"):
        fault = await fault_of(server.url(plain=True, sslmode=mode, sslrootcert=server.files.authority))
        assert "does not encrypt, but sslmode requires it" in fault


async def test_a_client_certificate_is_shown_to_the_server(server: Server, tmp_path: Path) -> None:
    files = server.files
    parameters: dict[str, object] = {"user": "certified", "sslmode": "verify-full", "sslrootcert": files.authority}
    assert await encrypted(server.url(plain=False, **parameters, sslcert=files.client, sslkey=files.client_key))
    assert "client certificate" in await fault_of(server.url(plain=False, **parameters))
    other = make_certificates(tmp_path, client="certified")
    assert "sslcert, sslkey" in await fault_of(
        server.url(plain=False, **parameters, sslcert=files.client, sslkey=other.client_key)
    )


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
async def test_a_file_that_is_not_there_is_named(server: Server, name: str) -> None:
    files = server.files
    parameters: dict[str, object] = {
        "sslrootcert": files.authority,
        "sslcert": files.client,
        "sslkey": files.client_key,
        name: "/no/such.pem",
    }
    assert f"{name} (/no/such.pem) is not a" in await fault_of(server.url(sslmode="verify-full", plain=False, **parameters))


async def test_a_file_that_holds_something_else_is_a_fault(server: Server) -> None:
    fault = await fault_of(server.url(sslmode="verify-full", sslrootcert=Path(__file__)))
    assert "no encrypted connection" in fault


async def test_a_mode_that_does_not_exist(server: Server) -> None:
    fault = await fault_of(server.url(sslmode="always"))
    assert "verify-full" in fault


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError("EOF occurred"),
        ssl.SSLZeroReturnError("closed"),
        ConnectionResetError(),
        FileNotFoundError(2, "no socket"),
    ],
)
def test_what_a_server_that_starts_may_answer_is_no_fault(error: OSError) -> None:
    assert tls_fault(error, "postgresql://host/database?sslmode=require", {}) is None


async def test_the_command_ends_with_2_and_no_password(server: Server, tmp_path: Path) -> None:
    """The process has a loop of another make, whose errors are to be the same."""
    other = make_certificates(tmp_path).authority
    for url, said in (
        (server.url(sslmode="verify-full", sslrootcert=other), "is not trusted"),
        (server.url(host="127.0.0.2", sslmode="verify-full", sslrootcert=server.files.authority), "is not trusted"),
        (server.url(plain=True, sslmode="require"), "does not encrypt"),
    ):
        async with Process(tmp_path, DATABASE_URL=url, RELAY_URL="ws://localhost:1") as worker:
            assert await worker.ends(seconds=10) == 2
        assert said in worker.output
        assert PASSWORD not in worker.output
        assert "Traceback" not in worker.output
