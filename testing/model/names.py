"""The collections that have tables of their own, and the shapes that the model's parts hand to one another."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from testing.model.protocol import instant

POST, LIKE, REPOST = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost"
FOLLOW, BLOCK, PROFILE = "app.bsky.graph.follow", "app.bsky.graph.block", "app.bsky.actor.profile"
LIST, LIST_ITEM, LIST_BLOCK = "app.bsky.graph.list", "app.bsky.graph.listitem", "app.bsky.graph.listblock"
GENERATOR, STARTER_PACK = "app.bsky.feed.generator", "app.bsky.graph.starterpack"
LABELER, VERIFICATION = "app.bsky.labeler.service", "app.bsky.graph.verification"
THREAD_GATE, POST_GATE = "app.bsky.feed.threadgate", "app.bsky.feed.postgate"

Record = dict[str, Any]
Row = dict[str, Any]
Rows = dict[str, dict[str, Row]]
"""{table: {primary key: {column: value}}}; a primary key of several columns is their values with a space between them."""

Pair = tuple[str, str]
"""Who has whom: (follower, followed), or (a list's URI, who is on it)."""


class Undetermined:
    """What a column may be when the order between repos, which nothing fixes, decides it: either value."""

    def __repr__(self) -> str:
        return "undetermined"


UNDETERMINED = Undetermined()


BEFORE = -1  # in place of a seq: the stream did not bring the record


@dataclass(frozen=True, slots=True)
class Stored:
    """An accepted record, with the commit that wrote it last."""

    did: str
    collection: str
    rkey: str
    cid: str
    record: Record
    seq: int
    rev: str
    time: datetime

    @property
    def path(self) -> str:
        return f"{self.collection}/{self.rkey}"

    @property
    def uri(self) -> str:
        return f"at://{self.did}/{self.path}"

    @property
    def created_at(self) -> datetime:
        """The record's own word, or where that is unusable the commit's time."""
        created = self.record.get("createdAt")
        return (instant(created) if isinstance(created, str) else None) or self.time

    @property
    def pair(self) -> Pair | None:
        """Of a follow or a list item."""
        match self.collection:
            case "app.bsky.graph.follow":
                return self.did, self.record["subject"]
            case "app.bsky.graph.listitem":
                return self.record["list"], self.record["subject"]
            case _:
                return None
