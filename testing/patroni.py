"""Patroni with etcd, as Debian has them: two servers of PostgreSQL 15, of which one is the leader."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from relay_simulator.ports import free_port
from testing.servers import DEBIAN_15, HAS_15, fast_parent, server_directory
from testing.waiting import until
from unified_indexer.embedded.cluster import spawn_as
from unified_indexer.embedded.programs import unprivileged_account

PYTHON = "/usr/bin/python3"  # Debian's own, for which its Patroni is made
needs_patroni = pytest.mark.skipif(
    not (HAS_15 and shutil.which("patroni") and shutil.which("etcd")),
    reason="Patroni or etcd is not installed (Debian: apt-get install patroni etcd-server postgresql-15)",
)
PASSWORD = "only-here"
SETTINGS = {"fsync": "off", "shared_buffers": "32MB", "max_connections": 40, "wal_receiver_status_interval": "1s"}
# A leader that is gone is replaced after `ttl`; 20 is the least that Patroni takes.
COMMON = {"ttl": 20, "loop_wait": 1, "retry_timeout": 3, "maximum_lag_on_failover": 2**30, "synchronous_mode": False}


class Node:
    """One server and its Patroni, in a folder of its own."""

    def __init__(self, name: str, folder: Path, etcd: int) -> None:
        self.name = name
        self.port, self._rest = free_port(), free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._config = folder / f"{name}.json"  # which is YAML, too
        here = f"127.0.0.1:{self.port}"
        superuser = {"username": "postgres", "password": PASSWORD}
        self._config.write_text(
            json.dumps(
                {
                    "scope": "unified",
                    "name": name,
                    "restapi": {"listen": f"127.0.0.1:{self._rest}", "connect_address": f"127.0.0.1:{self._rest}"},
                    "etcd3": {"host": f"127.0.0.1:{etcd}"},
                    "bootstrap": {
                        "dcs": COMMON | {"postgresql": {"parameters": SETTINGS}},
                        "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}],
                        "pg_hba": [
                            "host all all 127.0.0.1/32 scram-sha-256",
                            "host replication all 127.0.0.1/32 scram-sha-256",
                        ],
                    },
                    "postgresql": {
                        "listen": here,
                        "connect_address": here,
                        "data_dir": str(folder / name),
                        "bin_dir": str(DEBIAN_15),
                        "authentication": {"superuser": superuser, "replication": superuser | {"username": "replica"}},
                        "parameters": {"unix_socket_directories": str(folder)},
                    },
                }
            )
        )

    @property
    def url(self) -> str:
        """Of the database `postgres` there."""
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it; what it says is in its folder."""
        account = unprivileged_account(self._folder)
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [PYTHON, str(shutil.which("patroni")), str(self._config)],
                cwd=self._folder, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, stdout=log, stderr=log,
                **spawn_as(account),
            )  # fmt: skip

    def kill(self) -> None:
        """kill -9 for Patroni and its server together, as a machine's death is."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._process = None
        with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
            server = psutil.Process(int((self._folder / self.name / "postmaster.pid").read_text().split()[0]))
            server.suspend()  # else it answers the first child's death by ending the others in good order
            for victim in [server, *server.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()

    async def ask(self, method: str, path: str, **body: str) -> tuple[int, str]:
        """What its Patroni answers; 0 if it does not."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(30)) as session,
                session.request(method, f"http://127.0.0.1:{self._rest}{path}", json=body or None) as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    async def is_(self, role: str) -> bool:
        """Whether it is the `leader`, or a `replica` that streams."""
        status, text = await self.ask("GET", f"/{role}")
        known: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        return status == 200 and known.get("state") == "running"


@contextlib.asynccontextmanager
async def patroni() -> AsyncGenerator[tuple[Node, Node]]:
    """A leader and a replica that streams from it; both are killed at the end."""
    with server_directory(fast_parent()) as folder:
        folder.mkdir()
        account = unprivileged_account(folder)
        if account is not None:
            os.chown(folder, account.uid, account.gid)
        port, peers = free_port(), free_port()
        clients, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peers}"
        with (folder / "etcd.log").open("wb") as log:
            etcd = subprocess.Popen(
                [str(shutil.which("etcd")), "--data-dir", str(folder / "etcd"), "--listen-client-urls", clients,
                 "--advertise-client-urls", clients, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                 "--initial-cluster", f"default={peer}", "--unsafe-no-fsync"],
                cwd=folder, stdout=log, stderr=log, **spawn_as(account),
            )  # fmt: skip
        first, second = Node("a", folder, port), Node("b", folder, port)
        try:
            first.start()
            await until(lambda: first.is_("leader"), "the first one is the leader")
            second.start()
            await until(lambda: second.is_("replica"), "the second one follows it")
            yield first, second
        finally:
            for node in (first, second):
                node.kill()
            etcd.kill()
            await asyncio.to_thread(etcd.wait)
