"""Repos are found on the lists of servers, each once, and no list has us read it for ever."""

import asyncio
from dataclasses import replace

import pytest

from relay_simulator.changes import Change
from relay_simulator.generator import Settings
from relay_simulator.hosts.faults import Altered, HostFault, Limited, Slow, Status, Text
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.records import FOLLOW, POST
from relay_simulator.truth import CommitTruth
from testing.finding import scene
from testing.waiting import DEADLINE
from unified_indexer.accounts.crew import Crew
from unified_indexer.database.repair import asked, listings
from unified_indexer.database.repair.listings import Kind
from unified_indexer.selection import Selection

NETWORK = Settings(accounts=60, history=10, hosts=4)
NETWORK_WISH = listings.Wish("network", 30)
LISTINGS = """
SELECT h.url, l.* FROM unified_worker.listings AS l JOIN unified_worker.hosts AS h ON h.id = l.host ORDER BY h.url
"""


async def test_a_network_is_found_whole_each_repo_at_its_server(database: str) -> None:
    async with scene(database, NETWORK, events=200) as on:
        job = await on.ask(Kind.NETWORK)
        await on.read(job)
        wanted = await on.wanted()
        assert wanted.keys() == on.active()
        for did, url in wanted.items():
            standing = on.ledger.standing(did)
            assert standing is not None
            assert url == on.services.pds_urls[standing.pds]
        (row,) = await on.worker.connection.fetch("SELECT * FROM unified_worker.backfill_jobs WHERE id = $1", job)
        assert (row["found"], row["wanted"], row["error"]) == (len(wanted), len(wanted), None)
        assert {row["accounts"] for row in await on.worker.connection.fetch("SELECT accounts FROM unified_worker.hosts")} == {
            len(on.ledger.listed(number)) for number in range(4)
        }


async def test_a_second_run_wants_only_what_has_changed(database: str) -> None:
    async with scene(database, NETWORK, events=100) as on:
        await on.read(await on.ask(Kind.NETWORK))
        dids = sorted(await on.wanted())
        for did in dids:
            head = on.ledger.repo(did)
            assert head is not None
            await on.fetched(did, "2222222222222" if did == dids[3] else head.rev)
        await on.worker.connection.execute("UPDATE unified_worker.repos SET sync = 2 WHERE did = $1", dids[5])
        await on.worker.connection.execute("UPDATE unified_worker.repos SET active = false WHERE did = $1", dids[7])
        await on.worker.connection.execute("DELETE FROM unified_worker.repos WHERE did = $1", dids[9])
        await on.read(await on.ask(Kind.NETWORK))
        assert sorted(await on.wanted()) == [dids[3], dids[5], dids[9]]


async def test_those_whom_an_account_follows_and_itself(database: str) -> None:
    async with scene(database, Settings(accounts=40, history=700)) as on:
        did = on.ledger.did(2)
        truth = on.ledger.repo(did)
        assert truth is not None
        follows = {
            str(record.record["subject"])
            for record in truth.records
            if record.collection == FOLLOW and isinstance(record.record, dict)
        }
        assert sum(record.collection == FOLLOW for record in truth.records) > 100  # more than a page
        await on.read(await on.ask(Kind.FOLLOWS, did))
        assert (await on.wanted()) == dict.fromkeys({did, *follows}, "")


async def test_those_who_write_records_of_a_collection(database: str) -> None:
    async with scene(database, Settings(accounts=40, history=0), events=150) as on:
        wrote = {
            sent.truth.did
            for sent in on.stream
            if isinstance(sent.truth, CommitTruth)
            and any(op.collection == POST and op.action == "create" for op in sent.truth.ops)
        }
        await on.read(await on.ask(Kind.COLLECTION, POST))
        assert (await on.wanted()).keys() == wrote
        await on.worker.connection.execute("DELETE FROM unified_worker.repairs")
        await on.read(await on.ask(Kind.COLLECTION, f"{POST} {on.services.relay_url}"))
        assert (await on.wanted()).keys() == wrote


async def test_the_servers_that_were_named(database: str) -> None:
    async with scene(database, NETWORK) as on:
        first, second = on.services.pds_urls[1:3]
        await on.read(await on.ask(Kind.HOSTS, f"{first.removeprefix('http://')} {second}/ not/a/host"))
        assert set((await on.wanted()).values()) == {first, second}
        assert len(await on.wanted()) == len(on.ledger.listed(1)) + len(on.ledger.listed(2))


async def test_after_a_gap_those_that_have_moved_on_since(database: str) -> None:
    async with scene(database, Settings(accounts=30, history=10), events=600) as on:
        commits = [sent.truth for sent in on.stream if isinstance(sent.truth, CommitTruth) and sent.truth.commit]
        began = commits[400].time
        gap = await on.worker.connection.fetchval(
            "INSERT INTO unified_worker.gaps (service, after_seq, after_time, upto_seq, reason) "
            "VALUES ('r', 1, $1::text::timestamptz, 2, 'retention') RETURNING id",
            began,
        )
        known: dict[str, str] = {}
        for number in range(30):
            truth = on.ledger.repo(on.ledger.did(number))
            assert truth is not None
            known[truth.did] = truth.rev
        behind = sorted(did for did in known if known[did] > commits[400].rev and did in on.active())
        for did, rev in known.items():
            await on.fetched(did, "2222222222222" if did in behind[:3] else rev)
        await on.worker.connection.execute("UPDATE unified_worker.repos SET sync = 0")  # not to the point
        await on.read(await on.ask(Kind.GAP, str(gap)))
        assert sorted(await on.wanted()) == behind[:3]


@pytest.mark.parametrize("argument", ["999", "9" * 30, "the last one", ""])
async def test_of_a_gap_that_is_not_there_nothing_is_wanted(database: str, argument: str) -> None:
    async with scene(database, Settings(accounts=5, history=5)) as on:
        job = await on.ask(Kind.GAP, argument)
        await on.read(job)
        assert await on.worker.value("SELECT error FROM unified_worker.backfill_jobs WHERE id = $1", job) == "no_such_gap"
        assert await on.wanted() == {}


@pytest.mark.parametrize("fault", ["same-cursor", "no-news", "empty-pages", "odd-entries", "bare", "no-list"])
@pytest.mark.parametrize("endpoint", ["listRepos", "listHosts", "listReposByCollection"])
async def test_a_list_with_a_fault_ends_and_brings_what_is_on_it(database: str, endpoint: str, fault: str) -> None:
    async with scene(database, Settings(accounts=30, history=5, hosts=3)) as on:
        on.services.faults.put(Altered(fault), endpoint)
        by_collection = endpoint == "listReposByCollection"
        due = {found.did for found in on.ledger.listed() if not by_collection or POST in on.ledger.collections(found)}
        await on.read(await (on.ask(Kind.COLLECTION, POST) if by_collection else on.ask(Kind.NETWORK)))
        assert (await on.wanted()).keys() == (set() if fault == "no-list" else due)
        assert on.services.requests.count(endpoint) < 40


async def test_a_list_that_stands_still_is_told(database: str) -> None:
    async with scene(database, Settings(accounts=30, history=5)) as on:
        on.services.faults.put(Altered("no-news"), "listRepos")
        await on.read(await on.ask(Kind.NETWORK))
        assert {row["error"] for row in await on.worker.connection.fetch(LISTINGS)} == {"nothing_new"}


async def test_a_page_and_the_cursor_behind_it_are_stored_together(database: str) -> None:
    """A worker that ends between any two pages goes on where it was; a page that came twice is stored once."""
    async with scene(database, Settings(accounts=3_000, history=1)) as on:
        job = await on.ask(Kind.HOSTS, on.services.pds_urls[0])
        await on.reach(1_000)
        async with on.worker.pool.connection() as connection:
            (listing,) = await listings.pick(connection, [job], 5)
        before = await on.wanted()
        assert len(before) == 1_000
        await on.turns()
        async with on.worker.pool.connection() as connection:
            assert await listings.store(connection, listing, [("did:plc:late", "")], "elsewhere", None, NETWORK_WISH) is None
        assert "did:plc:late" not in await on.wanted()
        assert len(await on.wanted()) == 2_000
        await on.read(job)
        assert (await on.wanted()).keys() == {standing.did for standing in on.ledger.listed(0)}


async def test_of_a_server_no_more_are_wanted_than_its_window(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "WINDOW", 2_900)  # less a page of 2,000: until 900 are wanted
    async with scene(database, Settings(accounts=4_000, history=1)) as on:
        job = await on.ask(Kind.HOSTS, on.services.pds_urls[0])
        await on.turns(8)
        assert len(await on.wanted()) == 1_000
        await on.worker.connection.execute("UPDATE unified_worker.repairs SET state = 'fetching'")
        await on.turns(8)
        assert len(await on.wanted()) == 2_000
        await on.worker.connection.execute("DELETE FROM unified_worker.repairs")
        await on.turns()
        assert len(await on.wanted()) == 1_000
        assert not await on.ended(job)


async def test_in_all_no_more_are_wanted_than_there_may_be(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listings, "MOST_ROWS", 2_000 * 64 + 40)
    async with scene(database, replace(NETWORK, accounts=200)) as on:
        job = await on.ask(Kind.NETWORK)
        await on.worker.connection.execute(
            "INSERT INTO unified_worker.repairs (did, why) SELECT 'did:web:' || n, 'asked' FROM generate_series(1, 39) AS n"
        )
        await on.turns(3)
        await on.turns(3)
        there = len(await on.wanted())
        assert there > 39
        await on.turns(3)
        assert len(await on.wanted()) == there
        await on.worker.connection.execute("DELETE FROM unified_worker.repairs")
        monkeypatch.setattr(listings, "MOST_ROWS", 200_000)
        await on.read(job)
        assert (await on.wanted()).keys() <= on.active()


async def test_those_that_failed_leave_room_for_others(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried once a day, or not at all: however many they are, the lists are read to their end."""
    monkeypatch.setattr(listings, "MOST_ROWS", 2_000 * 64 + 40)
    monkeypatch.setattr(asked, "MOST_ROWS", 40)
    async with scene(database, replace(NETWORK, accounts=200)) as on:
        await on.worker.connection.execute(
            "INSERT INTO unified_worker.repairs (did, why, state, retry_at) SELECT 'did:web:' || n, 'network', "
            "CASE n % 2 WHEN 0 THEN 'failed' ELSE 'unavailable' END, now() + interval '1 day' FROM generate_series(1, 50) AS n"
        )
        assert await asked.room(on.worker.connection) == 40
        await on.read(await on.ask(Kind.NETWORK))
        assert len(await on.wanted()) == 50 + len(on.active())


async def test_accounts_that_are_not_indexed_are_not_wanted(database: str) -> None:
    settings = Settings(accounts=20, history=5)
    dids = [standing.did for standing in Ledger(settings).listed()]
    selection = Selection(opted_out=frozenset(dids[:2]), accounts=frozenset(dids[:6]))
    async with scene(database, settings, selection=selection) as on:
        await on.read(await on.ask(Kind.NETWORK))
        assert (await on.wanted()).keys() == set(dids[2:6])


async def test_a_slow_server_holds_nobody_back_and_one_that_fails_is_asked_again(database: str) -> None:
    async with scene(database, NETWORK) as on:
        slow, failing = (url.removeprefix("http://") for url in on.services.pds_urls[:2])
        on.services.faults.put(Slow(DEADLINE), "listRepos", host=slow)
        on.services.faults.put(Status(503), "listRepos", host=failing, times=1)
        job = await on.ask(Kind.NETWORK)
        there = len(on.ledger.listed(2)) + len(on.ledger.listed(3))
        async with asyncio.timeout(DEADLINE), Crew(64) as crew:
            while len(await on.wanted()) < there:
                await on.finding.turn(crew)
                await asyncio.sleep(0.05)
            (row,) = [row for row in await on.worker.connection.fetch(LISTINGS) if failing in row["url"]]
            assert (row["failures"], row["error"], row["ended_at"]) == (1, "server_error", None)
            await on.worker.connection.execute("UPDATE unified_worker.listings SET turn_at = now()")
            there += len(on.ledger.listed(1))
            while len(await on.wanted()) < there:
                await on.finding.turn(crew)
                await asyncio.sleep(0.05)
            assert not await on.ended(job)
            await on.services.stop()


@pytest.mark.parametrize("form", ["seconds", "date", "reset", "silent"])
async def test_a_limit_is_waited_for_and_is_no_failure(database: str, form: str) -> None:
    async with scene(database, Settings(accounts=6, history=5)) as on:
        url = on.services.pds_urls[0]
        on.services.faults.put(Limited(100, form), "listRepos")  # pyright: ignore[reportArgumentType]
        await on.ask(Kind.HOSTS, url)
        await on.turns(2)
        (row,) = await on.worker.connection.fetch(LISTINGS)
        wait = await on.worker.connection.fetchval("SELECT extract(epoch FROM turn_at - now()) FROM unified_worker.listings")
        assert (row["failures"], row["error"]) == (0, "rate_limited")
        assert (40 if form == "silent" else 90) < wait <= 101
        asked = on.services.requests.count("listRepos")
        await on.turns(2)
        assert on.services.requests.count("listRepos") == asked


@pytest.mark.parametrize(
    ("fault", "error", "ends"),
    [
        (Status(404), "no_list", True),
        (Status(501), "no_list", True),
        (Status(400, error="InvalidRequest"), "list_refused", False),
        (Text(), "not_json", False),
        (Text("[]"), "bad_answer", False),
        (Text("x" * 2**21), "too_large", False),
    ],
)
async def test_a_server_without_a_list_is_told_by_name(database: str, fault: HostFault, error: str, ends: bool) -> None:
    async with scene(database, Settings(accounts=6, history=5)) as on:
        on.services.faults.put(fault, "listRepos")
        await on.ask(Kind.HOSTS, on.services.pds_urls[0])
        await on.turns(2)
        (row,) = await on.worker.connection.fetch(LISTINGS)
        assert (row["error"], row["ended_at"] is not None) == (error, ends)


async def test_a_job_may_be_paused_and_ended(database: str) -> None:
    async with scene(database, Settings(accounts=4_000, history=1)) as on:
        job = await on.ask(Kind.HOSTS, on.services.pds_urls[0])
        execute = on.worker.connection.execute
        await on.reach(1_000)
        assert len(await on.wanted()) == 1_000
        for table in ("backfill_jobs", "backfill"):
            await execute(f"UPDATE unified_worker.{table} SET paused = true")
            await on.turns(2)
            assert len(await on.wanted()) == 1_000
            await execute(f"UPDATE unified_worker.{table} SET paused = false")
        async with on.worker.pool.connection() as connection:
            (listing,) = await listings.pick(connection, [job], 5)
            await execute("UPDATE unified_worker.backfill_jobs SET ended_at = now()")
            assert await listings.store(connection, listing, [("did:plc:late", "")], None, "complete", NETWORK_WISH) is None
        await on.turns(2)
        assert len(await on.wanted()) == 1_000


async def test_a_job_is_one_worker_s_until_its_lease_ends(database: str) -> None:
    async with scene(database, NETWORK) as on:
        await on.ask(Kind.NETWORK)
        connection = on.worker.connection
        assert len(await listings.hold(connection, "another relay")) == 1
        await on.turns(2)
        assert on.services.requests.count("listHosts") == 0
        await connection.execute("UPDATE unified_worker.backfill_jobs SET lease_until = now() - interval '1 second'")
        await on.turns(1)
        assert on.services.requests.count("listHosts") == 1
        assert await listings.hold(connection, "another relay") == []


async def test_who_has_moved_is_wanted_where_it_is_active(database: str) -> None:
    settings = Settings(accounts=8, history=5, changes=(Change(1_000_010, account=1, pds=True),))
    async with scene(database, settings, events=40) as on:
        await on.read(await on.ask(Kind.NETWORK))
        assert (await on.wanted())[on.ledger.did(1)] == on.services.pds_urls[1]


async def test_servers_that_are_new_are_read_too(database: str) -> None:
    """The relay's list is read once more at the end."""
    async with scene(database, NETWORK) as on:
        on.services.faults.put(Altered("no-list"), "listHosts", times=1)
        await on.read(await on.ask(Kind.NETWORK))
        assert (await on.wanted()).keys() == on.active()


async def test_what_the_relay_calls_a_server_is_checked(database: str) -> None:
    async with scene(database, Settings(accounts=4, history=5)) as on:
        names = ("UPPER.example.com", "user@host.example.com", "a b", "x/y.example.com", "", "1.2.3.4:x", "gone.example.com")
        on.services.other_hosts.extend({"hostname": name, "status": "active"} for name in names[:-1])
        on.services.other_hosts.append({"hostname": names[-1], "status": "offline"})
        await on.ask(Kind.NETWORK)
        await on.turns(1)
        urls = {row["url"] for row in await on.worker.connection.fetch(LISTINGS)}
        assert urls == {"https://upper.example.com", *on.services.pds_urls}
