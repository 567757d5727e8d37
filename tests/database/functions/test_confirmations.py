"""What a relay alone says of an account is confirmed before anything is lost by it: deletions, and commits of the inactive."""

from collections.abc import AsyncGenerator
from datetime import datetime

import pytest

from testing.commits import POST, PROFILE, Stream, did, post, profile, put
from testing.database_side import Worker, opened
from unified_indexer.database.background.wiper import Wiper

REPO = "SELECT active, status, wiping, sync_reason IS NOT NULL FROM unified_worker.repos WHERE did = $1"
SINCE = "SELECT since FROM unified_worker.deletions WHERE did = $1"
CONFIRM = "SELECT unified_worker.confirm_deletion($1, $2)"
DENY = "SELECT unified_worker.deny_deletion($1, $2, $3, $4)"
REACTIVATE = "SELECT unified_worker.reactivate($1, $2)"
HANDLES = "SELECT right(did, 1), handle FROM users ORDER BY 1"


@pytest.fixture
async def confirming(database: str) -> AsyncGenerator[Worker]:
    """A worker that confirms what relays say."""
    async with opened(database, confirm=True) as worker:
        yield worker


async def said_deleted(worker: Worker, stream: Stream, name: str) -> datetime:
    """The account has a post and a handle, and a relay says that it is deleted."""
    await worker.write(stream.identity(name, f"{name}.test"), stream.commit(name, put(f"{POST}/1", post())))
    assert await worker.write(stream.account(name, False, "deleted")) == ["applied"]
    return await worker.value(SINCE, did(name))


async def repo(worker: Worker, name: str) -> tuple[object, ...]:
    row = await worker.connection.fetchrow(REPO, did(name))
    assert row is not None
    return tuple(row)


async def wiped(worker: Worker) -> None:
    wiper = Wiper(worker.pool)
    while await wiper.turn():
        pass


@pytest.mark.promise(2)
async def test_a_deletion_hides_at_once_and_takes_nothing_before_it_is_confirmed(confirming: Worker) -> None:
    worker, stream = confirming, Stream()
    since = await said_deleted(worker, stream, "a")
    await wiped(worker)
    assert await repo(worker, "a") == (False, "deletion_unconfirmed", False, False)
    assert await worker.value("SELECT count(*) FROM posts") == 1
    assert dict(await worker.connection.fetch(HANDLES)) == {"a": "a.test"}, "its handle is no booty"
    assert await worker.write(stream.commit("a", put(f"{POST}/2", post()))) == ["inactive"]

    assert await worker.value(CONFIRM, did("a"), since)
    assert await repo(worker, "a") == (False, "deleted", True, True)
    await wiped(worker)
    assert await worker.value("SELECT count(*) FROM posts") == 0
    assert dict(await worker.connection.fetch(HANDLES)) == {"a": "handle.invalid"}
    assert await worker.value("SELECT count(*) FROM unified_worker.deletions") == 0


@pytest.mark.parametrize(("active", "status", "shown"), [(True, None, True), (False, "takendown", False)])
async def test_a_deletion_that_is_denied_takes_nothing(
    confirming: Worker, active: bool, status: str | None, shown: bool
) -> None:
    worker, stream = confirming, Stream()
    since = await said_deleted(worker, stream, "a")
    assert await worker.value(DENY, did("a"), since, active, status)
    assert await repo(worker, "a") == (shown, status, False, False)
    await wiped(worker)
    assert await worker.value("SELECT count(*) FROM posts") == 1
    assert await worker.write(stream.commit("a", put(f"{POST}/2", post()))) == ["applied" if shown else "inactive"]
    assert not await worker.value(CONFIRM, did("a"), since), "it is no longer asked about"


async def test_an_answer_about_an_earlier_deletion_decides_nothing(confirming: Worker) -> None:
    worker, stream = confirming, Stream()
    since = await said_deleted(worker, stream, "a")
    await worker.write(stream.account("a", True))
    assert not await worker.value(CONFIRM, did("a"), since)
    assert await repo(worker, "a") == (True, None, False, False)
    await worker.write(stream.account("a", False, "deleted"))
    for query in (CONFIRM, DENY.replace("$3, $4", "true, NULL")):
        assert not await worker.value(query, did("a"), since)
    assert await repo(worker, "a") == (False, "deletion_unconfirmed", False, False)
    assert await worker.write(stream.account("a", False, "deleted")) == ["applied"]
    assert await worker.value("SELECT count(*) FROM unified_worker.deletions") == 1


async def test_of_whom_nothing_is_stored_nothing_is_asked(confirming: Worker) -> None:
    """So that made-up accounts do not make the others wait."""
    worker, stream = confirming, Stream()
    await worker.write(stream.account("nobody", False, "deleted"))
    assert await worker.value("SELECT count(*) FROM unified_worker.deletions") == 0
    assert (await repo(worker, "nobody"))[:2] == (False, "deleted")


async def test_an_account_that_was_deleted_stays_so_when_it_is_said_again(confirming: Worker) -> None:
    worker, stream = confirming, Stream()
    since = await said_deleted(worker, stream, "a")
    assert await worker.value(CONFIRM, did("a"), since)
    await wiped(worker)
    await worker.write(stream.account("a", False, "deleted"))
    assert (await repo(worker, "a"))[:2] == (False, "deleted")
    assert await worker.value("SELECT count(*) FROM unified_worker.deletions") == 0


async def test_without_confirmation_a_deletion_counts_at_once(worker: Worker) -> None:
    stream = Stream()
    assert await said_deleted(worker, stream, "a") is None
    assert await repo(worker, "a") == (False, "deleted", True, True)


async def test_an_account_whose_own_server_says_that_it_is_active_is_so_again(confirming: Worker) -> None:
    worker, stream = confirming, Stream()
    await worker.write(stream.commit("a", put(f"{POST}/1", post())), message := stream.account("a", False, "deactivated"))
    assert await worker.write(stream.commit("a", put(f"{POST}/2", post()))) == ["inactive"]
    assert not await worker.value(REACTIVATE, did("a"), message.seq - 1), "another #account came meanwhile"
    assert await worker.value(REACTIVATE, did("a"), message.seq)
    assert await repo(worker, "a") == (True, None, False, True), "what was left out is missing"
    assert await worker.write(stream.commit("a", put(f"{POST}/3", post()))) == ["applied"]
    assert not await worker.value(REACTIVATE, did("a"), message.seq)


async def test_who_returns_from_a_deletion_stands_behind_those_that_claimed_its_handle(confirming: Worker) -> None:
    worker, stream = confirming, Stream()
    since = await said_deleted(worker, stream, "a")
    assert await worker.value(CONFIRM, did("a"), since)
    await worker.write(stream.commit("b", put(f"{PROFILE}/self", profile("B"))), stream.identity("b", "a.test"))
    seq = await worker.value("SELECT account_seq FROM unified_worker.repos WHERE did = $1", did("a"))
    assert await worker.value(REACTIVATE, did("a"), seq)
    assert dict(await worker.connection.fetch(HANDLES)) == {"a": "handle.invalid", "b": "a.test"}
