"""What a stream leaves in the database, counted from what the simulator says that it sent, without a line of the indexer's.

For sound records only (nothing odd, nothing refused, no messages): then each record is a row, and the rest is counting.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, cast

from relay_simulator.truth import CommitTruth, OpTruth

POST, LIKE, REPOST = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost"
FOLLOW, PROFILE = "app.bsky.graph.follow", "app.bsky.actor.profile"
VERIFICATION = "app.bsky.graph.verification"
TABLES = {
    POST: "posts",
    LIKE: "likes",
    REPOST: "reposts",
    FOLLOW: "follows",
    "app.bsky.graph.block": "blocks",
    "app.bsky.graph.list": "lists",
    "app.bsky.graph.listitem": "list_items",
    "app.bsky.graph.listblock": "list_blocks",
    "app.bsky.graph.starterpack": "starter_packs",
    VERIFICATION: "verifications",
    "app.bsky.feed.generator": "feed_generators",
    "app.bsky.feed.threadgate": "thread_gates",
    "app.bsky.feed.postgate": "post_gates",
    "app.bsky.labeler.service": "labeler_services",
}
OTHERS = "generic_records"
DERIVED = ("feed_items", "notifications", "post_aggregations", "post_viewer_states", "quotes", "thread_contexts")
BOOKS = ("unified_worker.repos", "unified_worker.duplicate_records", "unified_worker.dead_letters")
ALL = ("users", *TABLES.values(), OTHERS, *DERIVED, *BOOKS)
EDGE = 500  # commits at either end that are looked for to know that a run has begun, or is over: some are in every lane


class Kept(NamedTuple):
    """A record that is there, and when it was created: if it does not say, when it was committed."""

    did: str
    collection: str
    record: dict[str, Any]
    created_at: datetime


@dataclass(slots=True)
class Expected:
    """Takes in commits with `add`. `first`, `last`: (did, rev) of the commits at either end, the very last one at the end;
    `marks`: that of each `mark_every`-th one, by how many there were then; `operations`: by collection."""

    commits: int = 0
    operations: Counter[str] = field(default_factory=Counter[str])
    first: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    last: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    mark_every: int = 1_000
    marks: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    users: set[str] = field(default_factory=set[str])
    revs: dict[str, str] = field(default_factory=dict[str, str])  # by DID
    _records: dict[str, Kept] = field(default_factory=dict[str, Kept])  # by URI
    _taken_back: set[str] = field(default_factory=set[str])  # verifications of others that held when they were deleted

    def add(self, commit: CommitTruth) -> None:
        """Takes down the next commit."""
        self.commits += 1
        if len(self.first) < EDGE:
            self.first.append((commit.did, commit.rev))
        self.last.append((commit.did, commit.rev))
        if len(self.last) >= 2 * EDGE:
            del self.last[:-EDGE]
        if self.commits % self.mark_every == 0:
            self.marks[self.commits] = (commit.did, commit.rev)
        if commit.rev <= self.revs.get(commit.did, ""):
            return
        self.revs[commit.did] = commit.rev
        for op in commit.ops:
            self._op(commit.did, op, commit.time)

    def _op(self, did: str, op: OpTruth, time: str) -> None:
        self.operations[op.collection] += 1
        uri = f"at://{did}/{op.collection}/{op.rkey}"
        if op.action != "delete":
            self.users.add(did)
            record = cast("dict[str, Any]", op.record)
            created_at = datetime.fromisoformat(record.get("createdAt", time))
            self._records[uri] = Kept(did, op.collection, record, created_at)
            self._taken_back.discard(uri)
        elif (gone := self._records.get(uri)) is not None:
            if op.collection == VERIFICATION and gone.record["subject"] != did and uri in self._holders(VERIFICATION):
                self._taken_back.add(uri)
            del self._records[uri]

    def rows(self) -> dict[str, int]:
        """Rows by table, of all tables."""
        holding = self._holders()
        return {**self._records_by_table(holding), **self._derived(holding)}

    def bare_rows(self) -> dict[str, int]:
        """The same where nothing follows from a record."""
        return self._records_by_table(self._holders())

    def _records_by_table(self, holding: dict[str, Kept]) -> dict[str, int]:
        counts = dict.fromkeys(ALL, 0)
        counts.update(Counter(TABLES.get(kept.collection, OTHERS) for kept in holding.values() if kept.collection != PROFILE))
        counts["users"] = len(self.users)
        counts["unified_worker.repos"] = len(self.revs)
        counts["unified_worker.duplicate_records"] = len(self._records) - len(holding)
        return counts

    def _holders(self, *collections: str) -> dict[str, Kept]:
        """The records, of these collections if any are named, without those that wait for one that says the same."""
        found: dict[tuple[str, ...], str] = {}
        for uri, kept in self._records.items():
            if not collections or kept.collection in collections:
                key = unique_key(uri, kept)
                other = found.setdefault(key, uri)
                if other != uri and self._age(uri) < self._age(other):
                    found[key] = uri
        return {uri: self._records[uri] for uri in found.values()}

    def _age(self, uri: str) -> tuple[datetime, str]:
        return self._records[uri].created_at, uri

    def _derived(self, holding: dict[str, Kept]) -> dict[str, int]:
        counted: set[str] = set()  # URIs that have a row of counts
        seen: set[tuple[str, str]] = set()  # (post, viewer)
        found = Counter({"notifications": len(self._taken_back)})
        for kept in holding.values():
            found["notifications"] += len(set(notified(kept)))
            match kept:
                case Kept(did, "app.bsky.feed.like" | "app.bsky.feed.repost" as collection, record, _):
                    counted.add(record["subject"]["uri"])
                    seen.add((record["subject"]["uri"], did))
                    found["feed_items"] += collection == REPOST
                case Kept(collection="app.bsky.feed.post", record=record):
                    found["feed_items"] += 1
                    if "reply" in record:
                        counted.add(record["reply"]["parent"]["uri"])
                        found["thread_contexts"] += 1
                    if (quote := quoted(record)) is not None:
                        counted.add(quote)
                        found["quotes"] += 1
                case _:
                    pass
        return {**found, "post_aggregations": len(counted), "post_viewer_states": len(seen)}


def unique_key(uri: str, kept: Kept) -> tuple[str, ...]:
    """What no two rows have in common: records with one key compete."""
    did, collection, record, _ = kept
    match collection:
        case "app.bsky.feed.like" | "app.bsky.feed.repost":
            return (collection, did, record["subject"]["uri"])
        case "app.bsky.graph.follow" | "app.bsky.graph.block" | "app.bsky.graph.listblock":
            return (collection, did, record["subject"])
        case "app.bsky.graph.listitem":
            return (collection, record["list"], record["subject"])
        case "app.bsky.graph.verification":
            return (collection, record["subject"])
        case _:
            return (uri,)


def quoted(record: dict[str, Any]) -> str | None:
    """The post that a post quotes."""
    match record.get("embed"):
        case {"$type": "app.bsky.embed.record", "record": {"uri": str(uri)}}:
            return uri
        case {"$type": "app.bsky.embed.recordWithMedia", "record": {"record": {"uri": str(uri)}}}:
            return uri
        case _:
            return None


def notified(kept: Kept) -> Iterator[tuple[str, str]]:
    """(reason, DID) of whoever is told of a record, one more than once if it says so; nobody is told of their own act."""
    for reason, did in _concerned(kept):
        if did != kept.did:
            yield reason, did


def _concerned(kept: Kept) -> Iterator[tuple[str, str]]:
    record = kept.record
    match kept.collection:
        case "app.bsky.feed.like" | "app.bsky.feed.repost":
            yield "subject", authority(record["subject"]["uri"])
            via = record.get("via", {}).get("uri", "")
            if f"/{REPOST}/" in via:
                yield "via", authority(via)
        case "app.bsky.graph.follow" | "app.bsky.graph.verification":
            yield "subject", record["subject"]
        case "app.bsky.feed.post":
            if "reply" in record:
                yield "reply", authority(record["reply"]["parent"]["uri"])
            if (quote := quoted(record)) is not None:
                yield "quote", authority(quote)
            for feature in (feature for facet in record.get("facets", ()) for feature in facet["features"]):
                if feature["$type"] == "app.bsky.richtext.facet#mention":
                    yield "mention", feature["did"]
        case "app.bsky.actor.profile":
            if "joinedViaStarterPack" in record:
                yield "joined", authority(record["joinedViaStarterPack"]["uri"])
        case _:
            pass


def authority(uri: str) -> str:
    """The DID in an at-uri."""
    return uri.split("/")[2]
