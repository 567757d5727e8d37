"""What is fuzzed: each target takes any bytes and returns a word on the outcome, or raises where a promise is broken.

Promises: no error but a named refusal comes out, what comes out can be stored, and it comes soon.
"""

import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

import libipld
import orjson

from relay_simulator import keys
from testing import search_tree
from testing.fuzz.bombs import commit, creations
from testing.fuzz.repos import repo
from testing.garbage import FIELDS, key_of
from unified_indexer import json
from unified_indexer.database.write.batch import BUCKETS, Batch, build
from unified_indexer.database.write.parameters import PARAMETERS
from unified_indexer.errors import Rejected
from unified_indexer.protocol import frames, mst
from unified_indexer.protocol.car import split
from unified_indexer.protocol.data_model import to_json_form
from unified_indexer.protocol.events import Commit, Event, Identity, RepoEvent, Unusable
from unified_indexer.protocol.failures import Effect, Failure
from unified_indexer.protocol.frames import decode
from unified_indexer.protocol.keys import SigningKey, signing_key
from unified_indexer.protocol.mst import Change
from unified_indexer.protocol.proof import Claim, prove
from unified_indexer.protocol.syntax import is_did, is_tid

SEED, ACCOUNTS = 11, 60  # of the simulator's streams that are fuzzed
SECONDS = 1.0  # CPU time for an input of up to 64 kB
SECONDS_PER_BYTE = 4 / (5 * 2**20)  # for what is beyond: 5 MB take 5 s at most

COLLECTIONS = sorted(FIELDS)
FRAME_REASONS = set((frames.__doc__ or "").replace(",", " ").split())
CAR_REASONS = {"bad_car", "unsupported_cid", "block_hash_mismatch"}
TREE_REASONS = {"missing_tree_block", "bad_tree", "op_not_in_tree", "deleted_still_there"}
PROOF_REASONS = {str(failure) for failure in Failure if failure.effect is Effect.REFUSED}


def frame(data: bytes) -> str:
    """A whole frame, as far as the arguments of the stored procedure."""
    event = decode(data)
    _check_event(event)
    if not isinstance(event, RepoEvent):
        return type(event).__name__
    batch = build([event])
    _check_batch(batch)
    reasons = sorted({reason for _, reason in batch.refused})
    return " ".join([type(event).__name__, str(len(batch.kind)), *reasons])


def car(data: bytes) -> str:
    """A CAR: roots and blocks, every one of which is what its CID says (that check is the splitter's own)."""
    try:
        _, blocks = split(data)
    except Rejected as refusal:
        return _named(refusal, CAR_REASONS)
    assert sum(map(len, blocks.values())) <= len(data)
    return f"{len(blocks)} blocks"


def record(data: bytes) -> str:
    """A record block, alone, then in a sound commit of the collection that its first byte chooses."""
    collection, block = COLLECTIONS[data[0] % len(COLLECTIONS)] if data else COLLECTIONS[0], data[1:]
    try:
        form = to_json_form(block)
    except Rejected as refusal:
        outcome = refusal.reason
    else:
        outcome = "a record"
        assert '"$type":' in json.dumps(form)
    ops = creations(block, collection)
    ops[0]["path"] = f"{collection}/{key_of(collection, '3222222222222')}"
    return f"{outcome}; {frame(commit([block], ops))}"


def tree(data: bytes) -> str:
    """A search tree's nodes and ops: DAG-CBOR of [root, [[key, cid or null, previous or null] …], [[cid, block] …]].

    The CIDs need not be the blocks' own, so that links may lead anywhere, in circles too.
    """
    value = _value(data)
    if not isinstance(value, list) or list(map(type, cast("list[object]", value))) != [bytes, list, list]:
        return "nothing"
    root, ops, pairs = cast("tuple[bytes, list[Any], list[Any]]", value)
    blocks: dict[bytes, bytes] = dict(filter(_is_pair, pairs))
    changes = [Change(*op) for op in ops if _is_change(op)]
    outcomes = [_judged(lambda: mst.invert(root, blocks, changes))]
    outcomes += [_judged(lambda key=change.key: mst.PartialTree(root, blocks).find(key)) for change in changes[:5]]
    return " ".join(outcomes)


def proof(data: bytes) -> str:
    """A frame whose commit is to be proven, in full and by its signature alone, with its account's key and without.

    What passes in full, `testing.search_tree` undoes to the same tree. The key is the simulator's where it made the account.
    """
    event = decode(data, claims=True)
    if not isinstance(event, Commit) or event.claim is None:
        _check_event(event)
        return event.reason if isinstance(event, Unusable) else type(event).__name__
    claim, key = event.claim, _keys().get(event.repo)
    ways = [(key, True), (None, True), (key, False)]
    return " ".join(_proven(claim, event.blocks, known, full) for known, full in ways)


TARGETS: dict[str, Callable[[bytes], str]] = {
    "frame": frame,
    "car": car,
    "record": record,
    "tree": tree,
    "proof": proof,
    "repo": repo,
}


def within_bounds(target: Callable[[bytes], str], data: bytes) -> str:
    """The target's word on `data`, which must come in time."""
    start = time.process_time()
    outcome = target(data)
    took, most = time.process_time() - start, SECONDS + SECONDS_PER_BYTE * len(data)
    assert took < most, f"{took:.1f} s for {len(data)} bytes: {outcome}"
    return outcome


def _check_event(event: Event) -> None:
    match event:
        case Unusable():
            assert event.reason in FRAME_REASONS, event.reason
            assert event.seq is None or 0 <= event.seq < 2**63
            assert event.did is None or (is_did(event.did) and len(event.did) <= 255)
            assert event.rev is None or is_tid(event.rev)
            check_text(event.detail)
        case Commit():
            assert all(refusal.reason in FRAME_REASONS for refusal in event.refused)
            assert all(len(f"at://{event.repo}/{op.collection}/{op.rkey}") <= 512 for op in event.ops)
        case Identity(handle=str(handle)):
            check_text(handle)
        case _:
            pass


def _check_batch(batch: Batch) -> None:
    """The arrays fit each other, and PostgreSQL can take what they hold."""
    for one in PARAMETERS:
        array = getattr(batch, one.name)
        wanted = 1 if one.per_commit else batch.bucket_hi[0] if one.name == "buckets" else batch.hi[0]
        assert len(array) == wanted, one.name
    assert all(0 <= number < BUCKETS for number in batch.buckets)
    assert all(-2 <= kind < 2**15 for kind in batch.kind)
    for array in (batch.did, batch.rev, batch.data, batch.uri, batch.cid, batch.subject, batch.subject_cid):
        for text in filter(None, array):
            check_text(text)
            assert len(text) <= 512
    for rest in filter(None, batch.rest):
        check_text(rest)
        value = orjson.loads(rest)
        assert isinstance(value, dict)
        if "\\u0000" in rest:
            check_text(orjson.dumps(value).decode().replace("\\\\", "").replace("\\u0000", "\0"))


def check_text(text: str) -> None:
    assert "\0" not in text
    text.encode()  # no lone surrogate


def _proven(claim: Claim, blocks: Mapping[bytes, bytes], key: SigningKey | None, full: bool) -> str:
    try:
        shown = prove(claim, blocks, key, full=full)
    except Rejected as refusal:
        return _named(refusal, PROOF_REASONS)
    assert shown.signed == (key is not None)
    assert shown.failure is None or shown.failure.effect is not Effect.REFUSED
    if shown.failure is None and full:
        assert not shown.unproven
        assert _undone(shown.data, claim, blocks) in (shown.before, "missing_tree_block")  # it wants to see more nodes
    return shown.failure or "proven"


def _undone(data: bytes, claim: Claim, blocks: Mapping[bytes, bytes]) -> bytes | str:
    """What the slow search tree makes of a commit's ops: the tree of before, or the name of what is wrong."""
    if not claim.changes:
        return data
    try:
        return search_tree.invert(data, blocks, claim.changes)
    except Rejected as refusal:
        return _named(refusal, TREE_REASONS)


@cache
def _keys() -> dict[str, SigningKey]:
    """The keys of the accounts that corpus.py has."""
    numbers = range(ACCOUNTS)
    signers = {keys.did(SEED, number): keys.signer(SEED, number) for number in numbers}
    return {did: signing_key(did, keys.did_document(did, "fuzz.test", signer)) for did, signer in signers.items()}


def _judged(work: Callable[[], object]) -> str:
    try:
        work()
    except Rejected as refusal:
        return _named(refusal, TREE_REASONS)
    return "sound"


def _named(refusal: Rejected, reasons: set[str]) -> str:
    assert refusal.reason in reasons, refusal.reason
    return refusal.reason


def _value(data: bytes) -> object:
    try:
        return libipld.decode_dag_cbor(data)
    except (ValueError, RecursionError):
        return None


def _is_pair(pair: Any) -> bool:
    return type(pair) is list and list(map(type, cast("list[object]", pair))) == [bytes, bytes]


def _is_change(op: Any) -> bool:
    types = list(map(type, cast("list[object]", op))) if type(op) is list else []
    return len(types) == 3 and types[0] is bytes and {*types[1:]} <= {bytes, type(None)}
