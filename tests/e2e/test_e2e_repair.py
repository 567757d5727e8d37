"""Commits that a relay leaves out: their repos are fetched from the hosts, and the rows are those of the whole stream."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Altered, HostFault, Status
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.truth import CommitTruth, Sent
from testing.database_side import opened
from testing.databases import connected, differences, saved
from testing.processes import Process
from testing.traffic import traffic_of
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.command_line.cli import parse
from unified_indexer.command_line.commands import COMMANDS
from unified_indexer.config.settings import Config
from unified_indexer.errors import OperatorError

MIX = replace(Mix.realistic(), identity=0, handle_change=0, account=0, account_deleted=0)
SETTINGS = Settings(accounts=30, history=0, mix=MIX)
# What only the stream says of a commit, and what a repo's row says of how it came to be as it is.
BY_COMMIT = ("commit_seq", "commit_rev", "commit_time", "sort_at", "repos:", "handle is")
UNFINISHED = """
SELECT (SELECT count(*) FROM unified_worker.repos WHERE sync >= 2 OR fetching) + (SELECT count(*) FROM unified_worker.repairs)
"""


class Kept(NamedTuple):
    """A stream, and what of it the relay sends."""

    whole: list[Sent]
    sent: list[Sent]


def left_out(stream: list[Sent], every: int) -> Kept:
    """Without one in so many commits: of repos whose first commit came, and of which another comes later."""
    last = {one.truth.did: one.truth.seq for one in stream if isinstance(one.truth, CommitTruth)}
    sent: list[Sent] = []
    began: set[str] = set()
    for number, one in enumerate(stream):
        truth = one.truth
        if isinstance(truth, CommitTruth):
            if truth.did in began and truth.seq < last[truth.did] and number % every == 0:
                continue
            began.add(truth.did)
        sent.append(one)
    return Kept(stream, sent)


@asynccontextmanager
async def hosted(settings: Settings, events: int, every: int) -> AsyncGenerator[tuple[Kept, RelayServer, Services]]:
    """A relay that leaves commits out, and hosts that have all that was sent by now."""
    async with RelayServer() as relay:
        ledger = Ledger(settings)
        kept = left_out(list(ledger.noted(Generator(settings, ledger.archive).stream(events))), every)
        for one in kept.sent:
            relay.append(one.frame)
        async with Services(ledger) as services:
            yield kept, relay, services


async def whole(url: str) -> None:
    """Wait until nothing is missing any more, as far as is known."""
    async with connected(url) as connection:

        async def done() -> bool:
            return not await connection.fetchval(UNFINISHED)

        await until(done, "no repo lacks anything", 60)


async def wrong_rows(url: str, stream: Sequence[Sent]) -> list[str]:
    def excused(line: str) -> bool:
        undated = line.startswith("generic_records") and "created_at is" in line  # nothing dates a record that says no date
        return undated or any(words in line for words in BY_COMMIT)

    return await differences(url, traffic_of(stream, "full").model, excused=excused)


def repairing(services: Services, **more: str) -> dict[str, str]:
    given = {"VERIFY": "full", "PLC_RATE": "1000", "BACKFILL": "repair", "AUDIT_RATE": "0"}
    return given | services.settings | more


async def older_than_the_stream(url: str) -> None:
    """Make the database ready, as if long before the stream."""
    async with opened(url) as worker:
        await worker.connection.execute("UPDATE unified_worker.backfill SET since = '2020-01-01'")


@pytest.mark.long
@pytest.mark.promise(6)
async def test_what_a_relay_leaves_out_comes_from_the_hosts(database: str) -> None:
    await older_than_the_stream(database)
    async with hosted(SETTINGS, 1_200, 5) as (kept, relay, services):
        assert len(kept.whole) - len(kept.sent) > 50
        given = repairing(services, NOTIFY_REPAIRED="365")
        async with running(database, relay.url, reset_cursor=False, **given) as worker:
            await finished(worker, kept.sent[-1].truth.seq)
            await whole(database)
            assert worker.metrics.repairs["done"] > 5
    assert await wrong_rows(database, kept.whole) == []


@pytest.mark.parametrize("kills", [pytest.param(5, marks=pytest.mark.long), pytest.param(50, marks=pytest.mark.soak)])
async def test_kills_in_the_middle_of_repairs_cost_nothing(database: str, tmp_path: Path, kills: int) -> None:
    """Case 9, by kill -9: the next worker starts again what was under way."""
    await older_than_the_stream(database)
    made = replace(SETTINGS, accounts=20 + 2 * kills)
    async with hosted(made, 30 * made.accounts, 4) as (kept, relay, services), connected(database) as on:
        given = settings(database, relay.url, **repairing(services, NOTIFY_REPAIRED="365"))
        for kill in range(kills):

            async def under_way(repaired: int = 2 * kill) -> bool:
                """Some more are done, and some are not."""
                done = await on.fetchval("SELECT count(*) FROM unified_worker.repos WHERE synced_at IS NOT NULL")
                return done >= repaired and await on.fetchval("SELECT EXISTS (SELECT FROM unified_worker.repos WHERE fetching)")

            async with Process(tmp_path, **given):
                await until(under_way, "a repair is under way", poll=0.002)
        async with Process(tmp_path, **given):
            await saved(database, relay.url, kept.sent[-1].truth.seq)
            await whole(database)
    assert await wrong_rows(database, kept.whole) == []


async def command(config: Config, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """The exit code of `repair` with these arguments, and what it printed."""
    options = parse(["repair", *arguments]).options
    capsys.readouterr()
    code = await COMMANDS["repair"].run(config, options)
    return code, capsys.readouterr().out


@pytest.mark.long
async def test_the_command_says_what_differs_and_corrects_it(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with hosted(SETTINGS, 600, 5) as (kept, relay, services):
        given = repairing(services, BACKFILL="off")
        async with running(database, relay.url, reset_cursor=False, **given) as worker:
            await finished(worker, kept.sent[-1].truth.seq)
        async with connected(database) as connection:
            query = "SELECT did FROM unified_worker.repos WHERE sync = 2 ORDER BY did"
            lacking = [row["did"] for row in await connection.fetch(query)]
        config = Config.from_env(settings(database, relay.url, **given))
        code, said = await command(config, capsys, lacking[0], "--check-only")
        assert (code, said.count("\n  + ") > 0) == (1, True), said
        code, said = await command(config, capsys, "--desynchronised", "--check-only")
        assert (code, len([line for line in said.splitlines() if not line.startswith("  ")])) == (1, len(lacking))
        async with connected(database) as connection:
            assert [row["did"] for row in await connection.fetch(query)] == lacking, "nothing is changed"
            assert await connection.fetchval("SELECT count(*) FROM unified_worker.repairs") == 0
        assert await command(config, capsys, lacking[0], "--now") == (0, f"{lacking[0]}: repaired\n")
        code, said = await command(config, capsys, lacking[0], "--check-only")
        assert (code, ", 0 are missing or other, 0 are not in the repo" in said) == (0, True), said
        code, said = await command(config, capsys, "--desynchronised")
        assert (code, said.splitlines()[0]) == (0, f"Wanted: {len(lacking) - 1} repos.")
        code, said = await command(config, capsys, *lacking)
        assert (code, said.splitlines()[0]) == (0, f"Wanted: {len(lacking)} repos.")
        assert (await command(config, capsys, "--desynchronised", "--now"))[0] == 0
        assert await command(config, capsys, "--desynchronised", "--now") == (0, "Nothing is known to be missing.\n")
        with pytest.raises(OperatorError, match="there is no gap 7"):
            await command(config, capsys, "--gap", "7")
        with pytest.raises(OperatorError, match="write DIDs, or --desynchronised, or --gap N"):
            await command(config, capsys)
        with pytest.raises(OperatorError, match="'nobody' is no DID"):
            await command(config, capsys, "nobody")


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "reason", "state"),
    [
        (Altered("bad-signature"), "bad_signature", "failed"),
        (Altered("wrong-did"), "did_mismatch", "failed"),
        (Altered("missing-record"), "missing_block", "wanted"),
        (Altered("cut-90"), "truncated", "wanted"),
        (Status(400, error="RepoDeactivated"), "deactivated", "unavailable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_host_can_t_give_is_named_and_comes_when_it_can(
    database: str, fault: HostFault, reason: str, state: str
) -> None:
    """Case 13: nothing is applied, and a sound answer heals it."""
    async with hosted(SETTINGS, 300, 5) as (kept, relay, services):
        services.faults.put(fault, "getRepo")
        async with running(database, relay.url, reset_cursor=False, **repairing(services)) as worker, connected(database) as on:
            await finished(worker, kept.sent[-1].truth.seq)
            rows = "SELECT count(*) FROM likes"
            before = await on.fetchval(rows)

            async def named() -> bool:
                found = await on.fetch("SELECT DISTINCT reason, state FROM unified_worker.repairs")
                return [tuple(row) for row in found] == [(reason, state)]

            await until(named, f"all repairs are {state}, because of {reason}")
            assert await on.fetchval(rows) == before
            assert not await on.fetchval("SELECT count(*) FROM unified_worker.repos WHERE fetching OR sync = 3")
            services.faults.clear()
            await on.execute("UPDATE unified_worker.repairs SET state = 'wanted', retry_at = now()")
            await whole(database)
    assert [line for line in await wrong_rows(database, kept.whole) if not line.startswith("notifications")] == []
