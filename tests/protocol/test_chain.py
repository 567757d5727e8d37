import pytest

from relay_simulator.encoding import cid_of
from relay_simulator.repository import written
from testing.chain import Stored, commit_failure, sync_failure
from testing.signed import Payload, SignedRepo, blocks_of
from unified_indexer.protocol.chain import verdict
from unified_indexer.protocol.events import Verdict
from unified_indexer.protocol.failures import Effect, Failure
from unified_indexer.protocol.proof import prove, read_claim

LIKE = "app.bsky.feed.like"
OTHER = cid_of(b"another tree")


@pytest.fixture
def repo() -> SignedRepo:
    repo = SignedRepo()
    following(repo)
    return repo


def stored_of(repo: SignedRepo, *, inductive: bool = True) -> Stored:
    return Stored(repo.account.rev, repo.account.data, inductive)


def following(repo: SignedRepo) -> Payload:
    """The repo's next commit."""
    return repo.commit(written("create", LIKE, f"k{repo.account.rev}", {"$type": LIKE}))


def judged(repo: SignedRepo, stored: Stored, payload: Payload, *, full: bool = True) -> Failure | None:
    claim = read_claim(payload)
    proven = verdict(claim, prove(claim, blocks_of(payload), repo.key, full=full))
    return commit_failure(stored, claim.rev, claim.since, proven)


@pytest.mark.parametrize("full", [True, False])
def test_the_next_commit_fits(repo: SignedRepo, full: bool) -> None:
    stored = stored_of(repo)
    assert judged(repo, stored, following(repo), full=full) is None
    assert judged(repo, Stored(None, None, False), following(repo), full=full) is None
    rev = repo.account.rev
    assert judged(repo, Stored(rev, None, True), following(repo), full=full) is None


def test_a_commit_that_is_not_newer_is_stale(repo: SignedRepo) -> None:
    payload = following(repo)
    assert judged(repo, stored_of(repo), payload) is Failure.STALE
    following(repo)
    assert judged(repo, stored_of(repo), payload) is Failure.STALE
    assert Failure.STALE.effect is Effect.IGNORED


@pytest.mark.parametrize("full", [True, False])
def test_a_withheld_commit_breaks_the_chain(repo: SignedRepo, full: bool) -> None:
    stored = stored_of(repo)
    following(repo)
    payload = following(repo)
    assert judged(repo, stored, payload, full=full) is Failure.CHAIN_BROKEN
    assert judged(repo, stored, {**payload, "since": stored.rev}, full=full) is Failure.CHAIN_BROKEN
    assert judged(repo, stored._replace(data=payload["prevData"]), payload, full=full) is Failure.CHAIN_BROKEN
    assert judged(repo, stored._replace(rev=payload["since"], data=OTHER), payload, full=full) is Failure.CHAIN_BROKEN


def test_prev_data_rewritten_to_ours_does_not_hide_a_withheld_commit(repo: SignedRepo) -> None:
    stored = stored_of(repo)
    following(repo)
    forged = {**following(repo), "since": stored.rev, "prevData": stored.data}
    assert judged(repo, stored, forged) is Failure.TREE_MISMATCH


def test_once_inductive_a_repo_never_goes_back(repo: SignedRepo) -> None:
    old, new = stored_of(repo, inductive=False), stored_of(repo)
    stripped = {**following(repo), "prevData": None}
    assert judged(repo, old, stripped) is Failure.LEGACY_COMMIT
    assert judged(repo, new, stripped) is Failure.DOWNGRADED_COMMIT
    assert judged(repo, new, {**stripped, "since": None}) is Failure.DOWNGRADED_COMMIT


def test_the_ratchet_is_set_by_a_proven_prev_data_alone(repo: SignedRepo) -> None:
    payload = following(repo)

    def proven(told: Payload, *, known: bool = True) -> Verdict:
        claim = read_claim(told)
        return verdict(claim, prove(claim, blocks_of(told), repo.key if known else None))

    assert proven(payload) == Verdict(payload["prevData"], None, inductive=True)
    assert not proven(payload, known=False).inductive
    assert not proven({**payload, "prevData": None}).inductive
    assert not proven({**payload, "prevData": OTHER}).inductive


def test_what_awaits_its_key_comes_with_its_commit_block(repo: SignedRepo) -> None:
    payload = following(repo)
    claim = read_claim(payload)
    proven = verdict(claim, prove(claim, blocks_of(payload), None))
    assert proven.unproven is not None
    assert cid_of(proven.unproven) == payload["commit"]


def test_a_sync_with_our_tree_moves_the_rev_and_another_marks_the_repo(repo: SignedRepo) -> None:
    stored = stored_of(repo)
    assert sync_failure(stored, "3zzzzzzzzzzzz", repo.account.data) is None
    assert sync_failure(Stored(None, None, False), "3zzzzzzzzzzzz", OTHER) is None
    assert sync_failure(stored, "3zzzzzzzzzzzz", OTHER) is Failure.SYNC_DIFFERS
    assert sync_failure(stored, str(repo.account.rev), OTHER) is Failure.STALE
    assert Failure.SYNC_DIFFERS.effect is Failure.CHAIN_BROKEN.effect is Effect.DESYNCHRONISED
