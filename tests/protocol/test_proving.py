"""From a decoded event to what may be applied of it."""

import pytest

from relay_simulator.encoding import car, car_section, cid_of, encode
from relay_simulator.repository import Draft, written
from testing.signed import Payload, SignedRepo, blocks_of
from unified_indexer.protocol.events import Commit, Sync, Unusable, Verdict
from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.proving import assumed_stale, did_of, proven

LIKE = "app.bsky.feed.like"
EXTRA: Payload = {"seq": 5, "time": "2026-07-01T12:00:00.000Z", "tooBig": False}


def like(rkey: str, text: str = "", action: str = "create") -> Draft:
    return written(action, LIKE, rkey, {"$type": LIKE, "text": text})


def event_of(payload: Payload) -> Commit:
    whole: Payload = EXTRA | payload
    event = decode(encode({"op": 1, "t": "#commit"}) + encode(whole), claims=True)
    assert isinstance(event, Commit), event
    return event


def sync_of(repo: SignedRepo, rev: str, block: bytes) -> Sync:
    root = cid_of(block)
    payload = {"seq": 6, "did": repo.did, "rev": rev, "time": EXTRA["time"], "blocks": car(root, [car_section(root, block)])}
    event = decode(encode({"op": 1, "t": "#sync"}) + encode(payload))
    assert isinstance(event, Sync), event
    return event


@pytest.fixture
def repo() -> SignedRepo:
    repo = SignedRepo()
    repo.commit(*(like(rkey) for rkey in "abcd"))
    return repo


def test_a_proven_commit_goes_on_with_its_verdict_and_without_its_blocks(repo: SignedRepo) -> None:
    payload = repo.commit(like("e"), like("b", "changed", "update"))
    event = event_of(payload)
    found = proven(event, repo.key, full=True)
    assert found == event._replace(blocks={}, proof=Verdict(payload["prevData"], None, True, None))


def test_without_a_key_the_commit_block_is_kept_to_be_checked_later(repo: SignedRepo) -> None:
    payload = repo.commit(like("e"))
    found = proven(event_of(payload), None, full=True)
    assert isinstance(found, Commit)
    assert found.proof == Verdict(payload["prevData"], None, False, blocks_of(payload)[payload["commit"]])


@pytest.mark.promise(7)
def test_what_another_key_signed_is_refused_whole_and_marks_nothing(repo: SignedRepo) -> None:
    event = event_of(repo.commit(like("e"), like("f")))
    found = proven(event, SignedRepo(1).key, full=True)
    assert isinstance(found, Unusable)
    assert (found.reason, found.marks, found.frame, found.rev) == (Failure.BAD_SIGNATURE, False, event.frame, event.rev)
    assert (found.did, found.seq, found.paths) == (repo.did, 5, (f"{LIKE}/e", f"{LIKE}/f"))


def test_ops_that_the_blocks_do_not_show_are_refused_one_by_one() -> None:
    repo = SignedRepo(history=400)
    payload = repo.commit(like("e"))
    blocks = blocks_of(payload)
    record = payload["ops"][0]["cid"]
    kept = [block for cid, block in blocks.items() if cid in (record, payload["commit"])]  # no node of the tree
    event = event_of({**payload, "blocks": car(payload["commit"], [car_section(cid_of(block), block) for block in kept])})
    found = proven(event, repo.key, full=True)
    assert isinstance(found, Commit)
    assert found.ops == ()
    assert [(op.path, op.reason) for op in found.refused] == [(f"{LIKE}/e", Failure.MISSING_TREE_BLOCK)]
    assert found.proof == Verdict(payload["prevData"], Failure.MISSING_TREE_BLOCK, False, None)


def test_a_sync_is_proven_by_its_commit_block(repo: SignedRepo) -> None:
    rev = repo.account.next_tid(1_782_907_300_000_000)
    sync = sync_of(repo, rev, repo.commit_block(rev, repo.account.data))
    assert proven(sync, repo.key, full=True) == sync._replace(proof=Verdict())
    assert proven(sync, None, full=True) == sync._replace(proof=Verdict(unproven=sync.commit_block))
    forged = proven(sync, SignedRepo(1).key, full=True)
    assert isinstance(forged, Unusable)
    assert (forged.reason, forged.paths, forged.marks) == (Failure.BAD_SIGNATURE, (), False)


def test_what_is_assumed_to_be_stale_carries_nothing_that_could_be_applied(repo: SignedRepo) -> None:
    event = event_of(repo.commit(like("e")))
    stale = assumed_stale(event)
    assert isinstance(stale, Commit)
    assert (stale.ops, stale.refused, stale.blocks, stale.proof) == ((), (), {}, Verdict(doubt=Failure.STALE))
    assert did_of(stale) == repo.did
