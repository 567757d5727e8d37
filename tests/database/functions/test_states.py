"""How far a repo is complete and proven: the database judges as the rules of the chain do, and forged frames mark nothing."""

from hashlib import sha256
from itertools import product

import libipld
import pytest

from relay_simulator.encoding import cid_of, tid
from testing.chain import Stored, commit_failure, sync_failure
from testing.commits import LIKE, POST, START, Stream, did, post, put
from testing.database_side import Worker
from testing.model.states import MORE_TELLING_FIRST
from unified_indexer.database.functions.dead_letters import functions
from unified_indexer.database.functions.states import REASONS
from unified_indexer.database.write.apply import apply_one
from unified_indexer.database.write.batch import build
from unified_indexer.database.write.parameters import Mode
from unified_indexer.protocol.events import Commit, Sync, Unusable, Verdict
from unified_indexer.protocol.failures import Effect, Failure
from unified_indexer.protocol.mst_node import EMPTY_TREE

OLD, OURS, NEWER = (tid(minute * 60_000_000, 0) for minute in (1, 2, 3))
TREE, OTHER = cid_of(b"our tree"), cid_of(b"another tree")
STORED = [
    None,
    Stored(None, None, False),
    *(Stored(OURS, TREE, inductive) for inductive in (False, True)),
]
DOUBTS = [None, *(failure for failure in Failure if failure.effect in (Effect.DESYNCHRONISED, Effect.NOTED))]
STATE = "SELECT sync, sync_reason FROM unified_worker.repos WHERE did = $1"
WAITS = "SELECT unproven, unproven_at IS NOT NULL FROM unified_worker.repos WHERE did = $1"


def commit(rev: str, since: str | None = None, proof: Verdict | None = None, data: bytes = OTHER) -> Commit:
    return Commit(1, did("a"), rev, since, START, data, False, (), (), b"", proof=proof)


async def stands(worker: Worker, stored: Stored | None) -> None:
    """The repo as it is stored; None: nothing is known of it."""
    await worker.connection.execute("DELETE FROM unified_worker.repos")
    if stored is not None:
        await worker.connection.execute(
            "INSERT INTO unified_worker.repos (did, rev, data_cid, inductive) VALUES ($1, $2, $3, $4)",
            did("a"),
            stored.rev or "",
            None if stored.data is None else libipld.encode_cid(stored.data),
            stored.inductive,
        )


async def judged(worker: Worker, event: Commit | Sync) -> str | None:
    """What the database says of an event, and of its repo."""
    outcome = str(await apply_one(worker.connection, Mode.LIVE, build([event])))
    if outcome in ("stale", "rev_fork"):
        return "stale"
    found = await worker.connection.fetchrow(STATE, did("a"))
    assert found is not None
    assert tuple(found) in ((0, None), (2, outcome)), "the state has the name of what is wrong"
    return None if outcome == "applied" else outcome


@pytest.mark.promise(6)
async def test_a_commit_is_judged_as_the_chain_s_rules_say(worker: Worker) -> None:
    revs, sinces, earlier = (OLD, OURS, NEWER), (None, OLD, OURS), (None, TREE, OTHER)
    for stored, rev, since, before, doubt in product(STORED, revs, sinces, earlier, DOUBTS):
        await stands(worker, stored)
        proof = Verdict(before, doubt)
        expected = commit_failure(stored or Stored(None, None, False), rev, since, proof)
        assert await judged(worker, commit(rev, since, proof)) == expected, (stored, rev, since, before, doubt)


@pytest.mark.promise(6)
async def test_a_sync_is_judged_as_the_chain_s_rules_say(worker: Worker) -> None:
    for stored, rev, data in product(STORED, (OLD, OURS, NEWER), (TREE, OTHER)):
        await stands(worker, stored)
        expected = sync_failure(stored or Stored(None, None, False), rev, data)
        assert await judged(worker, Sync(1, did("a"), rev, START, data, b"", proof=Verdict())) == expected, (stored, rev, data)
        await stands(worker, stored)
        assert await judged(worker, Sync(1, did("a"), rev, START, data, b"")) == expected, "without proof the same"


@pytest.mark.promise(7)
@pytest.mark.promise(6)
async def test_once_proven_by_prev_data_a_repo_must_go_on_so(worker: Worker) -> None:
    first = Verdict(TREE, None, inductive=True)
    await worker.write(commit(OLD, None, first))
    assert await worker.write(commit(OURS, OLD, Verdict(None, Failure.LEGACY_COMMIT))) == ["downgraded_commit"]
    assert tuple(await worker.connection.fetchrow(STATE, did("a")) or ()) == (2, "downgraded_commit")


async def test_the_ratchet_never_goes_back(worker: Worker) -> None:
    await worker.write(commit(OLD, None, Verdict(TREE, None, inductive=True)))
    await worker.write(commit(OURS, OLD, Verdict(None, Failure.LEGACY_COMMIT)))
    assert await worker.write(commit(NEWER, OURS, Verdict(None, Failure.LEGACY_COMMIT))) == ["downgraded_commit"]


async def test_whose_records_began_with_an_empty_tree_is_complete(worker: Worker) -> None:
    await worker.write(commit(OLD, None, Verdict(EMPTY_TREE)))
    await worker.write(Stream().identity("b", "b.test"))
    await worker.write(commit(OLD, None, Verdict(EMPTY_TREE))._replace(repo=did("b")))
    await worker.write(commit(OLD, None, Verdict(TREE))._replace(repo=did("c")))
    assert await worker.column("SELECT sync FROM unified_worker.repos ORDER BY did") == [1, 1, 0]
    assert await worker.write(commit(OURS, OLD, Verdict(EMPTY_TREE))._replace(repo=did("c"))) == ["chain_broken"]


def test_reasons_are_those_that_anyone_would_expect() -> None:
    assert [reason for reason in REASONS if reason != "unknown"] == list(MORE_TELLING_FIRST)
    assert set(DOUBTS) - {None} <= set(REASONS)


async def test_a_reason_stays_until_one_comes_that_says_more(worker: Worker) -> None:
    await stands(worker, Stored(OURS, TREE, False))

    async def marked(reason: str) -> tuple[object, ...]:
        await worker.connection.execute("SELECT unified_worker.desynchronise($1, $2)", did("a"), reason)
        row = await worker.connection.fetchrow("SELECT sync, sync_reason, sync_at FROM unified_worker.repos")
        return tuple(row or ())

    _, _, began = first = await marked("inactive")
    assert first == (2, "inactive", began)
    assert began is not None
    assert await marked("legacy_commit") == (2, "inactive", began)
    assert await marked("chain_broken") == (2, "chain_broken", began)
    assert await marked("refused") == (2, "chain_broken", began)
    await worker.connection.execute("UPDATE unified_worker.repos SET sync = 3")
    assert await marked("refused") == (2, "chain_broken", began), "what comes now, the repair has not fetched"
    await worker.connection.execute("UPDATE unified_worker.repos SET sync = 1, sync_reason = NULL, sync_at = now()")
    state, reason, again = await marked("refused")
    assert (state, reason) == (2, "refused")
    assert again != began


async def waiting(worker: Worker) -> tuple[object, ...]:
    return tuple(await worker.connection.fetchrow(WAITS, did("a")) or ())


@pytest.mark.promise(6)
async def test_a_proven_commit_proves_all_before_it_only_if_nothing_is_missing_in_between(worker: Worker) -> None:
    await worker.write(commit(OLD, None, Verdict(TREE, unproven=b"first"), data=TREE))
    assert await waiting(worker) == (b"first", True)
    since = await worker.value("SELECT unproven_at FROM unified_worker.repos")
    await worker.write(commit(OURS, OLD, Verdict(TREE, unproven=b"second"), data=TREE))
    assert await waiting(worker) == (b"second", True), "the newest is enough"
    assert await worker.value("SELECT unproven_at FROM unified_worker.repos") == since, "since the first of them"
    last = tid(4 * 60_000_000, 0)
    for kept in (
        commit(NEWER, OURS, None, data=TREE),
        commit(NEWER, OURS, Verdict(TREE), data=TREE),
        commit(NEWER, OURS, Verdict(OTHER, inductive=True), data=TREE),
        commit(NEWER, OLD, Verdict(TREE, inductive=True), data=TREE),
        commit(NEWER, OURS, Verdict(TREE, Failure.MISSING_TREE_BLOCK), data=TREE),
    ):
        async with worker.connection.transaction():
            await apply_one(worker.connection, Mode.LIVE, build([kept]))
            assert await waiting(worker) == (b"second", True), kept
            await worker.connection.execute(
                "UPDATE unified_worker.repos SET rev = $1, data_cid = $2", OURS, libipld.encode_cid(TREE)
            )
    await worker.write(commit(last, OURS, Verdict(TREE, inductive=True)))
    assert await waiting(worker) == (None, False)


async def test_a_key_that_came_settles_the_newest_commit_alone(worker: Worker) -> None:
    proven, forged = "SELECT unified_worker.settle_proven($1, $2)", "SELECT unified_worker.settle_forged($1, $2, $3)"
    await worker.write(commit(OLD, None, Verdict(TREE, unproven=b"first")))
    assert not await worker.value(proven, did("a"), b"another")
    assert not await worker.value(forged, did("a"), b"another", "bad_signature")
    assert await waiting(worker) == (b"first", True)
    assert await worker.value(proven, did("a"), b"first")
    assert await waiting(worker) == (None, False)
    assert (await worker.connection.fetchrow(STATE, did("a"))) == (0, None)
    await worker.write(commit(OURS, OLD, Verdict(OTHER, unproven=b"second")))
    assert await worker.value(forged, did("a"), b"second", "bad_signature")
    assert await waiting(worker) == (None, False)
    assert (await worker.connection.fetchrow(STATE, did("a"))) == (2, "bad_signature")


def forged(rev: str | None, frame: bytes = b"forged", *, name: str = "a", reason: str = "bad_signature") -> Unusable:
    return Unusable(9, did(name), rev, START, (f"{LIKE}/1", f"{POST}/1"), reason, "", frame, marks=False)


@pytest.mark.promise(6)
async def test_a_forged_commit_marks_nothing_and_says_nothing_of_the_next(worker: Worker) -> None:
    def honest(rev: str, since: str) -> Commit:
        return commit(rev, since, Verdict(TREE, inductive=True), data=TREE)

    row = "SELECT r FROM unified_worker.repos AS r"
    await worker.write(commit(OLD, None, Verdict(OTHER, inductive=True), data=TREE))
    before = await worker.value(row)
    for rev in (NEWER, None):
        assert await worker.write(forged(rev)) == ["applied"]
        assert await worker.value(row) == before
    assert await worker.write(forged(OLD)) == ["stale"]
    assert await worker.write(honest(OURS, OLD)) == ["applied"], "as if it had not come"
    await worker.write(forged(tid(5 * 60_000_000, 0)))
    assert await worker.write(honest(NEWER, tid(5 * 60_000_000, 0))) == ["chain_broken"], "it hides nothing that is missing"
    assert await worker.write(forged(NEWER, name="nobody")) == ["applied"]
    assert await worker.value("SELECT count(*) FROM unified_worker.repos") == 1, "who does not exist has no repo"


async def refusing(worker: Worker, stream: Stream) -> Commit:
    """A commit that the database refuses, of a repo that stands at OURS and TREE, complete."""
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'no')")
    await stands(worker, Stored(OURS, TREE, True))
    await worker.connection.execute("UPDATE unified_worker.repos SET sync = 1")
    return stream.commit("a", put(f"{POST}/1", post() | {"text": "no"}))


@pytest.mark.promise(7)
@pytest.mark.parametrize("before", ["theirs", "another", "unknown"])
async def test_what_follows_on_a_refused_commit_starts_from_its_tree(worker: Worker, before: str) -> None:
    """Nobody has signed `since`: alone it does not say that nothing was left out."""
    stream = Stream()
    refused = (await refusing(worker, stream))._replace(since=OURS, proof=Verdict(TREE, inductive=True))
    assert await worker.write(refused) == ["refused:23514"]
    assert tuple(await worker.connection.fetchrow(STATE, did("a")) or ()) == (2, "refused")
    tree = {"theirs": refused.data, "another": OTHER, "unknown": None}[before]
    after = stream.commit("a", put(f"{POST}/2", post()))._replace(since=refused.rev, proof=Verdict(tree))
    assert await worker.write(after) == ["chain_broken" if before == "another" else "applied"]


@pytest.mark.promise(7)
@pytest.mark.parametrize("gap", [False, True])
async def test_a_refused_commit_hides_no_gap_before_it(worker: Worker, gap: bool) -> None:
    """Once it is applied, the repo is whole again only if nothing was missing before it."""
    refused = (await refusing(worker, Stream()))._replace(since=OURS, proof=Verdict(OTHER if gap else TREE, inductive=True))
    assert await worker.write(refused) == ["refused:23514"]
    assert tuple(await worker.connection.fetchrow(STATE, did("a")) or ()) == (2, "chain_broken" if gap else "refused")
    await worker.connection.execute("ALTER TABLE posts DROP CONSTRAINT posts_text_check")
    await apply_one(worker.connection, Mode.RETRY, build([refused]))
    assert tuple(await worker.connection.fetchrow(STATE, did("a")) or ()) == ((2, "chain_broken") if gap else (1, None))


@pytest.mark.promise(2)
async def test_a_forged_commit_replaces_and_closes_no_letter(worker: Worker) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> 'no')")
    stream = Stream()
    refused = stream.commit("a", put(f"{POST}/1", post() | {"text": "no"}))
    assert await worker.write(refused) == ["refused:23514"]
    assert await worker.write(forged(refused.rev), forged(refused.rev)) == ["applied"] * 2
    rows = await worker.connection.fetch("SELECT path, reason, forged, attempts FROM unified_worker.dead_letters ORDER BY id")
    name = sha256(b"forged").hexdigest()
    assert [tuple(row) for row in rows] == [
        (f"{POST}/1", "database_23514", False, 1),
        (name, "bad_signature", True, 2),
    ]
    assert await worker.column("SELECT frame FROM unified_worker.dead_frames ORDER BY length(frame)") == [
        b"forged",
        refused.frame,
    ]


@pytest.mark.promise(5)
async def test_forged_frames_have_little_room_and_take_none_from_others(worker: Worker) -> None:
    await worker.connection.execute(";".join(functions(letters=2, frames_bytes=1_000)))
    sent = [forged(NEWER, bytes([number]) * 10) for number in range(4)]
    assert await worker.write(*sent) == ["applied", "applied", "frame_dropped", "frame_dropped"]
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_letters") == 2, "nothing at all is kept of the others"
    assert await worker.write(forged(NEWER, b"x" * 481, name="b")) == ["frame_dropped"], "half of the room is for others"
    assert await worker.write(forged(NEWER, b"x" * 480, name="b")) == ["applied"]
    honest = forged(NEWER, b"y" * 400)._replace(marks=True)
    assert await worker.write(honest) == ["applied"]
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_letters WHERE NOT forged AND frame_sha256 IS NULL") == 0


async def test_what_was_believed_stale_moves_nothing(worker: Worker) -> None:
    believed = commit(NEWER, None, Verdict(doubt=Failure.STALE))
    assert await worker.write(believed) == ["stale"]
    assert await worker.value("SELECT count(*) FROM unified_worker.repos") == 0
