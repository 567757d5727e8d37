"""What the database should hold after a stream: slow, obvious, and without a line of the indexer's.

The model keeps every accepted record by its URI, as the simulator's truth says it, and works the rows out anew when asked.
The rules are those of the schema's description ("What the rows mean") and of the settled rules on duplicates and revs.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, Json, OpTruth, SyncTruth, Truth

Row = dict[str, Any]
Rows = dict[str, dict[str, Row]]

POST, LIKE, REPOST = "app.bsky.feed.post", "app.bsky.feed.like", "app.bsky.feed.repost"
FOLLOW, PROFILE = "app.bsky.graph.follow", "app.bsky.actor.profile"
COLLECTIONS = (POST, LIKE, REPOST, FOLLOW, PROFILE)
UNIQUE = {"likes": ("user_did", "post_uri"), "reposts": ("user_did", "post_uri"), "follows": ("follower_did", "following_did")}
JSON_COLUMNS = {"langs", "embed", "facets", "tags", "via", "profile_record", "pinned_post"}
MAX_BLOCK_BYTES = 2**20
MAX_LEVELS = 64
MAX_AHEAD = timedelta(minutes=5)  # a rev further ahead of its commit's time than this is refused
SHOWN = 20  # differences listed for each table

_TID_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_DID = re.compile(r"did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]")
_RECORD_URI = re.compile(r"at://([^/]+)/([a-zA-Z][a-zA-Z0-9-]*(?:\.[a-zA-Z0-9-]+)+\.[a-zA-Z][a-zA-Z0-9]*)/([a-zA-Z0-9._:~-]+)")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,20}))?(?:(Z)|([+-])([0-9]{2}):([0-9]{2}))"
)


class Refused(Exception):
    """An operation that gives no row; the message is the reason."""


@dataclass(frozen=True)
class Stored:
    """An accepted record, with the commit that wrote it last."""

    did: str
    collection: str
    cid: str
    record: dict[str, Any]
    seq: int
    rev: str
    time: datetime


class Model:
    """Feed it the stream's truths in order with `apply`; `rows` says what the tables should hold."""

    def __init__(self) -> None:
        self.revs: dict[str, str] = {}
        self.records: dict[str, Stored] = {}
        self.users: set[str] = set()
        self.stale = 0  # commits that changed nothing, because their rev is not newer
        self.refused: list[tuple[int, str, str]] = []  # seq, path, reason

    def apply(self, truth: Truth) -> None:
        """Take one event in."""
        match truth:
            case CommitTruth():
                self._commit(truth)
            case SyncTruth(_, did, rev, _):
                self.revs[did] = max(rev, self.revs.get(did, ""))
            case IdentityTruth() | AccountTruth():
                pass

    def _commit(self, commit: CommitTruth) -> None:
        if commit.rev <= self.revs.get(commit.did, ""):
            self.stale += 1
            return
        time = cast("datetime", instant(commit.time))
        if tid_time(commit.rev) > time + MAX_AHEAD:
            self.refused.append((commit.seq, "", "rev is ahead of its time"))
            return
        if commit.too_big:
            self.refused.append((commit.seq, "", "too big"))
            return
        self.revs[commit.did] = commit.rev
        for op in commit.ops:
            if op.collection in COLLECTIONS:
                try:
                    self._op(commit, op, time)
                except Refused as reason:
                    self.refused.append((commit.seq, f"{op.collection}/{op.rkey}", str(reason)))

    def _op(self, commit: CommitTruth, op: OpTruth, time: datetime) -> None:
        uri = f"at://{commit.did}/{op.collection}/{op.rkey}"
        if op.action == "delete":
            self.records.pop(uri, None)
            return
        if op.fault is not None:
            raise Refused(op.fault)
        if op.size > MAX_BLOCK_BYTES:
            raise Refused("the record is over 1 MB")
        check_data_model(op.record, 1)
        if not isinstance(op.record, dict) or op.record.get("$type") != op.collection:
            raise Refused("$type is not the collection")
        if op.collection == PROFILE and op.rkey != "self":
            raise Refused("a profile's key is 'self'")
        record = cast("dict[str, Any]", without_nul(op.record))
        CHECKS[op.collection](record)
        self.users.add(commit.did)
        self.records[uri] = Stored(commit.did, op.collection, op.cid or "", record, commit.seq, commit.rev, time)

    def rows(self) -> Rows:
        """{table: {primary key: {column: value}}}, holders of a unique key only."""
        return self._worked_out()[0]

    def duplicate_records(self) -> set[str]:
        """The URIs of the records that wait, because another of the same account has their unique key."""
        return self._worked_out()[1]

    def _worked_out(self) -> tuple[Rows, set[str]]:
        rows: Rows = {"users": {}, "posts": {}, "likes": {}, "reposts": {}, "follows": {}}
        for did in self.users:
            profile = self.records.get(f"at://{did}/{PROFILE}/self")
            rows["users"][did] = user_row(did, profile.record if profile else None)
        for uri, stored in self.records.items():
            match stored.collection:
                case "app.bsky.feed.post":
                    rows["posts"][uri] = post_row(uri, stored)
                case "app.bsky.feed.like":
                    rows["likes"][uri] = pointer_row(uri, stored)
                case "app.bsky.feed.repost":
                    rows["reposts"][uri] = pointer_row(uri, stored)
                case "app.bsky.graph.follow":
                    rows["follows"][uri] = follow_row(uri, stored)
                case _:
                    pass
        waiting: set[str] = set()
        for table, columns in UNIQUE.items():
            holders: dict[tuple[str, ...], Row] = {}
            for row in sorted(rows[table].values(), key=lambda row: (row["created_at"], row["uri"])):
                key = tuple(row[column] for column in columns)
                if holders.setdefault(key, row) is not row:
                    waiting.add(row["uri"])
            rows[table] = {row["uri"]: row for row in holders.values()}
        return rows, waiting


def user_row(did: str, profile: dict[str, Any] | None) -> Row:
    """A row of users; without a profile only the name that every user has."""
    record = profile or {}
    return {
        "did": did,
        "handle": "handle.invalid",
        "display_name": record.get("displayName"),
        "description": record.get("description"),
        "avatar_url": record["avatar"]["ref"]["$link"] if "avatar" in record else None,
        "banner_url": record["banner"]["ref"]["$link"] if "banner" in record else None,
        "profile_record": profile,
        "pinned_post": record.get("pinnedPost"),
    }


def commit_columns(uri: str, stored: Stored) -> Row:
    """What posts, likes, reposts and follows have in common."""
    created = stored.record.get("createdAt")
    return {
        "uri": uri,
        "created_at": (instant(created) if isinstance(created, str) else None) or stored.time,
        "commit_seq": str(stored.seq),
        "commit_rev": stored.rev,
        "commit_time": stored.time,
    }


def post_row(uri: str, stored: Stored) -> Row:
    """A row of posts."""
    record = stored.record
    reply = record.get("reply", {})
    return {
        **commit_columns(uri, stored),
        "cid": stored.cid,
        "author_did": stored.did,
        "text": record["text"],
        "langs": record.get("langs"),
        "embed": record.get("embed"),
        "facets": record.get("facets"),
        "tags": tags_of(record),
        "parent_uri": reply["parent"]["uri"] if reply else None,
        "parent_cid": reply["parent"]["cid"] if reply else None,
        "root_uri": reply["root"]["uri"] if reply else None,
        "root_cid": reply["root"]["cid"] if reply else None,
    }


def tags_of(record: dict[str, Any]) -> list[str]:
    """The record's tags, then those of its facets, each once."""
    tags = list(record.get("tags", []))
    for facet in record.get("facets", []):
        for feature in items_of(field_of(facet, "features")):
            if field_of(feature, "$type") == "app.bsky.richtext.facet#tag":
                tags += [field_of(feature, "tag")]
    distinct: list[str] = []
    for tag in tags:
        if isinstance(tag, str) and tag not in distinct:
            distinct.append(tag)
    return distinct


def field_of(value: Any, name: str) -> Any:
    """A field of what may be no map; None if it isn't there."""
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else None


def items_of(value: Any) -> list[Any]:
    """The items of what may be no list."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def pointer_row(uri: str, stored: Stored) -> Row:
    """A row of likes or reposts."""
    subject = stored.record["subject"]
    return {
        **commit_columns(uri, stored),
        "user_did": stored.did,
        "post_uri": subject["uri"],
        "subject_cid": subject["cid"],
        "via": stored.record.get("via"),
    }


def follow_row(uri: str, stored: Stored) -> Row:
    """A row of follows."""
    return {**commit_columns(uri, stored), "follower_did": stored.did, "following_did": stored.record["subject"]}


def check_data_model(value: Json, level: int) -> None:
    """Refuses what is not the data model: floats, integers beyond int64, over 64 levels of maps and lists, odd `$type`s."""
    if isinstance(value, dict | list) and level > MAX_LEVELS:
        raise Refused("nested too deep")
    match value:
        case dict():
            check_type(value)
            for inner in value.values():
                check_data_model(inner, level + 1)
        case list():
            for inner in value:
                check_data_model(inner, level + 1)
        case float():
            raise Refused("a float")
        case int() if not -(2**63) <= value < 2**63:
            raise Refused("an integer beyond 64 bits")
        case _:
            pass


def check_type(fields: dict[str, Json]) -> None:
    """A map's `$type` is a text that isn't empty, and a blob has what makes a blob."""
    if "$type" in fields and (not isinstance(fields["$type"], str) or not fields["$type"]):
        raise Refused("an odd $type")
    if fields.get("$type") == "blob":
        size = fields.get("size")
        whole = isinstance(size, int) and not isinstance(size, bool) and size >= 0
        if (
            not isinstance(field_of(fields.get("ref"), "$link"), str)
            or not isinstance(fields.get("mimeType"), str)
            or not whole
        ):
            raise Refused("a blob without ref, mimeType or size")


def without_nul(value: Json) -> Json:
    """The value with NUL taken out of its texts and keys."""
    if isinstance(value, dict):
        return {key.replace("\0", ""): without_nul(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nul(inner) for inner in value]
    return value.replace("\0", "") if isinstance(value, str) else value


def check_post(record: dict[str, Any]) -> None:
    """Refuses an unusable post."""
    if not isinstance(record.get("text"), str):
        raise Refused("no text")
    for field in ("langs", "tags"):
        if field in record and not (isinstance(record[field], list) and all(isinstance(item, str) for item in record[field])):
            raise Refused(f"{field} is no list of texts")
    if not isinstance(record.get("facets", []), list):
        raise Refused("facets is no list")
    if not isinstance(record.get("embed", {}), dict):
        raise Refused("embed is no map")
    if "reply" in record:
        if not isinstance(record["reply"], dict):
            raise Refused("reply is no map")
        check_reference(field_of(record["reply"], "parent"))
        check_reference(field_of(record["reply"], "root"))


def check_pointer(record: dict[str, Any]) -> None:
    """Refuses an unusable like or repost."""
    check_reference(record.get("subject"))
    if not isinstance(record.get("via", {}), dict):
        raise Refused("via is no map")


def check_reference(reference: Any) -> None:
    """Refuses what names no record by URI and CID."""
    uri, cid = field_of(reference, "uri"), field_of(reference, "cid")
    if not isinstance(uri, str) or not isinstance(cid, str):
        raise Refused("a reference without uri or cid")
    found = _RECORD_URI.fullmatch(uri)
    if len(uri) > 512 or found is None or not _DID.fullmatch(found[1]) or found[3] in (".", ".."):
        raise Refused("the uri names no record")
    if len(cid) > 255:
        raise Refused("the cid is too long")


def check_follow(record: dict[str, Any]) -> None:
    """Refuses an unusable follow."""
    subject = record.get("subject")
    if not isinstance(subject, str) or len(subject) > 255 or not _DID.fullmatch(subject):
        raise Refused("the subject is no DID")


def check_profile(record: dict[str, Any]) -> None:
    """Refuses an unusable profile."""
    for field in ("displayName", "description"):
        if not isinstance(record.get(field, ""), str):
            raise Refused(f"{field} is no text")
    for field in ("avatar", "banner"):
        if field in record and not isinstance(field_of(field_of(record[field], "ref"), "$link"), str):
            raise Refused(f"{field} is no blob")
    if not isinstance(record.get("pinnedPost", {}), dict):
        raise Refused("pinnedPost is no map")


CHECKS = {POST: check_post, LIKE: check_pointer, REPOST: check_pointer, FOLLOW: check_follow, PROFILE: check_profile}


def instant(text: str) -> datetime | None:
    """The instant of a protocol datetime, None for anything else."""
    found = _TIME.fullmatch(text)
    if found is None or text.endswith("-00:00"):
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    micros = int((found[7] or "").ljust(6, "0")[:6])
    shift = timedelta(hours=int(found[10] or 0), minutes=int(found[11] or 0))
    if shift >= timedelta(hours=24) or int(found[11] or 0) > 59:
        return None
    try:
        local = datetime(year, month, day, hour, minute, second, micros, UTC)
        return local + shift if found[9] == "-" else local - shift
    except (ValueError, OverflowError):
        return None


def tid_time(tid: str) -> datetime:
    """The instant in a TID."""
    number = 0
    for digit in tid:
        number = number * 32 + _TID_DIGITS.index(digit)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number >> 10)


async def compare(model: Model, connection: Any) -> list[str]:
    """The differences between the database and the model, in words, at most 20 a table; none when they agree.

    `connection` is asyncpg's. What the model can't know is left out: indexed_at, updated_at, users.created_at, search_vector.
    """
    rows, waiting = model.rows(), model.duplicate_records()
    differences: list[str] = []
    for table, expected in rows.items():
        key = "did" if table == "users" else "uri"
        found = {row[key]: dict(row) for row in await connection.fetch(f"SELECT * FROM {table}")}
        differences += _shortened(table, _table_differences(table, expected, found))
    held = {row["uri"] for row in await connection.fetch("SELECT uri FROM unified_worker.duplicate_records")}
    differences += _shortened("duplicate_records", [f"duplicate_records: {uri} should wait" for uri in sorted(waiting - held)])
    return differences + _shortened(
        "duplicate_records", [f"duplicate_records: {uri} should not wait" for uri in sorted(held - waiting)]
    )


def _table_differences(table: str, expected: dict[str, Row], found: dict[str, Row]) -> list[str]:
    differences = [f"{table}: {key} is missing" for key in sorted(expected.keys() - found.keys())]
    differences += [f"{table}: {key} should not be there" for key in sorted(found.keys() - expected.keys())]
    for key in sorted(expected.keys() & found.keys()):
        for column, value in expected[key].items():
            actual = _plain(column, found[key].get(column))
            if actual != value:
                differences.append(f"{table}: {key}: {column} is {actual!r:.200}, should be {value!r:.200}")
    return differences


def _plain(column: str, value: Any) -> Any:
    """A value from the database as the model writes it, whatever the column's type."""
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if column in JSON_COLUMNS and isinstance(value, str):
        return json.loads(value)
    return value


def _shortened(table: str, differences: list[str]) -> list[str]:
    if len(differences) <= SHOWN:
        return differences
    return [*differences[:SHOWN], f"{table}: and {len(differences) - SHOWN} more"]
