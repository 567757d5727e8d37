"""Letters that wait for a key: each account's are applied in the order in which it wrote them."""

from hashlib import sha256

from relay_simulator.encoding import frame, time_text
from testing.database_side import Worker
from testing.signed import Payload, SignedRepo
from testing.verified import like
from unified_indexer.database.dead_letters import unproven
from unified_indexer.database.dead_letters.retry import SUPERSEDED
from unified_indexer.protocol.events import Commit, Unusable
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.proving import Provable, proven, refused
from unified_indexer.selection import EVERYTHING


def commits(repo: SignedRepo, rkeys: str) -> list[Commit]:
    """The next commits of a repo, a like each."""
    found: list[Commit] = []
    for seq, rkey in enumerate(rkeys, 1):
        payload = repo.commit(like(rkey))
        common: Payload = {"seq": seq, "time": time_text(repo.now), "blobs": [], "tooBig": False}
        event = decode(frame("#commit", common | payload), claims=True)
        assert isinstance(event, Commit)
        found.append(event)
    return found


def kept(event: Commit) -> Unusable:
    return refused(event, Failure.UNPROVEN)


async def retry(worker: Worker, repo: SignedRepo) -> None:
    def judged(event: Provable) -> Provable | Unusable:
        return proven(event, repo.key, full=True)

    await unproven.retry_letters(worker.connection, [repo.did], [], EVERYTHING, judged)


async def test_letters_are_applied_in_the_order_of_their_revs(worker: Worker) -> None:
    """Two lanes' or two sessions' letters come in any order; what is applied late is out of date."""
    repo = SignedRepo()
    first, second, third = commits(repo, "abc")
    await worker.write(kept(second), kept(third), kept(first))
    await retry(worker, repo)
    assert await worker.letters() == []
    assert await worker.column("SELECT right(uri, 1) FROM likes ORDER BY 1") == ["a", "b", "c"]
    assert await worker.value("SELECT rev FROM unified_worker.repos") == third.rev


async def test_what_came_too_late_says_so_and_is_tried_no_more(worker: Worker) -> None:
    repo = SignedRepo()
    first, second = commits(repo, "ab")
    newer = proven(second, repo.key, full=True)
    await worker.write(kept(first), newer)
    await retry(worker, repo)
    path = sha256(first.frame).hexdigest()
    assert await worker.letters() == [(path, "superseded", SUPERSEDED.why, 1)]
    assert await unproven.accounts_of_letters(worker.connection, "") == []
    await retry(worker, repo)
    assert await worker.value("SELECT attempts FROM unified_worker.dead_letters") == 1
    assert await worker.column("SELECT right(uri, 1) FROM likes") == ["b"]
