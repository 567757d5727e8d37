"""The payloads that carry a repo's commit: #commit and #sync. Envelope, CAR and commit block must agree.

Sources: the lexicon com.atproto.sync.subscribeRepos, https://atproto.com/specs/sync (message validation) and /specs/repository
(commit objects). The reasons that are raised here are listed in frames.py.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

import libipld

from unified_indexer.errors import Rejected
from unified_indexer.protocol import car
from unified_indexer.protocol.dag_cbor import decode
from unified_indexer.protocol.events import Commit, RecordOp, RefusedOp, Sync
from unified_indexer.protocol.proof import read_claim
from unified_indexer.protocol.syntax import is_did, is_nsid, is_record_key, is_tid, parse_datetime, tid_second, tid_time

MAX_BLOCKS_BYTES = 2 * 2**20  # the specification's "about 2 MB"
MAX_OPS = 200  # the lexicon's
MAX_RECORD_BYTES = 2**20  # the specification's 1 MB
MAX_DID_CHARACTERS = 255  # what the tables' key columns take
MAX_URI_CHARACTERS = 512  # the same for at://did/collection/rkey
MAX_SEQ = 2**63 - 1  # a PostgreSQL bigint
MAX_REPEATED_BYTES = 2**16  # of blocks that several ops write: 200 ops on one block of 1 MB would be rows of 200 MB
# A time of our clock, a rev of its frame's time: one skewed clock must not lock an account out.
MAX_AHEAD = timedelta(minutes=5)

_REPO_VERSION = 3
_PATH_KEPT_CHARACTERS = 1024
_AT_URI_EXTRA_CHARACTERS = len("at://") + len("/")


def checked_seq(fields: dict[str, Any]) -> int:
    """A message's seq, 0 to 2**63-1. Raises Rejected."""
    seq: object = fields.get("seq")
    if type(seq) is not int or not 0 <= seq <= MAX_SEQ:
        raise Rejected("bad_seq", shown(seq))
    return seq


def checked_did(did: object) -> str:
    """`did`, a DID of at most 255 characters. Raises Rejected."""
    if type(did) is not str or not is_did(did):
        raise Rejected("bad_did", shown(did))
    if len(did) > MAX_DID_CHARACTERS:
        raise Rejected("did_too_long", f"{len(did)} characters")
    return did


def frame_time(fields: dict[str, Any]) -> datetime | None:
    """The message's own `time`, None if it is malformed."""
    time: object = fields.get("time")
    return parse_datetime(time) if type(time) is str else None


class Clock(NamedTuple):
    """The stream's time and our clock, in UTC. None: unknown, so nothing is measured by it."""

    stream: datetime | None = None
    ours: datetime | None = None

    def bounded(self, time: datetime | None) -> datetime | None:
        """The time that an event gives; the stream's time if that is later than our clock allows."""
        if time is None or self.ours is None or time - self.ours <= MAX_AHEAD:
            return time
        return self.stream or self.ours


def shown(value: object) -> str:
    """A value from the network for a `detail`: short, ASCII, no control characters."""
    if isinstance(value, str):
        return ascii(value[:100])
    return ascii(value) if isinstance(value, (int, float, bool)) or value is None else f"a {type(value).__name__}"


def commit(fields: dict[str, Any], frame: bytes, clock: Clock, *, claims: bool) -> Commit:
    """Decode a #commit's payload, with `claims` as far as a proof needs it. Raises Rejected if the whole commit is unusable."""
    seq = checked_seq(fields)
    did = checked_did(fields.get("repo"))
    rev, time = _rev_and_time(fields, clock)
    since: object = fields.get("since")
    known_since = since if type(since) is str and is_tid(since) else None
    if fields.get("tooBig") is True:
        if claims:  # without blocks it is a relay's word alone
            raise Rejected("too_big", "the commit came without its blocks")
        return Commit(seq, did, rev, known_since, time, None, True, (), (), frame)
    named_ops: object = fields.get("ops")
    if not isinstance(named_ops, list):
        raise Rejected("bad_ops", "ops is not a list")
    ops = cast("list[object]", named_ops)
    if len(ops) > MAX_OPS:
        raise Rejected("too_many_ops", f"{len(ops)} ops, at most {MAX_OPS}")
    root, data, blocks = _commit_block(fields, did, rev)
    if fields.get("commit") != root:
        raise Rejected("commit_cid_mismatch", "the message's commit is not the root of its CAR")
    usable, refused = _judged(ops, did, blocks, len(cast("bytes", fields["blocks"])) + MAX_REPEATED_BYTES)
    claim, shown_blocks = (read_claim(fields), blocks) if claims else (None, {})
    return Commit(seq, did, rev, known_since, time, data, False, usable, refused, frame, claim, shown_blocks)


def sync(fields: dict[str, Any], frame: bytes, clock: Clock) -> Sync:
    """Decode a #sync's payload. Raises Rejected."""
    seq = checked_seq(fields)
    did = checked_did(fields.get("did"))
    rev, time = _rev_and_time(fields, clock)
    root, data, blocks = _commit_block(fields, did, rev)
    return Sync(seq, did, rev, time, data, frame, blocks[root])


def _rev_and_time(fields: dict[str, Any], clock: Clock) -> tuple[str, datetime]:
    rev: object = fields.get("rev")
    if type(rev) is not str or not is_tid(rev):
        raise Rejected("bad_rev", shown(rev))
    own_time = clock.bounded(frame_time(fields))
    measure = own_time or clock.stream or clock.ours
    if measure is not None and tid_second(rev) - measure > MAX_AHEAD:
        raise Rejected("rev_in_future", f"rev {rev} is {tid_second(rev) - measure} ahead of the stream")
    return rev, own_time or tid_time(rev)


def _commit_block(fields: dict[str, Any], did: str, rev: str) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    """The CAR's root, the CID of the tree's root, and the blocks, once commit block and envelope agree."""
    packed: object = fields.get("blocks")
    if type(packed) is not bytes:
        raise Rejected("bad_blocks", "blocks is not a byte string")
    if len(packed) > MAX_BLOCKS_BYTES:
        raise Rejected("blocks_too_large", f"{len(packed)} bytes, at most {MAX_BLOCKS_BYTES}")
    roots, blocks = car.split(packed)
    if not roots:
        raise Rejected("no_root", "the CAR names no root")
    root = roots[0]
    block = blocks.get(root)
    if block is None:
        raise Rejected("missing_commit_block", "the CAR lacks its root")
    try:
        value = decode(block)
    except (ValueError, RecursionError) as error:
        raise Rejected("bad_commit_block", str(error)[:200]) from None
    if type(value) is not dict:
        raise Rejected("bad_commit_block", "the commit is not a map")
    signed = cast("dict[str, Any]", value)
    version: object = signed.get("version")
    if type(version) is not int or version != _REPO_VERSION:
        raise Rejected("unsupported_repo_version", shown(version))
    if signed.get("did") != did:
        raise Rejected("did_mismatch", f"the commit is by {shown(signed.get('did'))}")
    if signed.get("rev") != rev:
        raise Rejected("rev_mismatch", f"the commit's rev is {shown(signed.get('rev'))}")
    data: object = signed.get("data")
    if not _is_block_cid(data):
        raise Rejected("bad_commit_block", "data is no link to a tree")
    return root, cast("bytes", data), blocks


def _judged(
    ops: list[object], did: str, blocks: dict[bytes, bytes], room: int
) -> tuple[tuple[RecordOp, ...], tuple[RefusedOp, ...]]:
    """The usable operations and the others; `room`: the most bytes of records that they may write, all together."""
    usable: list[RecordOp] = []
    refused: list[RefusedOp] = []
    for op in ops:
        judged = _op(op, did, blocks)
        if type(judged) is RecordOp:
            if judged.block is None or (room := room - len(judged.block)) >= 0:
                usable.append(judged)
                continue
            judged = _refused(f"{judged.collection}/{judged.rkey}", "repeated_record", "the ops write more than the CAR holds")
        refused.append(cast("RefusedOp", judged))
    return tuple(usable), tuple(refused)


def _op(op: object, did: str, blocks: dict[bytes, bytes]) -> RecordOp | RefusedOp:
    if type(op) is not dict:
        return RefusedOp("", "bad_op", "the op is not a map")
    fields = cast("dict[str, Any]", op)
    path: object = fields.get("path")
    if type(path) is not str:
        return RefusedOp("", "bad_path", f"the path is {shown(path)}")
    collection, _, rkey = path.partition("/")
    if not is_nsid(collection) or not is_record_key(rkey):
        return _refused(path, "bad_path", "not collection/rkey")
    if len(did) + len(path) + _AT_URI_EXTRA_CHARACTERS > MAX_URI_CHARACTERS:
        return _refused(path, "uri_too_long", f"more than {MAX_URI_CHARACTERS} characters")
    action: object = fields.get("action")
    if action == "delete":
        return RecordOp("delete", collection, rkey, None, None)
    if action != "create" and action != "update":
        return _refused(path, "bad_action", shown(action))
    cid: object = fields.get("cid")
    if type(cid) is not bytes or not _is_block_cid(cid):
        return _refused(path, "bad_cid", "the op has no CID of a record")
    block = blocks.get(cid)
    if block is None:
        return _refused(path, "missing_block", libipld.encode_cid(cid))
    if len(block) > MAX_RECORD_BYTES:
        return _refused(path, "record_too_large", f"{len(block)} bytes, at most {MAX_RECORD_BYTES}")
    return RecordOp(cast("Any", action), collection, rkey, cid, block)


def _refused(path: str, reason: str, detail: str) -> RefusedOp:
    """The path without what a database can't keep, but never so that it becomes another record's."""
    return RefusedOp(path[:_PATH_KEPT_CHARACTERS].replace("\0", "\ufffd"), reason, detail[:200])


def _is_block_cid(cid: object) -> bool:
    return type(cid) is bytes and len(cid) == car.CID_BYTES and cid.startswith(car.DAG_CBOR_PREFIX)
