"""Random repos, held against what their own servers have: what a relay withholds is found, and what is on its way is not."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from relay_simulator.encoding import tid
from relay_simulator.hosts.faults import Status
from testing.commits import START
from testing.confirming import Scene, scene
from unified_indexer.accounts import audit_rows
from unified_indexer.accounts.audit import Audit, Audited, judged
from unified_indexer.accounts.audit_rows import Held, random_repo
from unified_indexer.protocol.syntax import is_did, tid_time


def rev(minutes: float) -> str:
    """The rev of a commit so many minutes after START."""
    return tid(int((START + timedelta(minutes=minutes)).timestamp() * 1_000_000), 0)


@pytest.mark.parametrize(
    ("ours", "theirs", "upto", "result"),
    [
        (0, 0, 500, "current"),
        (0, 10, 69, "fresh"),
        (0, 10, 71, "withheld"),
        (10, 0, 500, "rolled_back"),
        (-9_000, 10, 20, "fresh"),
    ],
)
def test_what_a_difference_means(ours: float, theirs: float, upto: float, result: str) -> None:
    assert judged(Held("did:plc:a", rev(ours)), rev(theirs), START + timedelta(minutes=upto)) == result


async def audit(on: Scene, upto: float) -> tuple[Audit, list[datetime]]:
    """An audit, and the stream's time that it goes by; the worker has written up to so many minutes after START."""
    clock = [START + timedelta(minutes=upto)]
    return Audit(on.worker.pool, on.worker.metrics, on.documents, on.client, lambda: clock[0]), clock


async def all_asked(on: Scene, work: Audit, repos: int) -> dict[str, Audited]:
    """What is found of each repo, by DID."""
    found: dict[str, Audited] = {}
    async with asyncio.timeout(60):
        while len(found) < repos:
            one = await work.one()
            assert one is not None
            found[one.did] = one
    return found


async def test_each_difference_is_found_by_its_name(database: str) -> None:
    async with scene(database) as on:
        for number in range(5):
            await on.writes(number)
        ours = on.stream.revs
        on.has(0, ours[on.name(0)])
        on.has(1, rev(30))
        on.has(2, rev(-30))
        on.has(3, rev(170))
        on.services.faults.put(Status(503), "getLatestCommit", on.ledger.did(4))
        work, _ = await audit(on, 180)
        found = await all_asked(on, work, 5)
        results = [found[on.ledger.did(number)].result for number in range(5)]
        assert results == ["current", "withheld", "rolled_back", "fresh", "unanswered"]
        assert set(on.worker.metrics.audited) == set(results)


async def test_what_could_still_come_is_withheld_when_it_has_not_come_within_the_hour(database: str) -> None:
    """However often the account writes since."""
    async with scene(database) as on:
        await on.writes(0)
        await on.writes(1)
        on.has(0, rev(30))
        on.has(1, on.stream.revs[on.name(1)])
        work, clock = await audit(on, 40)
        found = await all_asked(on, work, 2)
        assert found[on.ledger.did(0)].result == "fresh"
        clock[0] = START + timedelta(minutes=89)
        assert await work.late() == []
        clock[0] = START + timedelta(minutes=91)
        assert [(one.did, one.result) for one in await work.late()] == [(on.ledger.did(0), "withheld")]
        assert await work.late() == []


async def test_what_came_meanwhile_or_was_refused_is_not_withheld(database: str) -> None:
    async with scene(database) as on:
        await on.writes(0)
        on.has(0, rev(30))
        await on.worker.connection.execute("UPDATE unified_worker.repos SET refused_rev = $1", rev(30))
        work, clock = await audit(on, 180)
        one = await work.one()
        assert one is not None
        assert one.result == "current"
        clock[0] = START + timedelta(minutes=40)
        await on.worker.connection.execute("UPDATE unified_worker.repos SET refused_rev = NULL")
        assert (await work.one() or one).result == "fresh"
        await on.worker.connection.execute("UPDATE unified_worker.repos SET rev = $1", rev(31))
        clock[0] = START + timedelta(minutes=180)
        assert await work.late() == []


async def test_a_repo_that_its_server_does_not_show_is_no_finding(database: str) -> None:
    async with scene(database) as on:
        await on.writes(0)
        on.stands(0, False, "takendown")
        work, _ = await audit(on, 180)
        one = await work.one()
        assert one is not None
        assert one.result == "not_shown"


async def test_every_repo_may_be_drawn_wherever_it_lies(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(database) as on:
        connection = on.worker.connection
        assert await random_repo(connection) is None
        await connection.execute(
            """INSERT INTO unified_worker.repos (did, rev, active)
            SELECT CASE WHEN n % 10 = 0 THEN 'did:web:' ELSE 'did:plc:' END || translate(md5(n::text), '0189', 'wxyz'), '3',
              n % 7 <> 0 FROM generate_series(1, 70) AS n"""
        )
        drawn = Counter([(await random_repo(connection) or Held("", "")).did for _ in range(3_000)])
        assert set(drawn) == set(await on.worker.column("SELECT did FROM unified_worker.repos WHERE active"))
        monkeypatch.setattr(audit_rows, "random_did", lambda: "did:zzz")
        assert await random_repo(connection) is not None, "behind the last one comes the first"


def test_a_probe_is_a_did() -> None:
    assert all(is_did(audit_rows.random_did()) for _ in range(100))
    assert tid_time(rev(1)) == START + timedelta(minutes=1)
