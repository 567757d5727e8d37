"""What the simulator put into each frame, as plain data, so that tests and the model need not decode anything.

Records stand in the protocol's JSON form (`$link` for a CID, `$bytes` for bytes); CIDs are strings; times are the frame's own
text. A value here says what was sent, not what a reader should make of it.
"""

from typing import NamedTuple, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class OpTruth(NamedTuple):
    """One operation. `record` is None for a delete and where `fault` is set.

    `size` is the record block's length in bytes (0 for a delete). `fault` is None, or says why the block cannot be read:
    'block_missing' (not in the CAR) or 'undecodable' (not DAG-CBOR).
    """

    action: str
    collection: str
    rkey: str
    cid: str | None
    record: Json
    size: int
    fault: str | None


class CommitTruth(NamedTuple):
    """One #commit. `sound` says that tree, ops and revs agree, so that undoing the ops gives `prevData`.

    It is never true in cheap mode. `data` is the CID of the tree's root; None in a commit without blocks. `commit` is the CID
    of the commit at which the repo stands from then on; None where it does not move (an old rev, one of the future).
    `prev_data` is the root of the tree of before, as far as the message says it.
    """

    seq: int
    did: str
    rev: str
    since: str | None
    time: str
    ops: tuple[OpTruth, ...]
    too_big: bool
    sound: bool
    data: str | None = None
    commit: str | None = None
    prev_data: str | None = None


class SyncTruth(NamedTuple):
    """One #sync: the repo stands at `rev`, at the commit `commit`, its tree's root at `data` (both CIDs)."""

    seq: int
    did: str
    rev: str
    time: str
    data: str | None = None
    commit: str | None = None


class IdentityTruth(NamedTuple):
    """One #identity. `handle` is None where the message says none."""

    seq: int
    did: str
    time: str
    handle: str | None


class AccountTruth(NamedTuple):
    """One #account. `status` is None where the message gives none: mostly while the account is active."""

    seq: int
    did: str
    time: str
    active: bool
    status: str | None


Truth: TypeAlias = CommitTruth | SyncTruth | IdentityTruth | AccountTruth


class Sent(NamedTuple):
    """One message of the stream: the frame's bytes and what they say."""

    frame: bytes
    truth: Truth
