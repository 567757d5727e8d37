"""`repair --gap N` as an operator types it: what did not come by the stream comes from the hosts, and no gap is left open."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from relay_simulator.faults import Say
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.server import RelayServer
from relay_simulator.truth import CommitTruth, Sent
from testing.databases import connected, saved, settled
from testing.processes import Cold, Process
from testing.traffic import Traffic, traffic_of
from testing.waiting import until
from testing.workers import settings
from tests.e2e.test_e2e_backfill import MIX, fetched, wrong
from tests.e2e.test_e2e_repair import UNFINISHED

# So slow that the middle takes more than ten minutes, which no silent relay explains.
NETWORK = Settings(accounts=60, history=0, hosts=3, mix=MIX, per_second=0.5)
BEFORE, MISSING, AFTER = 500, 400, 30  # events
BROKEN = b"\xff\xfe"
ASKED = """\
The repos that have changed since then are looked for, and fetched.
A running worker fetches them, unless BACKFILL=off; `status --did` shows the state of each.
"""
NO_GAP = "unified_worker: there is no gap 7; the table unified_worker.gaps lists them\n"
JOBS = "SELECT kind, argument, ended_at IS NOT NULL FROM unified_worker.backfill_jobs ORDER BY id"
SYNCED = "SELECT did FROM unified_worker.repos WHERE did = ANY ($1::text[]) AND synced_at IS NOT NULL"


class Torn(NamedTuple):
    """A stream whose middle never comes. `left_behind`: accounts that wrote in it, and have not since."""

    whole: Traffic
    before: list[Sent]
    after: list[Sent]
    left_behind: set[str]


def torn(ledger: Ledger) -> Torn:
    """All of it is in the hosts' repos."""
    sent = list(ledger.noted(Generator(NETWORK, ledger.archive).stream(BEFORE + MISSING + AFTER)))
    before, missing, after = sent[:BEFORE], sent[BEFORE : BEFORE + MISSING], sent[BEFORE + MISSING :]
    left_behind = writers(missing) - writers(after)
    assert len(left_behind) > 10
    return Torn(traffic_of(sent, "full"), before, after, left_behind)


def writers(sent: Sequence[Sent]) -> set[str]:
    return {one.truth.did for one in sent if isinstance(one.truth, CommitTruth)}


async def typed(folder: Path, *arguments: str, url: str) -> tuple[int, str]:
    """`unified_worker.py ARGUMENTS`, to its end: the exit code, and all that it wrote."""
    async with Cold(folder, *arguments, DATABASE_URL=url) as command:
        return await command.ends(), command.output


async def closed(folder: Path, url: str) -> None:
    """Nothing is left to do for the gap, as both commands say that show how things are."""
    code, said = await typed(folder, "status", url=url)
    assert code == 0
    lines = [line.split() for line in said.splitlines()]
    assert ["gaps", "1"] in lines, "that there was one is kept"
    assert not {"desynchronised", "repairing", "backfill"} & {line[0] for line in lines if line}, said
    code, said = await typed(folder, "backfill", "status", url=url)
    assert code == 0
    assert [line.split()[1:4] for line in said.splitlines() if " gap " in line] == [["gap", "1", "done"]], said
    assert "are left" not in said


@pytest.mark.long
@pytest.mark.promise(6)
async def test_a_gap_of_a_worker_that_fetches_nothing(database: str, tmp_path: Path) -> None:
    """The relay has forgotten the middle, and BACKFILL is off. Asked for, it comes as soon as a worker may fetch."""
    ledger = Ledger(NETWORK)
    stream = torn(ledger)
    relay = RelayServer(one.frame for one in stream.before)
    async with relay, Services(ledger) as services, connected(database) as connection:
        relay.beside = services.relay_url
        given = {"VERIFY": "full"} | services.settings | {"PLC_RATE": "1000"}
        env = settings(database, relay.url, **given)
        async with Process(tmp_path, **env) as worker:
            await saved(database, relay.url, stream.before[-1].truth.seq)
            relay.drop()
            for one in stream.after:
                relay.append(one.frame)
            await worker.says(r"\[WARNING\] Gap: after seq .*\(the relay no longer had it\)")
            await saved(database, relay.url, stream.whole.last_seq)
            assert await typed(tmp_path, "repair", "--gap", "7", url=database) == (2, NO_GAP)
            assert await connection.fetch(JOBS) == []
            assert await typed(tmp_path, "repair", "--gap", "1", url=database) == (0, ASKED)
        assert [tuple(row) for row in await connection.fetch(JOBS)] == [("gap", "1", False)]
        assert await wrong(database, stream.whole) != []
        async with Process(tmp_path, **env | {"BACKFILL": "repair"}):
            await fetched(database, 1)
            await settled(database)
            await closed(tmp_path, database)
        assert [tuple(row) for row in await connection.fetch(JOBS)] == [("gap", "1", True)], "the worker asks no second time"
    assert await wrong(database, stream.whole) == []


@pytest.mark.long
@pytest.mark.promise(6)
async def test_a_gap_that_does_not_close_by_itself(database: str, tmp_path: Path) -> None:
    """Its cause was a message that could not be read: the worker asks for nothing, until somebody types the command."""
    ledger = Ledger(NETWORK)
    stream = torn(ledger)
    script = [[Say(after, BROKEN, text=True)] for after in (BEFORE, 0, 0)]
    relay = RelayServer((one.frame for one in (*stream.before, *stream.after)), script=script)
    async with relay, Services(ledger) as services, connected(database) as connection:
        relay.beside = services.relay_url
        given = {"VERIFY": "full", "BACKFILL": "repair"} | services.settings | {"PLC_RATE": "1000"}
        async with Process(tmp_path, **settings(database, relay.url, **given)) as worker:
            await worker.says(r"\[WARNING\] Gap: after seq .*\(a message in it could not be read\)")
            await saved(database, relay.url, stream.whole.last_seq)

            async def mended() -> bool:
                return not await connection.fetchval(UNFINISHED)

            await until(mended, "those that wrote since are repaired", 60)
            behind = await connection.fetch(SYNCED, sorted(stream.left_behind))
            assert behind == []
            assert await connection.fetch(JOBS) == []
            assert await typed(tmp_path, "repair", "--gap", "1", url=database) == (0, ASKED)
            await fetched(database, 1)
            await settled(database)
            await closed(tmp_path, database)
            found = await connection.fetch(SYNCED, sorted(stream.left_behind))
            assert {row[0] for row in found} == stream.left_behind
    assert await wrong(database, stream.whole) == []
