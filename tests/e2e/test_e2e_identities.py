"""`identities import` as a process: its progress, kill -9 in the middle, and the worker that follows the log from then on."""

import re
from pathlib import Path
from types import MappingProxyType

import pytest
from asyncpg import UndefinedTableError

from relay_simulator.generator import Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from testing.databases import connected, saved
from testing.processes import Process
from testing.signed import SEED
from testing.verified import like, network
from testing.waiting import until
from testing.workers import settings
from unified_indexer.protocol.keys import key_bytes, parse_multikey

ACCOUNTS = 1_000
PAGE = 50  # operations
LINE = re.compile(r"([\d,]+) operations, ([\d,]+)/s, up to (\d{4}-\d{2}-\d{2}), about ([\d,]+) min left")


class Paged(Process):
    """Reads smaller pages, and follows a log sooner."""

    constants = MappingProxyType(
        {
            "unified_indexer.identity.export.PAGE": PAGE,
            "unified_indexer.identity.following.PAGE": PAGE,
            "unified_indexer.identity.following.END_PAUSE": 0.1,
            "unified_indexer.command_line.commands.identities.TELL_INTERVAL": 0.3,
        }
    )


async def keys_in(url: str) -> dict[str, bytes]:
    """The keys in the table, by DID."""
    async with connected(url) as connection:
        try:
            rows = await connection.fetch("SELECT did, key FROM unified_worker.identities WHERE key IS NOT NULL")
        except UndefinedTableError:
            return {}
    return {row["did"]: row["key"] for row in rows}


def keys_of(ledger: Ledger) -> dict[str, bytes]:
    """The keys that the accounts have now."""
    standings = [ledger.standing(ledger.did(number)) for number in range(ledger.settings.accounts)]
    return {one.did: key_bytes(parse_multikey(ledger.key(one).multibase)) for one in standings if one is not None}


def importing(url: str, directory: str, folder: Path) -> Process:
    """The command."""
    return Paged(folder, "identities", "import", directory, DATABASE_URL=url)


@pytest.mark.long
async def test_an_import_that_is_killed_resumes_where_it_was(database: str, tmp_path: Path) -> None:
    ledger = Ledger(Settings(seed=SEED, accounts=ACCOUNTS, history=0))
    async with Services(ledger) as services:

        async def begun() -> bool:
            return len(await keys_in(database)) > 3 * PAGE

        async with importing(database, services.plc_url, tmp_path) as first:
            await until(begun, "some pages are in")
            first.kill()
        found = await keys_in(database)
        assert len(found) < ACCOUNTS
        asked = services.requests.count("export")
        async with importing(database, services.plc_url, tmp_path) as second:
            assert await second.ends() == 0
            assert "Complete." in second.output
        assert await keys_in(database) == keys_of(ledger)
        async with connected(database) as connection:
            size = await connection.fetchval("SELECT position FROM unified_worker.exports")
        assert services.requests.count("export") - asked <= (size - len(found)) // PAGE + 2, "what is in is not read again"
    lines = LINE.findall(second.output)
    assert len(lines) >= 2, second.output
    for operations, rate, until_when, minutes in lines:
        assert 0 < number(operations) <= size - len(found)
        assert number(rate) > 0
        assert until_when > "2025-05-01"
        assert number(minutes) >= 0


def number(text: str) -> int:
    """A number as it is told."""
    return int(text.replace(",", ""))


async def test_a_worker_follows_the_log_that_was_imported_and_looks_no_key_up(database: str, tmp_path: Path) -> None:
    async with network() as net:
        async with importing(database, net.services.plc_url, tmp_path) as command:
            assert await command.ends() == 0, command.output
        alice = net.repo(1)
        env = settings(database, net.relay.url, VERIFY="full", **net.services.settings)
        async with Paged(tmp_path, **env) as worker:
            net.send(alice.commit(like("a")))
            await saved(database, net.relay.url, net.seq)
            net.rotate(alice)

            async def followed() -> bool:
                return await keys_in(database) == keys_of(net.ledger)

            await until(followed, "the new key is in the table")
            net.send(alice.commit(like("b")))
            await saved(database, net.relay.url, net.seq)
            assert "Traceback" not in worker.output
        async with connected(database) as connection:
            assert await connection.fetchval("SELECT count(*) FROM likes") == 2
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.repos WHERE unproven IS NOT NULL") == 0
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.dead_letters") == 0
        assert net.services.requests.count("plc") <= 2  # for the account's handle alone, which is not kept
        assert net.services.requests.count("log") <= 1  # the table has a key a moment before the worker's memory
