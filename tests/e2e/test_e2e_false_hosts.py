"""False documents, hosts that lead astray, accounts that are not there: a worker that verifies in full is not taken in."""

import time
from collections.abc import AsyncIterator

import pytest

from relay_simulator import keys
from relay_simulator.hosts.faults import Altered, Status
from testing.databases import connected
from testing.name_server import name_server
from testing.signed import SignedRepo
from testing.verified import ACCOUNTS, Network, like, network, signed_by, verifying
from testing.waiting import until
from testing.workers import finished
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.identity.pace import BURST
from unified_worker import UnifiedWorker

SECOND_KEY = keys.signer(0, 1_000_000)  # that false documents name besides the account's
GHOSTS = 60
FLOOD = 2_000


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    async with network() as made:
        yield made


async def likes(url: str) -> set[str]:
    """Who has a like."""
    async with connected(url) as connection:
        return {row["uri"].split("/")[2] for row in await connection.fetch("SELECT uri FROM likes")}


async def reasons(url: str) -> dict[str, list[str]]:
    """Of the dead letters, by DID."""
    found: dict[str, list[str]] = {}
    async with connected(url) as connection:
        for row in await connection.fetch("SELECT did, reason FROM unified_worker.dead_letters ORDER BY id"):
            found.setdefault(row["did"], []).append(row["reason"])
    return found


async def known(worker: UnifiedWorker, *repos: SignedRepo) -> None:
    """Wait until it is known who signs for these accounts, or that nobody does."""
    for repo in repos:
        assert await worker.trust.identities.wait(repo.did, 20) is not None


async def test_a_document_that_names_no_key_of_the_account_proves_nothing(database: str, net: Network) -> None:
    false = {name: net.repo(number) for number, name in enumerate(("foreign-controller", "no-key", "bad-key"))}
    for name, repo in false.items():
        net.services.faults.put(Altered(name), "plc", repo.did)
    honest = net.repo(9)
    async with verifying(database, net) as worker:
        await known(worker, honest, *false.values())
        for repo in (*false.values(), honest):
            net.send(repo.commit(like("a")))
        await finished(worker, net.seq)
    assert await likes(database) == {honest.did}
    assert await reasons(database) == {repo.did: ["no_identity"] for repo in false.values()}


async def test_of_two_keys_the_first_signs(database: str, net: Network) -> None:
    alice, bob = net.repo(1), net.repo(2)
    net.services.faults.put(Altered("two-keys"), "plc", alice.did)
    net.services.faults.put(Altered("two-keys"), "plc", bob.did)
    async with verifying(database, net) as worker:
        await known(worker, alice, bob)
        net.send(alice.commit(like("a")))
        net.send(signed_by(bob.commit(like("a")), bob, SECOND_KEY))
        await finished(worker, net.seq)
    assert await likes(database) == {alice.did}
    assert await reasons(database) == {bob.did: ["bad_signature"]}


async def test_a_did_web_leads_to_no_host_of_our_own(database: str, net: Network) -> None:
    """Not even to a port where a host would answer, or by a name that leads here."""
    own = net.services.pds_urls[0].removeprefix("http://").replace(":", "%3A")
    hosts = ("localhost", own, "127.0.0.1", "169.254.169.254", "%5B%3A%3A1%5D", "inner.simulator.test", "example.com%3A8080")
    async with verifying(database, net, ALLOW_PRIVATE_HOSTS="off") as worker:
        for number, host in enumerate(hosts):
            repo = net.repo(number)
            repo.account.did = f"did:web:{host}"
            net.send(repo.commit(like("a")))
        await finished(worker, net.seq)
        assert net.services.requests.count("web") == 0
        assert worker.metrics.verified["proven"] == 0
    assert await likes(database) == set()


async def test_a_public_name_that_leads_to_a_private_address_is_not_dialled(database: str, net: Network) -> None:
    """DNS rebinding: all is in order with such a host, until its name server says where it is."""
    leads = {"loopback": ("A", "127.0.0.1"), "loopback6": ("AAAA", "::1"), "mapped": ("AAAA", "::ffff:127.0.0.1")}
    async with name_server() as names:
        servers = f"{names.place.address}:{names.place.port}"
        async with verifying(database, net, ALLOW_PRIVATE_HOSTS="off", DNS_SERVERS=servers) as worker:
            identities = worker.trust.identities
            for number, (name, (kind, private)) in enumerate(leads.items()):
                names.records[f"{name}.example.com", kind] = [private]
                repo = net.repo(number)
                repo.account.did = f"did:web:{name}.example.com"
                identities.want(repo.did)
                await until(lambda so_far=number: identities.counts.total() > so_far, "its host was asked for")
                assert identities.counts == {"private_address": number + 1}
                assert identities.known(repo.did) == NoIdentity("private_address")
                assert names.asked[f"{name}.example.com"] == 2  # A and AAAA: it was about to be dialled
                net.send(repo.commit(like("a")))
            await finished(worker, net.seq)
            assert worker.metrics.refused == {"no_identity": len(leads)}
    assert await likes(database) == set()


async def test_a_document_sends_nobody_to_a_private_address(database: str, net: Network) -> None:
    """The account's server is asked whether a deletion is true, at whatever address the document names."""
    alice = net.repo(1)
    net.services.faults.put(Altered("private-pds"), "plc", alice.did)
    async with verifying(database, net, ALLOW_PRIVATE_HOSTS="off") as worker:
        await known(worker, alice)
        net.send(alice.commit(like("a")))
        net.send({"did": alice.did, "active": False, "status": "deleted"}, "#account")
        answers = ("deletion_unanswered", "deletion_confirmed", "deletion_denied")
        await until(lambda: any(worker.metrics.confirmations[answer] for answer in answers), "the deletion was looked into")
        async with connected(database) as connection:
            assert await connection.fetchval("SELECT error FROM unified_worker.deletions") == "private_address"
    assert await likes(database) == {alice.did}


async def test_an_old_commit_again_is_none_while_its_account_s_key_is_unknown(database: str, net: Network) -> None:
    """What nobody has proven is in no memory of revs: the database alone says that it is old."""
    alice = net.repo(1)
    net.services.faults.put(Status(503), "plc", alice.did)
    async with verifying(database, net) as worker:
        old, *newer = alice.commit(like("a")), alice.commit(like("a", "delete")), alice.commit(like("b"))
        for payload in (old, *newer, old):
            net.send(payload)
            await finished(worker, net.seq)
        assert worker.metrics.verified == {"unproven": 4}
        assert worker.metrics.stale == 1
    async with connected(database) as connection:
        assert [row["uri"].split("/")[-1] for row in await connection.fetch("SELECT uri FROM likes")] == ["b"]
        assert await connection.fetchval("SELECT rev FROM unified_worker.repos") == newer[-1]["rev"]


async def test_accounts_that_nobody_knows_are_asked_for_once(database: str, net: Network) -> None:
    """And where they are known to be none, nothing of them is applied."""
    ghosts = [net.repo(ACCOUNTS + 100 + number, history=0) for number in range(GHOSTS)]
    async with verifying(database, net) as worker:
        await known(worker, *ghosts)
        for _ in range(3):
            for ghost in ghosts:
                net.send(ghost.commit(like("a")))
        await finished(worker, net.seq)
        assert {net.services.requests.count("plc", ghost.did) for ghost in ghosts} == {1}
        assert worker.metrics.refused["no_identity"] >= GHOSTS
    assert await likes(database) == set()
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM unified_worker.identities") == 0


async def test_a_flood_of_identity_messages_asks_seldom(database: str, net: Network) -> None:
    """Of a hundred messages an account: when it is first seen, when it commits, and for its handle."""
    accounts = [net.repo(number, history=0) for number in range(20)]
    async with verifying(database, net) as worker:
        await known(worker, *accounts)
        for number in range(FLOOD):
            net.identity(accounts[number % len(accounts)])
            if number % 100 == 99:
                account = accounts[number // 100 % len(accounts)]
                net.send(account.commit(like(str(number))))
        await finished(worker, net.seq)
        assert {net.services.requests.count("plc", account.did) for account in accounts} <= {2, 3}
    assert await likes(database) == {account.did for account in accounts}


@pytest.mark.long
@pytest.mark.promise(7)
async def test_ten_thousand_forged_identity_messages_ask_no_more_than_the_pace(database: str, net: Network) -> None:
    """Each account is used again and again meanwhile, so that every message would be a reason to ask."""
    accounts, rate, started = [net.repo(number, history=0) for number in range(ACCOUNTS)], 5, time.monotonic()
    async with verifying(database, net, PLC_RATE=str(rate)) as worker:
        for number in range(10_000):
            net.identity(accounts[number % len(accounts)])
            if number % 20 == 19:
                net.send(accounts[number // 20 % len(accounts)].commit(like(str(number))))
        await finished(worker, net.seq)
        asked = net.services.requests.count("plc") + net.services.requests.count("log")
        assert 0 < asked <= (time.monotonic() - started) * rate + BURST
        assert worker.metrics.verified["refused"] == 0
    assert await likes(database) == {account.did for account in accounts}
