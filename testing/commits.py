"""Records, commits and messages made by hand. Commits are real frames: what is decoded is what a relay would send."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from relay_simulator.encoding import Value, car, car_section, cid_of, cid_text, encode, frame, signed_commit, tid, time_text
from unified_indexer.protocol.events import Account, Commit, Identity, Unusable
from unified_indexer.protocol.frames import decode

POST, LIKE, REPOST = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost"
FOLLOW, PROFILE = "app.bsky.graph.follow", "app.bsky.actor.profile"

Record = dict[str, Any]
START = datetime(2026, 7, 1, 12, tzinfo=UTC)
CID = cid_text(cid_of(b"a"))


class Op(NamedTuple):
    """An operation: the path, and the record that is written there, None for a delete."""

    path: str
    record: Any
    action: str


def put(path: str, record: Any, action: str = "create") -> Op:
    return Op(path, record, action)


def delete(path: str) -> Op:
    return Op(path, None, "delete")


def at(minute: float) -> str:
    """A createdAt, so many minutes after START."""
    return (START + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def post(text: str = "hello", minute: float = 0, **fields: Any) -> Record:
    return {"$type": POST, "text": text, "createdAt": at(minute), **fields}


def like(uri: str, minute: float = 0, **fields: Any) -> Record:
    return {"$type": LIKE, "subject": ref(uri), "createdAt": at(minute), **fields}


def repost(uri: str, minute: float = 0) -> Record:
    return {**like(uri, minute), "$type": REPOST}


def follow(did: str, minute: float = 0) -> Record:
    return {"$type": FOLLOW, "subject": did, "createdAt": at(minute)}


def profile(name: str, **fields: Any) -> Record:
    return {"$type": PROFILE, "displayName": name, **fields}


def did(name: str) -> str:
    return name if name.startswith("did:") else f"did:plc:{name}"


def uri(name: str, rkey: str, collection: str = POST) -> str:
    """The URI of a record of the account `name`."""
    return f"at://{did(name)}/{collection}/{rkey}"


def ref(uri: str) -> Record:
    """A reference to a record."""
    return {"uri": uri, "cid": CID}


def replying(parent: Record, root: Record | None = None) -> Record:
    """A post's `reply`, of references; without a root the parent is the root."""
    return {"root": root or parent, "parent": parent}


def quoting(reference: Record) -> Record:
    """A post's `embed` that quotes what this refers to."""
    return {"$type": "app.bsky.embed.record", "record": reference}


def mentioning(*dids: str) -> list[Record]:
    """A post's `facets` that mention these accounts."""
    features = [{"$type": "app.bsky.richtext.facet#mention", "did": did} for did in dids]
    return [{"index": {"byteStart": 0, "byteEnd": 1}, "features": features}]


@dataclass
class Stream:
    """Numbers its commits: each has the next seq, and a rev and a time a second after the one before."""

    seq: int = 0
    revs: dict[str, str] = field(default_factory=dict[str, str])

    def commit(self, name: str, *ops: Op, rev: str | None = None, content: str = "") -> Commit:
        """A commit of the account `name`; `content` tells trees apart that would have one CID."""
        event = decode(self.frame(name, *ops, rev=rev, content=content))
        assert isinstance(event, Commit), event
        return event

    def frame(
        self,
        name: str,
        *ops: Op,
        rev: str | None = None,
        since: str | None = None,
        content: str = "",
        too_big: bool = False,
    ) -> bytes:
        self.seq += 1
        micros = int((START + timedelta(seconds=self.seq)).timestamp() * 1_000_000)
        rev = rev or tid(micros, 0)
        self.revs[name] = rev
        blocks = {op.path: encode(op.record) for op in ops if op.record is not None}
        tree = cid_of(f"{name} {rev} {content}".encode())
        signed = signed_commit(did(name), rev, tree, bytes(64))
        sections = [car_section(cid_of(block), block) for block in (signed, *blocks.values())]
        named: list[Value] = [
            {"action": op.action, "path": op.path, "cid": cid_of(blocks[op.path]) if op.record is not None else None}
            for op in ops
        ]
        return frame(
            "#commit",
            {
                "seq": self.seq,
                "repo": did(name),
                "rev": rev,
                "since": since,
                "commit": cid_of(signed),
                "blocks": b"" if too_big else car(cid_of(signed), sections),
                "ops": [] if too_big else named,
                "blobs": [],
                "time": time_text(micros),
                "tooBig": too_big,
                "rebase": False,
            },
        )

    def identity(self, name: str, handle: str | None, *, seq: int | None = None) -> Identity:
        """An #identity of the account `name`; `seq`: another than the next."""
        return Identity(*self._message(name, seq), handle, b"identity")

    def account(self, name: str, active: bool, status: str | None = None, *, seq: int | None = None) -> Account:
        """An #account of the account `name`; `seq`: another than the next."""
        return Account(*self._message(name, seq), active, status, b"account")

    def _message(self, name: str, seq: int | None) -> tuple[int, str, datetime]:
        self.seq += 1
        return self.seq if seq is None else seq, did(name), START + timedelta(seconds=self.seq)

    def too_big(self, name: str) -> Commit:
        event = decode(self.frame(name, too_big=True))
        assert isinstance(event, Commit), event
        return event

    def broken(self, name: str, *ops: Op) -> Unusable:
        """A commit with one byte of its blocks changed: no hash fits."""
        sound = self.frame(name, *ops)
        place = sound.index(bytes(64))  # within the signature
        event = decode(sound[:place] + b"\x01" + sound[place + 1 :])
        assert isinstance(event, Unusable), event
        return event
