"""The events of a relay's stream, as frozen values.

Source: the lexicon com.atproto.sync.subscribeRepos and https://atproto.com/specs/sync. Names are the protocol's. CIDs are
their 36 raw bytes (version, codec, multihash) until they are written; times are aware datetimes in UTC.

Named tuples, since a frozen dataclass costs four times as much to make (measured: 3 µs a commit).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from unified_indexer.protocol.failures import Failure
from unified_indexer.protocol.proof import Claim

Action = Literal["create", "update", "delete"]


class RecordOp(NamedTuple):
    """One usable operation of a commit. `cid` and `block` (the record's DAG-CBOR, hash checked) are None for a delete."""

    action: Action
    collection: str
    rkey: str
    cid: bytes | None
    block: bytes | None


class RefusedOp(NamedTuple):
    """One operation that is unusable by itself (its block is missing, its path is not a record path); its siblings are applied.

    `path` is what the frame said, whatever that was, cut to 1,024 characters.
    """

    path: str
    reason: str
    detail: str


class Verdict(NamedTuple):
    """What proof has shown of a #commit or #sync that is not refused.

    `before`: the root of the tree that a commit starts from, as proven, or as said (`prevData`) where only signature and ops
    were asked for; None where it names none. `doubt`: what the proof lacks. `inductive`: `prevData` is proven, and so is the
    signature. `unproven`: its commit block, while the account's key is not known.
    """

    before: bytes | None = None
    doubt: Failure | None = None
    inductive: bool = False
    unproven: bytes | None = None


class Commit(NamedTuple):
    """A #commit whose envelope, CAR and commit block agree.

    `time` is the frame's; where that is malformed, the instant in `rev` (a TID). `data` is the CID of the tree's root after
    this commit, None for a tooBig commit without blocks (`too_big`, then without ops). `frame` is the whole message.

    Where commits are verified: `claim` and `blocks` (of its CAR, by CID, hashes checked) are what is to be proven, and `proof`
    is what was; None where nothing had to be, because the commit is stale.
    """

    seq: int
    repo: str
    rev: str
    since: str | None
    time: datetime
    data: bytes | None
    too_big: bool
    ops: tuple[RecordOp, ...]
    refused: tuple[RefusedOp, ...]
    frame: bytes
    claim: Claim | None = None
    blocks: Mapping[bytes, bytes] = {}
    proof: Verdict | None = None


class Sync(NamedTuple):
    """A #sync: the repo is now at `rev`, its tree's root at `data`; it does not say how it got there.

    Where it is verified, `commit_block` is what is to be proven, and `proof` is what was.
    """

    seq: int
    did: str
    rev: str
    time: datetime
    data: bytes
    frame: bytes
    commit_block: bytes = b""
    proof: Verdict | None = None


class Identity(NamedTuple):
    """An #identity: the DID's document or handle may have changed; `handle` is a hint, None where the relay gives none.

    It is in lower case, and 'handle.invalid' where the account has none that can be shown to be its own.
    """

    seq: int
    did: str
    time: datetime
    handle: str | None
    frame: bytes


class Account(NamedTuple):
    """An #account: `active` decides visibility, `status` (takendown, deleted, …; unknown ones will come) is detail."""

    seq: int
    did: str
    time: datetime
    active: bool
    status: str | None
    frame: bytes


class Info(NamedTuple):
    """An #info: a message from the relay, without a seq."""

    name: str
    message: str | None


class StreamError(NamedTuple):
    """An error frame (op -1): the stream ends after it. `error` is its name: ConsumerTooSlow, FutureCursor, …"""

    error: str
    message: str | None


class Ignored(NamedTuple):
    """A message that the protocol says to ignore (an unknown op or t, #handle, #migrate, #tombstone): counted by `reason`."""

    seq: int | None
    reason: str


class Unusable(NamedTuple):
    """A frame that cannot be applied as a whole: `reason` is counted, the frame is kept.

    What could still be read of it stands here, each None where it could not: `seq`, `did`, `rev`. `paths` are the record
    paths that its ops named, as far as they are valid record paths. `salvaged`: the frame does not decode, so all of it was
    picked from what looked like it; good enough for people to read, not to steer by. `marks`: its repo lacks
    something from now on; not where commits are verified, since anyone could send such a frame, and the next commit tells.
    """

    seq: int | None
    did: str | None
    rev: str | None
    time: datetime | None
    paths: tuple[str, ...]
    reason: str
    detail: str
    frame: bytes
    salvaged: bool = False
    marks: bool = True


class Foreign(NamedTuple):
    """A #commit, #sync or #account of an account that another worker indexes: no more of it is read. `sent`: its `time`, as it
    was written; None for what is no text."""

    seq: int
    did: str
    sent: str | None


RepoEvent = Commit | Sync | Identity | Account | Unusable
"""What is applied, or kept, in the order of its repo."""

Event = RepoEvent | Foreign | Info | StreamError | Ignored
