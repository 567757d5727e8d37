"""Decode one websocket message into one event. `decode` never raises: an unusable message becomes an event that says why.

Sources: https://atproto.com/specs/event-stream (frames), the lexicon com.atproto.sync.subscribeRepos and https://atproto.com/specs/sync.

Reasons of `Unusable`, for a whole frame:
    frame_too_large           over 5 MB
    undecodable               not strict DAG-CBOR, or over 100,000 values
    not_two_values            fewer or more than a header and a payload
    bad_header                the header is no map with an integer `op` and, for op 1, a text `t`
    bad_payload               the payload is no map
    bad_seq                   not an integer of 0 to 2**63-1
    bad_did, did_too_long     not a DID; over 255 characters
    bad_rev                   not a TID, or absent (repositories before version 3 had none)
    bad_time                  neither the message nor the stream tells the time (#identity, #account)
    bad_active                `active` of an #account is no boolean
    bad_info                  an #info without a name
    rev_in_future             the rev is more than 5 minutes ahead of the message's time (the stream's where that is unusable)
    bad_ops, too_many_ops     `ops` is no list; over 200
    bad_blocks                `blocks` is no byte string
    blocks_too_large          over 2 MB
    bad_car                   not a CAR version 1, or cut short
    unsupported_cid           a block's CID is not version 1, SHA-256, dag-cbor or raw
    block_hash_mismatch       a block is not what its CID says
    no_root                   the CAR names no root
    commit_cid_mismatch       the message's `commit` is not the CAR's first root
    missing_commit_block      the CAR doesn't hold its first root
    bad_commit_block          the commit block is not DAG-CBOR, no map, or without a tree
    unsupported_repo_version  the commit block's version is not 3
    did_mismatch, rev_mismatch  the commit block's did or rev is not the message's
Further reasons of it where commits are verified, because no proof can follow:
    too_big                   a tooBig commit, which has no blocks
    bad_op                    an op without a path of at most 1,024 characters, a known action or the CID of what it writes
    duplicate_path            two ops of one path
    delete_with_cid           a delete that names a record
    create_with_prev          a create that names what was there before
    unchanged_update          an update from a record to itself
Reasons of `RefusedOp`, for one operation:
    bad_op                    not a map
    bad_path                  not collection/rkey
    uri_too_long              at://did/collection/rkey over 512 characters
    bad_action                not create, update or delete
    bad_cid                   no CID where a record is written
    missing_block             the CAR doesn't hold the record
    record_too_large          over 1 MB
    repeated_record           the ops name blocks again and again: together over 64 kB more than the CAR holds
Reasons of `Ignored`:
    unknown_op, unknown_type  as the specification asks
    legacy_handle, legacy_migrate, legacy_tombstone  messages that #identity and #account have replaced
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

from unified_indexer.errors import Rejected
from unified_indexer.protocol import commits
from unified_indexer.protocol.commits import Clock
from unified_indexer.protocol.dag_cbor import decode_frame
from unified_indexer.protocol.events import Account, Event, Foreign, Identity, Ignored, Info, StreamError, Unusable
from unified_indexer.protocol.salvage import record_paths, salvage
from unified_indexer.protocol.syntax import NO_HANDLE, is_did, is_handle, is_record_path, is_tid, parse_datetime

MAX_FRAME_BYTES = 5 * 2**20  # relays may send 5 MB

_MAX_WORD_CHARACTERS = 1024  # a status, an error's name or message; real ones are a few words
_NAMED = {"#commit": "repo", "#sync": "did", "#account": "did"}  # what is left to others; an #identity changes a key for all
_LEGACY = {"#handle": "legacy_handle", "#migrate": "legacy_migrate", "#tombstone": "legacy_tombstone"}


def decode(
    frame: bytes,
    clock: Callable[[], Clock] = Clock,
    *,
    claims: bool = False,
    takes: Callable[[str], bool] | None = None,
) -> Event:
    """The event of a message, whatever its bytes are; never raises.

    `clock` tells what bounds the times, and is asked once for a frame that is wanted: the stream's time stands in where this
    frame's own is unusable, or more than 5 minutes later than our clock's. `Commit.ops` hold record blocks that are not yet
    decoded (data_model.to_json_form does that), only their hash and size are checked. `claims`: a Commit comes with what a
    proof needs, or not at all. `takes`: whose events are wanted, by DID; those of all others come as Foreign. What is not
    sound comes as it is, whoever it says it is of.
    """
    if len(frame) > MAX_FRAME_BYTES:
        return _unusable(frame, None, "frame_too_large", f"{len(frame)} bytes, at most {MAX_FRAME_BYTES}", claims)
    try:
        values = decode_frame(frame)
    except (ValueError, RecursionError) as error:
        return _unusable(frame, None, "undecodable", str(error)[:200], claims)
    payload = values[1] if len(values) == 2 else None
    fields = cast("dict[str, Any]", payload) if type(payload) is dict else None
    try:
        return _foreign(values, fields, takes) or _event(values, fields, frame, clock(), claims)
    except Rejected as rejected:
        return _unusable(frame, fields or {}, rejected.reason, rejected.detail, claims)


def _foreign(values: list[object], fields: dict[str, Any] | None, takes: Callable[[str], bool] | None) -> Foreign | None:
    """The event, if it surely is somebody's who is not wanted. Read as all others are: whatever the bytes are, one of those
    who share the accounts takes them."""
    if takes is None or fields is None or type(values[0]) is not dict:
        return None
    header = cast("dict[str, object]", values[0])
    name = _NAMED.get(cast("str", header.get("t"))) if header.get("op") == 1 and type(header.get("t")) is str else None
    if name is None:
        return None
    did, seq, sent = fields.get(name), fields.get("seq"), fields.get("time")
    if type(did) is not str or len(did) > commits.MAX_DID_CHARACTERS:  # that is nobody's: `_unusable`
        return None
    if takes(did) or not is_did(did) or type(seq) is not int or not 0 <= seq <= commits.MAX_SEQ:
        return None
    return Foreign(seq, did, sent if type(sent) is str else None)


def _event(values: list[object], fields: dict[str, Any] | None, frame: bytes, clock: Clock, claims: bool) -> Event:
    header = cast("dict[str, object]", values[0]) if values and type(values[0]) is dict else {}
    op = header.get("op")
    if type(op) is not int:
        raise Rejected("bad_header", f"op is {commits.shown(op)}")
    if op == -1:
        return _stream_error(fields or {})
    if op != 1:
        return Ignored(None, "unknown_op")
    kind = header.get("t")
    if type(kind) is not str:
        raise Rejected("bad_header", f"t is {commits.shown(kind)}")
    if len(values) != 2:
        raise Rejected("not_two_values", f"{len(values)} values")
    if fields is None:
        raise Rejected("bad_payload", f"a {type(values[1]).__name__}")
    match kind:
        case "#commit":
            return commits.commit(fields, frame, clock, claims=claims)
        case "#sync":
            return commits.sync(fields, frame, clock)
        case "#identity":
            return _identity(fields, frame, clock)
        case "#account":
            return _account(fields, frame, clock)
        case "#info":
            return _info(fields)
        case _:
            return Ignored(_known_seq(fields), _LEGACY.get(kind, "unknown_type"))


def _stream_error(fields: dict[str, Any]) -> StreamError:
    return StreamError(_word(fields.get("error")) or "Unnamed", _word(fields.get("message")))


def _identity(fields: dict[str, Any], frame: bytes, clock: Clock) -> Identity:
    seq = commits.checked_seq(fields)
    did = commits.checked_did(fields.get("did"))
    handle: object = fields.get("handle")
    claimed = None
    if handle is not None:
        claimed = handle.lower() if type(handle) is str and is_handle(handle) else NO_HANDLE
    return Identity(seq, did, _account_time(fields, clock), claimed, frame)


def _account(fields: dict[str, Any], frame: bytes, clock: Clock) -> Account:
    seq = commits.checked_seq(fields)
    did = commits.checked_did(fields.get("did"))
    active: object = fields.get("active")
    if type(active) is not bool:
        raise Rejected("bad_active", commits.shown(active))
    return Account(seq, did, _account_time(fields, clock), active, _word(fields.get("status")), frame)


def _info(fields: dict[str, Any]) -> Info:
    name = _word(fields.get("name"))
    if not name:
        raise Rejected("bad_info", "no name")
    return Info(name, _word(fields.get("message")))


def _account_time(fields: dict[str, Any], clock: Clock) -> datetime:
    """The message's time; one without a zone counts as UTC (real relays have sent it). If unusable, the stream's replaces it.

    Whether an account is visible is worth more than the exactness of a time that only orders it against another relay's word.
    """
    time: object = fields.get("time")
    own_time = parse_datetime(time) or parse_datetime(time + "Z") if type(time) is str else None
    known = clock.bounded(own_time) or clock.stream
    if known is None:
        raise Rejected("bad_time", commits.shown(time))
    return known


def _word(value: object) -> str | None:
    """A free text of the relay's, cut, without NUL (no database takes it); None for what is no text."""
    return value[:_MAX_WORD_CHARACTERS].replace("\0", "") if type(value) is str else None


def _known_seq(fields: dict[str, Any]) -> int | None:
    try:
        return commits.checked_seq(fields)
    except Rejected:
        return None


def _unusable(frame: bytes, decoded: dict[str, Any] | None, reason: str, detail: str, claims: bool) -> Unusable:
    """Keeps the frame with what its fields say, each only where it is sound; what does not decode is salvaged."""
    fields = salvage(frame) if decoded is None else decoded
    did: object = fields.get("repo", fields.get("did"))
    rev: object = fields.get("rev")
    return Unusable(
        _known_seq(fields),
        did if type(did) is str and len(did) <= commits.MAX_DID_CHARACTERS and is_did(did) else None,
        rev if type(rev) is str and is_tid(rev) else None,
        commits.frame_time(fields),
        tuple(path for path in record_paths(fields.get("ops"))[: commits.MAX_OPS] if is_record_path(path)),
        reason,
        detail,
        frame,
        salvaged=decoded is None,
        marks=not claims,
    )
