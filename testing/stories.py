"""Small streams by hand, for the model: who does what, and what the rows are then."""

from typing import Any

from relay_simulator.encoding import tid
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, Json, OpTruth, SyncTruth
from testing.model import FOLLOW, LIKE, LIST, LIST_ITEM, POST, REPOST, THREAD_GATE, VERIFICATION, Model

ALICE, BOB, CAROL = "did:plc:alice", "did:plc:bob", "did:plc:carol"
BEFORE = "2026-07-01T11:59:59Z"  # the createdAt of records that say no other
FIRST_MINUTE = 1_782_907_200_000_000  # 2026-07-01T12:00:00Z, in µs since 1970: event n comes n minutes later


def uri(did: str, collection: str, rkey: str) -> str:
    return f"at://{did}/{collection}/{rkey}"


def put(collection: str, rkey: str, **fields: Json) -> OpTruth:
    whole: dict[str, Json] = {"$type": collection, "createdAt": BEFORE, **fields}
    return OpTruth("create", collection, rkey, f"cid-{rkey}", whole, 100, None)


def gone(collection: str, rkey: str) -> OpTruth:
    return OpTruth("delete", collection, rkey, None, None, 0, None)


def ref(uri: str) -> dict[str, Json]:
    return {"uri": uri, "cid": "bafy"}


def like(rkey: str, subject: str, **fields: Json) -> OpTruth:
    return put(LIKE, rkey, subject=ref(subject), **fields)


def repost(rkey: str, subject: str, **fields: Json) -> OpTruth:
    return put(REPOST, rkey, subject=ref(subject), **fields)


def follow(rkey: str, subject: str, **fields: Json) -> OpTruth:
    return put(FOLLOW, rkey, subject=subject, **fields)


def post(rkey: str, **fields: Json) -> OpTruth:
    return put(POST, rkey, text="hello", **fields)


def reply(rkey: str, root: str, parent: str | None = None, **fields: Json) -> OpTruth:
    return post(rkey, reply={"root": ref(root), "parent": ref(parent or root)}, **fields)


def quoting(subject: str) -> Json:
    return {"$type": "app.bsky.embed.record", "record": ref(subject)}


def mentioning(*dids: str) -> Json:
    return [{"features": [{"$type": "app.bsky.richtext.facet#mention", "did": did} for did in dids]}]


def rule(kind: str, **fields: Json) -> Json:
    return {"$type": f"{THREAD_GATE}#{kind}Rule", **fields}


def thread_gate(did: str, rkey: str, *rules: Json) -> OpTruth:
    return put(THREAD_GATE, rkey, post=uri(did, POST, rkey), allow=list(rules))


def list_item(did: str, rkey: str, subject: str, name: str = "list", **fields: Json) -> OpTruth:
    return put(LIST_ITEM, rkey, list=uri(did, LIST, name), subject=subject, **fields)


def verification(rkey: str, subject: str, **fields: Json) -> OpTruth:
    return put(VERIFICATION, rkey, subject=subject, handle="user.test", **fields)


class Story:
    """A stream by several accounts, a minute from one event to the next, and the model of it."""

    def __init__(self, model: Model | None = None) -> None:
        self.model = model or Model()
        self.seq = 0

    def by(self, did: str, *ops: OpTruth) -> None:
        """A commit."""
        rev, time = self._next()
        self.model.apply(CommitTruth(self.seq, did, rev, None, time, ops, False, False, f"data-{self.seq}"))

    def sync(self, did: str, data: str) -> None:
        rev, time = self._next()
        self.model.apply(SyncTruth(self.seq, did, rev, time, data))

    def account(self, did: str, active: bool, status: str | None = None, seq: int | None = None) -> None:
        _, time = self._next()
        self.model.apply(AccountTruth(seq or self.seq, did, time, active, status))

    def identity(self, did: str, handle: str | None, seq: int | None = None) -> None:
        _, time = self._next()
        self.model.apply(IdentityTruth(seq or self.seq, did, time, handle))

    def _next(self) -> tuple[str, str]:
        self.seq += 1
        return tid(FIRST_MINUTE + self.seq * 60_000_000, 0), f"2026-07-01T12:{self.seq:02d}:00.000Z"

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        return self.model.rows()[table]

    def row(self, table: str, key: str) -> dict[str, Any]:
        return self.rows(table)[key]

    def repo(self, did: str) -> dict[str, Any]:
        return self.row("unified_worker.repos", did)

    def notices(self) -> set[tuple[str, str, str]]:
        """(reason, author, recipient) of the notifications, DIDs by their last word."""
        rows = self.rows("notifications").values()
        return {(row["reason"], _name(row["author_did"]), _name(row["recipient_did"])) for row in rows}


def _name(did: str) -> str:
    return did.rpartition(":")[2]
