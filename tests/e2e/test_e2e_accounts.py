"""What a relay says of accounts, through a whole worker: forged messages do no harm, and honest ones are carried out."""

from collections.abc import AsyncIterator

import pytest

from relay_simulator.hosts.faults import Status
from relay_simulator.truth import AccountTruth
from testing.databases import connected
from testing.signed import SignedRepo
from testing.verified import Network, like, network, verifying
from testing.waiting import until
from testing.workers import finished
from unified_indexer.accounts import deletions

TIME = "2026-07-01T12:00:00.000Z"
LIKES = "SELECT count(*) FROM likes WHERE user_did = $1"
REPO = "SELECT active, status, wiping FROM unified_worker.repos WHERE did = $1"
HANDLE = "SELECT handle FROM users WHERE did = $1"


@pytest.fixture
async def net() -> AsyncIterator[Network]:
    async with network() as made:
        yield made


def says(net: Network, repo: SignedRepo, active: bool, status: str | None = None, *, forged: bool = False) -> int:
    """The relay says this of an account; so does the account's own server, unless it is forged."""
    seq = net.send({"did": repo.did, "active": active} | ({"status": status} if status else {}), "#account")
    if not forged:
        net.ledger.note(AccountTruth(seq, repo.did, TIME, active, status))
    return seq


async def reached(url: str, query: str, repo: SignedRepo, *values: object) -> None:
    """Wait until the row of an account is this."""

    async def is_so() -> bool:
        async with connected(url) as connection:
            row = await connection.fetchrow(query, repo.did)
            return row is not None and tuple(row) == values

    await until(is_so, f"{values} of {repo.did}")


@pytest.mark.promise(2)
async def test_a_forged_deletion_takes_nothing_and_an_honest_one_all(database: str, net: Network) -> None:
    alice, bob = net.repo(1), net.repo(2)
    async with verifying(database, net) as worker:
        for repo in (alice, bob):
            net.send(repo.commit(like("a")))
        says(net, alice, False, "deleted", forged=True)
        says(net, bob, False, "deleted")
        counts = worker.metrics.confirmations
        await until(lambda: counts["deletion_denied"] == counts["deletion_confirmed"] == 1, "both are settled")
        await reached(database, REPO, alice, True, None, False)
        await reached(database, REPO, bob, False, "deleted", False)
        await reached(database, LIKES, alice, 1)
        await reached(database, LIKES, bob, 0)
        net.send(alice.commit(like("b")))
        await reached(database, LIKES, alice, 2)


async def test_what_is_not_confirmed_waits_across_restarts(
    database: str, net: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deletions, "POSTPONE", deletions.POSTPONE.replace("'1 minute'", "'10 milliseconds'"))
    alice = net.repo(1)
    net.services.faults.put(Status(503), "getRepoStatus")
    for _ in range(2):
        async with verifying(database, net) as worker:
            if net.seq == 0:
                net.send(alice.commit(like("a")))
                says(net, alice, False, "deleted")
            await until(lambda: worker.metrics.confirmations["deletion_unanswered"] > 0, "an attempt")
            await reached(database, REPO, alice, False, "deletion_unconfirmed", False)
            await reached(database, LIKES, alice, 1)
    net.services.faults.clear()
    async with verifying(database, net):
        await reached(database, REPO, alice, False, "deleted", False)
        await reached(database, LIKES, alice, 0)


async def test_an_account_that_a_relay_hides_is_shown_when_it_writes(database: str, net: Network) -> None:
    alice = net.repo(1)
    async with verifying(database, net) as worker:
        net.send(alice.commit(like("a")))
        says(net, alice, False, "deactivated", forged=True)
        net.send(alice.commit(like("b")))
        await until(lambda: worker.metrics.confirmations["reactivated"] == 1, "its own server is asked")
        await reached(database, REPO, alice, True, None, False)
        net.send(alice.commit(like("c")))
        await reached(database, LIKES, alice, 2)


async def test_a_false_handle_is_corrected_and_takes_nobody_s(database: str, net: Network) -> None:
    alice, mallory = net.repo(1), net.repo(2)
    async with verifying(database, net):
        net.send(mallory.commit(like("a")))
        net.send({"did": mallory.did, "handle": alice.account.handle}, "#identity")
        net.send(alice.commit(like("a")))
        net.send({"did": alice.did, "handle": "slur.test"}, "#identity")
        await reached(database, HANDLE, alice, alice.account.handle)
        await reached(database, HANDLE, mallory, mallory.account.handle)


async def test_with_verify_off_nobody_is_asked(database: str, net: Network) -> None:
    alice = net.repo(1)
    async with verifying(database, net, VERIFY="off", AUDIT_RATE="600") as worker:
        net.send(alice.commit(like("a")))
        net.identity(alice)
        says(net, alice, False, "deactivated")
        net.send(alice.commit(like("b")))
        await finished(worker, says(net, alice, False, "deleted"))
        await reached(database, REPO, alice, False, "deleted", False)
        await reached(database, LIKES, alice, 0)
        assert net.services.requests.count() == 0
