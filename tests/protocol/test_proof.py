import json
from typing import Any

import libipld
import pytest

from relay_simulator.encoding import cid_of, encode, signed_commit
from relay_simulator.repository import Draft, written
from testing import search_tree
from testing.frames import DATA, needs_recorded, recorded
from testing.signed import K256, P256, Payload, SignedRepo, blocks_of, with_commit_block
from unified_indexer.errors import Rejected
from unified_indexer.protocol.failures import Effect, Failure
from unified_indexer.protocol.keys import SigningKey, signing_key
from unified_indexer.protocol.proof import Proof, prove, prove_sync, read_claim

LIKE, POST = "app.bsky.feed.like", "app.bsky.feed.post"
OTHER = cid_of(b"another record")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
K256_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def like(rkey: str, text: str = "", action: str = "create") -> Draft:
    return written(action, LIKE, rkey, {"$type": LIKE, "text": text})


def delete(rkey: str) -> Draft:
    return Draft("delete", LIKE, rkey)


def proof_of(payload: Payload, key: SigningKey | None, *, full: bool = True, blocks: dict[bytes, bytes] | None = None) -> Proof:
    return prove(read_claim(payload), blocks_of(payload) if blocks is None else blocks, key, full=full)


def refusal(payload: Payload, key: SigningKey | None, **how: Any) -> Failure:
    with pytest.raises(Rejected) as caught:
        proof_of(payload, key, **how)
    failure = Failure(caught.value.reason)
    assert failure.effect is Effect.REFUSED
    return failure


@pytest.fixture
def repo() -> SignedRepo:
    """With four likes of its own: a to d."""
    repo = SignedRepo()
    repo.commit(*(like(rkey) for rkey in "abcd"))
    return repo


def mixed(repo: SignedRepo) -> Payload:
    """A create, an update and a delete."""
    return repo.commit(like("e"), like("b", "changed", "update"), delete("c"))


@pytest.mark.parametrize("number", [K256, P256])
@pytest.mark.parametrize("full", [True, False])
def test_an_honest_commit_is_proven(number: int, full: bool) -> None:
    repo = SignedRepo(number)
    first = repo.commit(like("b"), like("c"))
    assert proof_of(first, repo.key, full=full).failure is None
    payload = mixed(repo)
    proof = proof_of(payload, repo.key, full=full)
    assert (proof.data, proof.failure, proof.unproven, proof.signed) == (repo.account.data, None, (), True)
    assert proof.before == (payload["prevData"] if full else None)
    assert proof_of({**payload, "ops": payload["ops"][::-1]}, repo.key).failure is None


@needs_recorded
def test_recorded_commits_are_proven() -> None:
    documents = json.loads((DATA / "real_frames/did_docs.json").read_text())
    for frame in recorded("real_frames/frames.bin"):
        payload: Any = libipld.decode_dag_cbor_multi(frame)[1]
        key = signing_key(payload["repo"], documents[payload["repo"]])
        for full in (True, False):
            assert proof_of(payload, key, full=full).failure is None


@pytest.mark.parametrize("full", [True, False])
def test_a_commit_without_ops_moves_the_rev_alone(repo: SignedRepo, full: bool) -> None:
    payload = repo.commit()
    assert proof_of(payload, repo.key, full=full).failure is None
    assert refusal({**payload, "rev": "3zzzzzzzzzzzz"}, repo.key) is Failure.REV_MISMATCH
    assert proof_of({**payload, "prevData": OTHER}, repo.key).failure is Failure.TREE_MISMATCH


def test_the_first_commit_of_an_account_begins_with_the_empty_tree() -> None:
    repo = SignedRepo(history=0)
    payload = repo.commit(like("a"))
    del payload["prevData"]
    assert payload["since"] is None
    assert proof_of(payload, repo.key).before == search_tree.build({})[0]
    later = {**repo.commit(like("b")), "prevData": None, "since": None}
    assert proof_of(later, repo.key).failure is Failure.LEGACY_COMMIT


def edited(payload: Payload, number: int, **fields: Any) -> Payload:
    ops = [dict(op) for op in payload["ops"]]
    ops[number].update(fields)
    return {**payload, "ops": ops}


def test_ops_that_prove_nothing_are_refused_by_name(repo: SignedRepo) -> None:
    payload = mixed(repo)
    create, update, _ = payload["ops"]
    assert refusal({**payload, "ops": [*payload["ops"], create]}, repo.key) is Failure.DUPLICATE_PATH
    assert refusal(edited(payload, 2, cid=OTHER), repo.key) is Failure.DELETE_WITH_CID
    assert refusal(edited(payload, 0, prev=OTHER), repo.key) is Failure.CREATE_WITH_PREV
    assert refusal(edited(payload, 1, prev=update["cid"]), repo.key) is Failure.UNCHANGED_UPDATE
    again = {"action": "update", "path": f"{LIKE}/a", "cid": OTHER, "prev": OTHER}  # a record that nobody wrote now
    assert refusal({**payload, "ops": [*payload["ops"], again]}, repo.key) is Failure.UNCHANGED_UPDATE


@pytest.mark.parametrize(
    "op",
    [
        None,
        [],
        {},
        {"path": 5, "action": "create", "cid": OTHER},
        {"path": "a/" + "b" * 1023, "action": "create", "cid": OTHER},
        {"path": "a/b", "action": [], "cid": OTHER},
        {"path": "a/b", "action": "move", "cid": OTHER},
        {"path": "a/b", "action": "create", "cid": None},
        {"path": "a/b", "action": "update", "cid": b"\x01\x55\x12\x20" + bytes(32)},
        {"path": "a/b", "action": "create", "cid": "text"},
    ],
)
def test_an_op_that_says_nothing_is_refused(repo: SignedRepo, op: Any) -> None:
    assert refusal({**mixed(repo), "ops": [op]}, repo.key) is Failure.BAD_OP


def test_what_the_commit_block_says_must_be_what_the_message_says(repo: SignedRepo) -> None:
    payload = mixed(repo)
    other = SignedRepo(1)
    assert refusal({**payload, "repo": other.did}, repo.key) is Failure.DID_MISMATCH
    assert refusal({**payload, "rev": "3zzzzzzzzzzzz"}, repo.key) is Failure.REV_MISMATCH
    assert refusal({**payload, "commit": OTHER}, repo.key) is Failure.MISSING_COMMIT_BLOCK
    sound: Any = libipld.decode_dag_cbor(blocks_of(payload)[payload["commit"]])
    for block, name in (
        (encode({**sound, "version": 2}), Failure.UNSUPPORTED_REPO_VERSION),
        (encode({**sound, "data": None}), Failure.BAD_COMMIT_BLOCK),
        (encode([1]), Failure.BAD_COMMIT_BLOCK),
        (b"\xff", Failure.BAD_COMMIT_BLOCK),
    ):
        forged, blocks = with_commit_block(payload, block)
        assert refusal(forged, repo.key, blocks=blocks) is name


def test_ops_that_the_signed_tree_does_not_show_are_refused(repo: SignedRepo) -> None:
    payload = mixed(repo)
    false_delete = {"action": "delete", "path": f"{LIKE}/a", "cid": None, "prev": OTHER}
    for full in (True, False):
        assert refusal(edited(payload, 0, cid=OTHER), repo.key, full=full) is Failure.OP_NOT_IN_TREE
        assert refusal(edited(payload, 0, path=f"{LIKE}/z"), repo.key, full=full) is Failure.OP_NOT_IN_TREE
        told = {**repo.commit(like("f")), "ops": [false_delete]}
        blocks = blocks_of(told) | blocks_of(repo.commit(like("a", "new", "update")))
        last = repo.commit(like("a", "newer", "update"))
        forged = {**last, "ops": [false_delete]}
        assert refusal(forged, repo.key, full=full, blocks=blocks | blocks_of(last)) is Failure.DELETED_STILL_THERE


def test_hidden_and_false_ops_make_another_tree(repo: SignedRepo) -> None:
    """All ops are in the signed tree, yet are not what happened: applied, as far as they are proven, and the repo is marked."""
    payload = mixed(repo)
    blocks = blocks_of(payload) | blocks_of(repo.commit(like("a", "x", "update")))
    untouched = {"action": "create", "path": f"{LIKE}/d", "cid": like("d").cid}
    for name, forged in {
        "hidden": {**payload, "ops": payload["ops"][1:]},
        "a false prev": edited(payload, 1, prev=OTHER),
        "a create told as an update": edited(payload, 0, action="update", prev=OTHER),
        "another prevData": {**payload, "prevData": OTHER},
        "a record that was there, told as created": {**payload, "ops": [*payload["ops"], untouched]},
    }.items():
        proof = proof_of(forged, repo.key, blocks=blocks | blocks_of(payload))
        assert (proof.failure, proof.unproven, proof.before) == (Failure.TREE_MISMATCH, (), None), name
    assert Failure.TREE_MISMATCH.effect is Effect.DESYNCHRONISED


def test_a_tree_built_wrong_is_refused(repo: SignedRepo) -> None:
    """Signed by the account's own key, the new key on a wrong layer."""
    payload = repo.commit(like("e"))
    create = payload["ops"][0]
    key = create["path"].encode()
    records = {b"app.bsky.feed.like/%d" % n: OTHER for n in range(50)}
    before = search_tree.build(records)[0]
    root, nodes = search_tree.build(
        {**records, key: create["cid"]}, layer=lambda one: 6 if one == key else search_tree.layer_of(one)
    )
    forged, blocks = with_commit_block({**payload, "prevData": before}, repo.commit_block(payload["rev"], root))
    assert refusal(forged, repo.key, blocks=blocks | nodes) is Failure.BAD_TREE


def test_blocks_that_are_left_out_are_told_and_what_is_shown_is_proven(repo: SignedRepo) -> None:
    payload = repo.commit(like("e"), like("b", "changed", "update"), delete("c"), written("create", POST, "a", {"$type": POST}))
    blocks = blocks_of(payload)
    missing: set[tuple[int, ...]] = set()
    for full in (True, False):
        for left_out in blocks.keys() - {payload["commit"]}:
            proof = proof_of(payload, repo.key, full=full, blocks={cid: blocks[cid] for cid in blocks if cid != left_out})
            assert proof.failure in (None, Failure.MISSING_TREE_BLOCK)
            assert proof.failure or not proof.unproven
            assert proof.before == (payload["prevData"] if full and proof.failure is None else None)
            assert left_out != proof.data or proof.unproven == (0, 1, 2, 3)
            missing.add(proof.unproven)
    assert missing == {(), (0, 1, 2), (0, 1, 2, 3)}
    assert Failure.MISSING_TREE_BLOCK.effect is Effect.DESYNCHRONISED


def test_a_commit_from_before_sync_1_1_proves_its_ops_alone(repo: SignedRepo) -> None:
    payload = mixed(repo)
    without_prev = {**payload, "ops": [{key: op[key] for key in op if key != "prev"} for op in payload["ops"]]}
    for legacy in ({**payload, "prevData": None}, {**payload, "prevData": "text"}, without_prev):
        proof = proof_of(legacy, repo.key)
        assert (proof.failure, proof.unproven, proof.before) == (Failure.LEGACY_COMMIT, (), None)
        assert refusal(edited(legacy, 0, cid=OTHER), repo.key) is Failure.OP_NOT_IN_TREE
    assert Failure.LEGACY_COMMIT.effect is Effect.NOTED


def mirrored(signature: bytes, order: int) -> bytes:
    """The other signature that the same r belongs to."""
    return signature[:32] + (order - int.from_bytes(signature[32:], "big")).to_bytes(32, "big")


@pytest.mark.parametrize(("number", "order"), [(K256, K256_ORDER), (P256, P256_ORDER)])
def test_a_signature_must_be_the_accounts_own_of_this_commit(number: int, order: int) -> None:
    repo = SignedRepo(number)
    payload = repo.commit(like("a"))
    sound: Any = libipld.decode_dag_cbor(blocks_of(payload)[payload["commit"]])
    signature: bytes = sound["sig"]
    for other in (SignedRepo(1), SignedRepo(31)):
        assert refusal(payload, other.key) is Failure.BAD_SIGNATURE
    old = signed_commit(repo.did, "3kaaaaaaaaaaa", sound["data"], signature)
    forged, blocks = with_commit_block({**payload, "rev": "3kaaaaaaaaaaa"}, old)  # an old signature under a newer rev
    assert refusal(forged, repo.key, blocks=blocks) is Failure.BAD_SIGNATURE
    for wrong in (
        mirrored(signature, order),
        signature[:63],
        signature + b"\0",
        b"",
        bytes(64),
        b"\xff" * 64,
        OTHER,
        "text",
        None,
    ):
        block = encode({**sound, "sig": wrong})
        forged, blocks = with_commit_block(payload, block)
        assert refusal(forged, repo.key, blocks=blocks) is Failure.BAD_SIGNATURE
    unsigned = {key: value for key, value in sound.items() if key != "sig"}
    forged, blocks = with_commit_block(payload, encode(unsigned))
    assert refusal(forged, repo.key, blocks=blocks) is Failure.BAD_SIGNATURE


def test_without_a_key_all_but_the_signature_is_proven_and_its_block_is_kept(repo: SignedRepo) -> None:
    payload = mixed(repo)
    proof = proof_of(payload, None)
    assert (proof.failure, proof.signed) == (None, False)
    assert proof.commit_block == blocks_of(payload)[payload["commit"]]
    assert refusal(edited(payload, 0, cid=OTHER), None) is Failure.OP_NOT_IN_TREE


def test_a_sync_is_proven_by_its_block(repo: SignedRepo) -> None:
    rev, data = str(repo.account.rev), repo.account.data
    block = repo.commit_block(rev, data)
    assert prove_sync(repo.did, rev, block, repo.key) == data
    assert prove_sync(repo.did, rev, block, None) == data
    for did, told_rev, key, name in (
        (SignedRepo(1).did, rev, repo.key, Failure.DID_MISMATCH),
        (repo.did, "3zzzzzzzzzzzz", repo.key, Failure.REV_MISMATCH),
        (repo.did, rev, SignedRepo(1).key, Failure.BAD_SIGNATURE),
    ):
        with pytest.raises(Rejected) as caught:
            prove_sync(did, told_rev, block, key)
        assert caught.value.reason == name
