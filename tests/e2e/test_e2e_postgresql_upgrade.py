"""PostgreSQL's major version is upgraded under the worker, by the words of docs/operations.md: from 15 to 18."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import connected, differences, stored_cursor
from testing.documents import blocks, read
from testing.servers import DEBIAN_15, FAST, HAS_15, fast_parent, make_server, server_directory
from testing.traffic import Traffic, traffic
from testing.waiting import until
from testing.workers import finished, running
from unified_indexer.embedded.cluster import spawn_as
from unified_indexer.embedded.programs import programs, unprivileged_account
from unified_indexer.embedded.server import PostgresServer

SECTION = read("docs/operations.md").partition("### PostgreSQL's major version\n")[2].partition("\n## ")[0]
UPGRADED = blocks(SECTION, "sh")[0]
TOO_NEW = re.findall(r"ERROR:  [^`]+", SECTION)[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder like an operator's, with a cluster of 15 in data/postgres."""
    with server_directory(fast_parent()) as place:
        make_server(15, place / "data" / "postgres", FAST)
        for path in (place, place / "data"):
            shutil.chown(path, *owner())
        yield place


def owner() -> tuple[int, int]:
    account = unprivileged_account(Path("/nowhere"))
    return (os.geteuid(), os.getegid()) if account is None else (account.uid, account.gid)


def shell(folder: Path, script: str) -> None:
    """Runs it as the server's account, with the programs of both versions in place of the page's."""
    account = unprivileged_account(Path("/nowhere"))
    new = programs(account)
    script = f"OLD={DEBIAN_15}; NEW={new}; {re.sub('^(OLD|NEW)=.*', '', script, flags=re.MULTILINE)}"
    env = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    command = ["/bin/sh", "-ec", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env, **spawn_as(account))
    logs = [f"{log.name}:\n{log.read_text()}" for log in folder.rglob("pg_upgrade_output.d/**/*.log")]
    assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *logs])


def upgraded(folder: Path) -> None:
    """By the page's words; skips the test where the old release is of a later day than the new one, as the page warns."""
    try:
        shell(folder, UPGRADED)
    except AssertionError as failure:
        if TOO_NEW in str(failure):
            pytest.skip("PostgreSQL 15 is of a later day than the embedded 18, which can't read what it writes")
        raise


async def half_written(folder: Path, relay: RelayServer, half: int) -> PostgresServer:
    """A server of 15 that runs, in which a worker has written all that the relay has."""
    old = make_server(15, folder / "data" / "postgres", FAST)
    await old.start()
    async with running(old.url, relay.url) as worker:
        await until(lambda: worker.metrics.finished == half, "half of it is written")
    return old


async def goes_on(url: str, relay: RelayServer, stream: Traffic) -> None:
    """A worker writes the rest into this database of 18, and its rows are the model's."""
    async with running(url, relay.url) as worker:
        await finished(worker, stream.last_seq)
    assert await differences(url, stream.model) == []
    async with connected(url) as connection:
        assert await connection.fetchval("SELECT current_setting('server_version_num')::int / 10000") == 18
        assert await connection.fetchval("SELECT count(*) > 0 FROM unified_views.active_posts")


@pytest.mark.long
@pytest.mark.skipif(not HAS_15, reason="PostgreSQL 15 is not installed (Debian: apt-get install postgresql-15)")
@pytest.mark.parametrize("way", ["pg_upgrade", "dump"])
async def test_a_worker_goes_on_in_a_newer_postgresql(folder: Path, way: str) -> None:
    stream = traffic(3_000, awkward=True, seed=53)
    half = len(stream.frames) // 2
    data, dump = folder / "data" / "postgres", folder / "unified.dump"
    async with RelayServer(stream.frames[:half]) as relay:
        old = await half_written(folder, relay, half)
        stored = await stored_cursor(old.url, relay.url)
        if way == "dump":
            shell(folder, f"$OLD/pg_dump --format=custom --file={dump} '{old.url}'")
        await old.stop()
        if way == "dump":
            data.rename(folder / "old")
        else:
            upgraded(folder)
        for frame in stream.frames[half:]:
            relay.append(frame)
        new = make_server(18, data, FAST)
        await new.start()
        try:
            url = new.url
            if way == "dump":
                async with connected(new.url_of("postgres")) as connection:
                    await connection.execute("CREATE DATABASE restored TEMPLATE template0")
                url = new.url_of("restored")
                shell(folder, f"$NEW/pg_restore --exit-on-error '--dbname={url}' {dump}")
            assert await stored_cursor(url, relay.url) == stored
            await goes_on(url, relay, stream)
        finally:
            await new.stop("immediate")
