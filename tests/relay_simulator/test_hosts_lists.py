"""The lists of PDS hosts and of the relay, page by page, against what the stream has said; and their faults."""

from typing import Any, cast

import aiohttp
import pytest

from relay_simulator.changes import Change
from relay_simulator.generator import Generator, Settings
from relay_simulator.hosts.faults import Altered
from relay_simulator.hosts.ledger import Ledger
from relay_simulator.hosts.services import Services
from relay_simulator.mix import Mix
from relay_simulator.records import FOLLOW, LIKE
from relay_simulator.server import RelayServer
from relay_simulator.truth import AccountTruth, CommitTruth
from tests.relay_simulator.test_hosts_repos import FIRST, hosted

Entry = dict[str, Any]
SYNC = "/xrpc/com.atproto.sync."
RECORDS = "/xrpc/com.atproto.repo.listRecords"


async def page(url: str, **query: str | int) -> tuple[int, Entry]:
    async with aiohttp.ClientSession() as session, session.get(url, params=query) as answer:
        return answer.status, await answer.json()


async def pages(url: str, name: str, **query: str | int) -> list[list[Entry]]:
    """All pages, as a reader without a care asks for them; 50 at most."""
    found: list[list[Entry]] = []
    while len(found) < 50:
        status, body = await page(url, **query)
        assert status == 200
        found.append(cast("list[Entry]", body[name]))
        if "cursor" not in body:
            break
        query["cursor"] = body["cursor"]
    return found


async def entries(url: str, name: str, **query: str | int) -> list[Entry]:
    return [entry for page in await pages(url, name, **query) for entry in page]


async def test_each_host_lists_its_accounts_as_they_stand() -> None:
    settings = Settings(accounts=60, history=20, hosts=4, mix=Mix.awkward())
    async with hosted(settings, 500) as network:
        ledger = network.ledger
        everyone: list[str] = []
        for number, pds in enumerate(network.services.pds_urls):
            listed = await entries(f"{pds}{SYNC}listRepos", "repos", limit=7)
            for entry in listed:
                standing, truth = ledger.standing(entry["did"]), ledger.repo(entry["did"])
                assert standing is not None
                assert truth is not None
                assert standing.pds == number
                assert (entry["rev"], entry["head"], entry["active"]) == (truth.rev, truth.commit, standing.active)
                assert entry.get("status") == standing.status
            everyone += [entry["did"] for entry in listed]
        deleted = {
            ledger.did(number)
            for number in range(60)
            if (standing := ledger.standing(ledger.did(number))) is not None and standing.status == "deleted"
        }
        assert len(everyone) == len(set(everyone))
        assert set(everyone) == {ledger.did(number) for number in range(60)} - deleted
        assert deleted
        by_relay = await entries(f"{network.services.relay_url}{SYNC}listRepos", "repos")
        assert {entry["did"] for entry in by_relay} == set(everyone)


async def test_who_has_moved_is_listed_at_both_hosts_and_active_at_one() -> None:
    settings = Settings(accounts=5, history=20, changes=(Change(FIRST + 20, account=1, pds=True),))
    async with hosted(settings, 60) as network:
        did = network.ledger.did(1)
        found = [
            {entry["did"]: entry for entry in await entries(f"{pds}{SYNC}listRepos", "repos")}[did]
            for pds in network.services.pds_urls
        ]
        assert [(entry["active"], entry.get("status")) for entry in found] == [(False, "deactivated"), (True, None)]


async def test_a_relay_lists_its_hosts_and_who_writes_what() -> None:
    settings = Settings(accounts=30, history=0, hosts=3)
    async with hosted(settings, 150) as network:
        services, ledger = network.services, network.ledger
        services.other_hosts.append({"hostname": "gone.example.com", "seq": 0, "accountCount": 0, "status": "offline"})
        hosts = await entries(f"{services.relay_url}{SYNC}listHosts", "hosts", limit=2)
        assert [entry["hostname"] for entry in hosts] == [
            "gone.example.com",
            *(url.removeprefix("http://") for url in services.pds_urls),
        ]
        assert sum(entry["accountCount"] for entry in hosts) == len(ledger.listed())
        for collection in (LIKE, FOLLOW):
            wrote = {
                sent.truth.did
                for sent in network.stream
                if isinstance(sent.truth, CommitTruth)
                and any((op.collection, op.action != "delete") == (collection, True) for op in sent.truth.ops)
            }
            url = f"{services.relay_url}{SYNC}listReposByCollection"
            assert {entry["did"] for entry in await entries(url, "repos", collection=collection, limit=4)} == wrote
            assert wrote
        did = next(iter(wrote))
        async with aiohttp.ClientSession() as session, session.get(f"{services.relay_url}{SYNC}getRepo?did={did}") as answer:
            assert (answer.status, len(answer.history), answer.content_type) == (200, 1, "application/vnd.ipld.car")


async def test_the_stream_s_own_port_answers_for_the_relay() -> None:
    ledger = Ledger(Settings(accounts=5, history=10))
    async with RelayServer() as relay, Services(ledger) as services:
        url = f"{relay.url.replace('ws://', 'http://')}{SYNC}listHosts"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert answer.status == 404
        relay.beside = services.relay_url
        hosts = await entries(url, "hosts", limit=1)
        assert [f"http://{entry['hostname']}" for entry in hosts] == list(services.pds_urls)


async def test_a_host_lists_the_records_of_a_collection() -> None:
    async with hosted(Settings(accounts=4, history=400), 80) as network:
        did = network.ledger.did(1)
        truth = network.ledger.repo(did)
        assert truth is not None
        url = f"{network.services.pds_urls[0]}{RECORDS}"
        found = await entries(url, "records", repo=did, collection=FOLLOW, limit=20)
        assert [(entry["uri"], entry["cid"], entry["value"]) for entry in reversed(found)] == [
            (f"at://{did}/{FOLLOW}/{record.rkey}", record.cid, record.record)
            for record in truth.records
            if record.collection == FOLLOW
        ]
        assert len(found) > 40
        assert (await page(url, repo="did:plc:nobody", collection=FOLLOW))[0] == 400
        network.ledger.note(AccountTruth(2_000_000, did, "2026-07-01T00:00:00.000Z", active=False, status="takendown"))
        assert (await page(url, repo=did, collection=FOLLOW))[1]["error"] == "RepoTakendown"


@pytest.mark.parametrize("query", [{"limit": 1_001}, {"limit": 0}, {"limit": "many"}, {"cursor": "1"}, {"cursor": "1+x&=%"}])
async def test_what_is_no_limit_or_cursor_is_refused(query: dict[str, str | int]) -> None:
    async with hosted(Settings(accounts=3, history=10), 0) as network:
        status, body = await page(f"{network.services.pds_urls[0]}{SYNC}listRepos", **query)
        assert (status, body["error"]) == (400, "InvalidRequest")


async def test_a_list_may_be_false() -> None:
    async with hosted(Settings(accounts=20, history=10), 0) as network:
        url, faults = f"{network.services.pds_urls[0]}{SYNC}listRepos", network.services.faults
        right = await pages(url, "repos", limit=4)
        assert [len(each) for each in right] == [4, 4, 4, 3]
        faults.put(Altered("same-cursor"), "listRepos")
        assert (await pages(url, "repos", limit=4)) == [right[0], *[right[1]] * 49]
        faults.put(Altered("short-pages", 2), "listRepos")
        assert [len(each) for each in await pages(url, "repos", limit=4)] == [2] * 7 + [1]
        faults.put(Altered("no-news"), "listRepos")
        assert (await pages(url, "repos", limit=4)) == [right[0]] * 50
        faults.put(Altered("empty-pages"), "listRepos")
        found = await pages(url, "repos", limit=4)
        assert [each for each in found if each] == right
        assert found[0] == []
        faults.put(Altered("odd-entries"), "listRepos")
        found = await pages(url, "repos", limit=4)
        assert all(entry in found[0] for entry in right[0])
        assert len(found[0]) > 10
        faults.put(Altered("bare"), "lists")
        assert (await pages(url, "repos", limit=4))[0] == [{"did": entry["did"]} for entry in right[0]]
        faults.put(Altered("no-list"), "listRepos")
        assert list((await page(url, limit=4))[1]) == ["cursor"]


async def test_many_accounts_are_listed_quickly() -> None:
    settings = Settings(accounts=3_000, history=5)
    ledger = Ledger(settings)
    list(ledger.noted(Generator(settings, ledger.archive).stream(20)))
    async with Services(ledger) as services:
        listed = await entries(f"{services.relay_url}{SYNC}listRepos", "repos", limit=1_000)
    assert len(listed) == len({entry["did"] for entry in listed}) == 3_000
