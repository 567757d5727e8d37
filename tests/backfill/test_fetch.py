"""Repos fetched from servers that are right, wrong, slow, full or gone."""

import asyncio
import time
from typing import get_args

import pytest

from relay_simulator.archive import BlockOrder
from relay_simulator.changes import Change
from relay_simulator.hosts.faults import Altered, Cut, HostFault, Limited, Redirect, Remaining, Slow, Status, Text
from relay_simulator.ports import free_port
from testing.fetching import FIRST, fetching
from testing.waiting import until
from unified_indexer.backfill import fetch as module
from unified_indexer.backfill import pace, turns
from unified_indexer.backfill.outcome import Failed, Kind
from unified_indexer.identity import downloads
from unified_indexer.protocol import repo, spool
from unified_indexer.protocol.repo import Head, Repo

MIDDLE = FIRST + 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "STARTS_A_SECOND", 1_000.0)
    monkeypatch.setattr(pace, "STARTS_AT_AN_ADDRESS", 1_000.0)


def of(outcome: object) -> tuple[str, Kind]:
    """What became of a fetch that failed."""
    assert isinstance(outcome, Failed), "a repo came"
    return outcome.reason, outcome.kind


@pytest.mark.parametrize("order", get_args(BlockOrder))
async def test_repos_come_as_they_stand(database: str, order: BlockOrder) -> None:
    async with fetching(database, order=order) as on:
        for number in range(12):
            assert await on.fetch(number) == on.records(number)
        assert on.fetcher.counts == {"fetched": 12}
        assert on.fetcher.received > 12 * 1000


async def test_many_at_once_are_asked_for_at_the_pace_of_their_hosts(database: str) -> None:
    async with fetching(database, accounts=60) as on:
        on.services.faults.put(Slow(0.3), "getRepo")
        most = dict.fromkeys(on.services.pds_urls, 0)
        fetches = [asyncio.create_task(on.fetch(number)) for number in range(60)]
        while not all(task.done() for task in fetches):
            for host in most:
                most[host] = max(most[host], 10 - on.fetcher.room(host))
            await asyncio.sleep(0.01)
        assert [task.result() for task in fetches] == [on.records(number) for number in range(60)]
        assert max(most.values()) == 10


FAULTS: list[tuple[HostFault, str, Kind]] = [
    (Altered("wrong-did"), "did_mismatch", Kind.REFUSED),
    (Altered("future-rev"), "rev_in_future", Kind.REFUSED),
    (Altered("bad-signature"), "bad_signature", Kind.REFUSED),
    (Altered("next-key"), "bad_signature", Kind.REFUSED),
    (Altered("missing-node"), "missing_block", Kind.INCOMPLETE),
    (Altered("missing-record"), "missing_block", Kind.INCOMPLETE),
    (Altered("wrong-hash"), "block_hash_mismatch", Kind.INCOMPLETE),
    (Altered("torn"), "missing_block", Kind.INCOMPLETE),
    (Altered("cut-block"), "missing_block", Kind.INCOMPLETE),
    (Altered("cut-varint"), "truncated", Kind.INCOMPLETE),
    (Altered("cut-90"), "truncated", Kind.INCOMPLETE),
    (Altered("reset", 2_000), "protocol", Kind.RETRY),
    (Cut(), "protocol", Kind.RETRY),
    (Text(), "bad_car", Kind.REFUSED),
    (Status(500), "server_error", Kind.RETRY),
    (Status(502), "server_error", Kind.RETRY),
    (Status(503), "server_error", Kind.RETRY),
    (Status(400, error="RepoDeactivated"), "deactivated", Kind.UNAVAILABLE),
    (Status(400, error="RepoTakendown"), "takendown", Kind.UNAVAILABLE),
    (Status(400, error="RepoSuspended"), "suspended", Kind.UNAVAILABLE),
    (Status(400, error="RepoNotFound"), "not_found", Kind.UNAVAILABLE),
    (Status(400, error="InvalidRequest"), "no_repo_served", Kind.RETRY),
    (Status(403), "no_repo_served", Kind.RETRY),
    (Status(404), "not_found", Kind.UNAVAILABLE),
    (Status(501), "server_error", Kind.RETRY),
    (Redirect("http://127.0.0.1:1/"), "connection", Kind.RETRY),
    (Redirect("ftp://files.test/"), "bad_url", Kind.REFUSED),
]


async def test_each_fault_has_its_name_and_a_sound_answer_heals_it(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gives back its one turn in memory."""
    monkeypatch.setattr(pace, "BAD_IN_A_ROW", 10**6)
    monkeypatch.setattr(turns, "SMALL", 500)
    monkeypatch.setattr(turns, "LARGE_AT_ONCE", 1)
    async with fetching(database) as on:
        for fault, reason, kind in FAULTS:
            on.services.faults.put(fault, "getRepo")
            async with asyncio.timeout(60):
                assert of(await on.fetch(3)) == (reason, kind), fault
                on.services.faults.clear()
                assert await on.fetch(3) == on.records(3), fault
        assert on.fetcher.counts["fetched"] == len(FAULTS)
        assert on.fetcher.counts["missing_block"] == 4


async def test_an_unavailable_server_that_says_when_to_come_back(database: str) -> None:
    async with fetching(database) as on:
        on.services.faults.put(Status(503, retry_after="20"), "getRepo")
        outcome = await on.fetch(3)
        assert of(outcome) == ("rate_limited", Kind.LATER)
        assert 15 < on.fetcher.parked(on.host(3)) <= 20


async def test_a_server_that_fails_is_asked_less_at_once_and_then_not_for_a_while(database: str) -> None:
    async with fetching(database) as on:
        on.services.faults.put(Status(500), "getRepo")
        rooms = list[int]()
        for _ in range(8):
            assert of(await on.fetch(3)) == ("server_error", Kind.RETRY)
            rooms.append(on.fetcher.room(on.host(3)))
        assert rooms == [10, 5, 5, 2, 2, 1, 1, 0]
        assert of(await on.fetch(3)) == ("parked", Kind.LATER)


@pytest.mark.parametrize("name", ["extra", "doubled", "fork", "old-rev"])
async def test_what_is_well_signed_and_whole_is_taken(database: str, name: str) -> None:
    """Whether it is too old is for those to say who know the repo."""
    async with fetching(database) as on:
        on.services.faults.put(Altered(name), "getRepo")
        found = await on.fetch(3)
        assert isinstance(found, dict)
        assert len(found) == len(on.records(3)) - (name in ("fork", "old-rev"))


@pytest.mark.parametrize("name", ["endless", "bomb"])
async def test_what_never_ends_is_ended(database: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(repo, "MAX_BYTES", 30_000_000)
    async with fetching(database) as on:
        on.services.faults.put(Altered(name), "getRepo")
        assert of(await on.fetch(3)) == ("too_large", Kind.REFUSED)
        on.services.faults.clear()
        assert await on.fetch(4) == on.records(4)


async def test_a_server_that_stands_still_is_left(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "GRACE", 0.5)
    async with fetching(database) as on:
        on.services.faults.put(Altered("stall", 1_000), "getRepo", on.did(3))
        start = time.monotonic()
        first, other = await asyncio.gather(on.fetch(3), on.fetch(4))
        assert of(first) == ("timeout", Kind.RETRY)
        assert other == on.records(4)
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("form", ["seconds", "date", "reset", "silent"])
async def test_a_limit_parks_the_host_and_costs_no_repo_an_attempt(database: str, form: str) -> None:
    async with fetching(database) as on:
        on.services.faults.put(Limited(30.0, form), "getRepo")  # pyright: ignore[reportArgumentType]
        outcome = await on.fetch(3)
        assert of(outcome) == ("rate_limited", Kind.LATER)
        assert isinstance(outcome, Failed)
        assert outcome.after is not None
        assert 25 < outcome.after <= (60 if form == "silent" else 31)
        asked = on.services.requests.count("getRepo")
        assert of(await on.fetch(3)) == ("parked", Kind.LATER)
        assert on.fetcher.room(on.host(3)) == 0
        assert on.services.requests.count("getRepo") == asked, "it was not asked"


async def test_few_requests_that_are_left_slow_the_next_ones_down(database: str) -> None:
    async with fetching(database) as on:
        on.services.faults.put(Remaining(1, 3_000, 2.0), "getRepo")
        assert await on.fetch(3) == on.records(3)
        start = time.monotonic()
        number = next(number for number in range(4, 12) if on.host(number) == on.host(3))
        assert await on.fetch(number) == on.records(number)
        assert 0.5 < time.monotonic() - start < 20


async def test_a_relay_s_redirect_leads_to_the_server(database: str) -> None:
    async with fetching(database, source=True) as on:
        number = next(number for number in range(12) if on.host(number) != on.services.pds_urls[0])
        url = f"{on.host(number)}/xrpc/com.atproto.sync.getRepo?did={on.did(number)}"
        mirror = on.services.pds_urls[0].removeprefix("http://")
        on.services.faults.put(Redirect(url), "getRepo", host=mirror)
        assert await on.fetch(number) == on.records(number)
        on.services.faults.clear()
        on.services.faults.put(Redirect(f"{on.host(number)}/xrpc/com.atproto.sync.getRepo?did={on.did(number)}"), "getRepo")
        assert of(await on.fetch(number)) == ("redirect", Kind.REFUSED)


@pytest.mark.parametrize("lacks", ["not_found", "takendown", "behind"])
async def test_what_a_mirror_lacks_comes_from_the_account_s_own_host(database: str, lacks: str) -> None:
    async with fetching(database, source=True) as on:
        mirror = on.services.pds_urls[0]
        number = next(number for number in range(12) if on.host(number) != mirror)
        did, own = on.did(number), on.host(number)
        assert on.fetcher.host(did) == mirror
        if lacks == "takendown":
            on.services.faults.put(Status(400, error="RepoTakendown"), "getRepo", host=mirror.removeprefix("http://"))
        if lacks == "behind":
            to = f"{own}/xrpc/com.atproto.sync.getRepo?did={did}"
            on.services.faults.put(Redirect(to), "getRepo", host=mirror.removeprefix("http://"))
            on.services.faults.put(Altered("old-rev"), "getRepo", host=own.removeprefix("http://"), times=1)
        truth = on.ledger.repo(did)
        assert truth is not None
        outcome = await on.fetcher.fetch(did, stop=lambda head: module.BEHIND if head.rev < truth.rev else None)
        assert isinstance(outcome, Repo)
        outcome.close()
        assert on.services.requests.count("getRepo", did) == (3 if lacks == "behind" else 2)


async def test_after_a_move_the_document_is_looked_up_anew(database: str) -> None:
    """The server of before says that the account is deactivated; what is known of it is old."""
    async with fetching(database, changes=[Change(MIDDLE, 3, pds=True, identity="never")]) as on:
        on.seen.append(MIDDLE - 1)
        assert await on.fetch(3) == on.records(3)
        before = on.host(3)
        on.seen.pop()
        assert on.host(3) != before
        assert on.identities.pds(on.did(3)) == before
        assert await on.fetch(3) == on.records(3)
        assert on.identities.pds(on.did(3)) == on.host(3)


async def test_after_a_change_of_its_key_the_document_is_looked_up_anew(database: str) -> None:
    """What comes is signed by a key that is not the known one; it is read once."""
    async with fetching(database, changes=[Change(MIDDLE, 3, key=True, identity="never")]) as on:
        on.seen.append(MIDDLE - 1)
        assert await on.fetch(3) == on.records(3)
        on.seen.pop()
        assert await on.fetch(3) == on.records(3)
        assert on.services.requests.count("getRepo", on.did(3)) == 2


async def test_what_the_server_says_is_believed_once_the_document_is_fresh(database: str) -> None:
    async with fetching(database) as on:
        assert await on.fetch(3) == on.records(3)
        on.services.faults.put(Status(400, error="RepoNotFound"), "getRepo", on.did(3))
        looked_up = on.services.requests.count("plc", on.did(3))
        assert of(await on.fetch(3)) == ("not_found", Kind.UNAVAILABLE)
        assert on.services.requests.count("plc", on.did(3)) == looked_up + 1
        assert on.services.requests.count("getRepo", on.did(3)) == 2, "the same server is not asked again"


async def test_a_did_that_has_ended(database: str) -> None:
    async with fetching(database) as on:
        assert of(await on.fetch(12)) == ("tombstoned", Kind.UNAVAILABLE)
        assert on.services.requests.count("getRepo") == 0


async def test_while_the_directory_is_silent_nobody_is_to_blame(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    async with fetching(database) as on:
        on.services.faults.put(Status(503), "plc")
        assert of(await on.fetch(3)) == ("no_document", Kind.LATER)
        assert on.services.requests.count("getRepo") == 0


async def test_an_account_whose_own_host_is_silent_has_an_attempt_less(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who names hosts that never answer holds no place of the crew for ever."""
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    async with fetching(database, web_ports=[free_port()]) as on:
        on.services.faults.put(Status(503), "web")
        assert on.did(0).startswith("did:web:")
        assert of(await on.fetch(0)) == ("no_document", Kind.RETRY)
        assert on.services.requests.count("web") == 1
        assert on.services.requests.count("getRepo") == 0


async def test_who_asked_may_stop_it_when_the_commit_is_known(database: str) -> None:
    async with fetching(database) as on:
        heads: list[Head] = []

        def unchanged(head: Head) -> str:
            heads.append(head)
            return "unchanged"

        outcome = await on.fetcher.fetch(on.did(3), stop=unchanged)
        assert of(outcome) == ("unchanged", Kind.STOPPED)
        truth = on.ledger.repo(on.did(3))
        assert truth is not None
        assert [(head.did, head.rev) for head in heads] == [(truth.did, truth.rev)]


async def test_few_are_in_memory_at_once_as_long_as_they_are_not_closed(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SMALL", 500)
    monkeypatch.setattr(turns, "LARGE_AT_ONCE", 2)
    async with fetching(database) as on:
        held = [await on.fetcher.fetch(on.did(number)) for number in (3, 4)]
        third = asyncio.create_task(on.fetch(5))
        await on.services.requests.reach(3, "getRepo")
        await asyncio.sleep(0.2)
        assert not third.done()
        assert isinstance(held[0], Repo)
        held[0].close()
        async with asyncio.timeout(60):
            assert await third == on.records(5)


async def test_large_ones_are_read_one_after_the_other(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the turn is free when the repo is closed, not before."""
    monkeypatch.setattr(turns, "SMALL", 500)
    monkeypatch.setattr(turns, "MOST_IN_MEMORY", 3_000)
    monkeypatch.setattr(spool, "MOST_IN_MEMORY", 3_000)
    async with fetching(database) as on:
        first = await on.fetcher.fetch(on.did(3))
        assert isinstance(first, Repo)
        assert first.size > 3_000
        second = asyncio.create_task(on.fetch(4))
        await on.services.requests.reach(2, "getRepo")
        await asyncio.sleep(0.2)
        assert not second.done()
        first.close()
        first.close()
        async with asyncio.timeout(60):
            assert await second == on.records(4)
            found = await asyncio.gather(*(on.fetch(number) for number in range(12)))
        assert found == [on.records(number) for number in range(12)]


async def test_a_fetch_that_is_given_up_leaves_its_turns_to_others(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "SMALL", 500)
    monkeypatch.setattr(turns, "LARGE_AT_ONCE", 1)
    async with fetching(database) as on:
        on.services.faults.put(Altered("stall", 2_000), "getRepo", on.did(3))
        host = on.host(3)
        stalled = [asyncio.create_task(on.fetch(3)) for _ in range(12)]
        await until(lambda: on.fetcher.room(host) == 0, "all turns of the host are taken")
        for task in stalled:
            task.cancel()
        await asyncio.wait(stalled)
        assert on.fetcher.room(host) == 10
        found = await asyncio.gather(*(on.fetch(number) for number in range(4, 12)))
        assert found == [on.records(number) for number in range(4, 12)]


async def test_a_slow_host_holds_no_other_host_up(database: str) -> None:
    async with fetching(database, accounts=40) as on:
        slow = on.host(0)
        on.services.faults.put(Altered("stall", 500), "getRepo", host=slow.removeprefix("http://"))
        there = [number for number in range(40) if on.host(number) == slow]
        elsewhere = [number for number in range(40) if on.host(number) != slow]
        stalled = [asyncio.create_task(on.fetch(number)) for number in there]
        await until(lambda: on.fetcher.room(slow) == 0, "all turns of the slow host are taken")
        found = await asyncio.gather(*(on.fetch(number) for number in elsewhere))
        assert found == [on.records(number) for number in elsewhere]
        assert not any(task.done() for task in stalled)
        for task in stalled:
            task.cancel()
        await asyncio.wait(stalled)
