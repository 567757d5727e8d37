"""All tables, worked out anew from the records that are there. Slow and obvious."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from testing.model.gates import Gates
from testing.model.history import History
from testing.model.names import (
    BEFORE,
    FOLLOW,
    LIKE,
    LIST_ITEM,
    POST,
    PROFILE,
    REPOST,
    THREAD_GATE,
    UNDETERMINED,
    Pair,
    Row,
    Rows,
    Stored,
)
from testing.model.notices import notifications, unverified
from testing.model.posts import parent_uri, quote, root_author
from testing.model.protocol import record_uri
from testing.model.tables import RECORD_TABLES, UNIQUE, row, user_row

COUNTS = ("like_count", "repost_count", "reply_count", "quote_count")
DERIVED_TABLES = ("feed_items", "quotes", "post_aggregations", "post_viewer_states", "thread_contexts", "notifications")


@dataclass
class Expected:
    """What the tables should hold. `optional`: rows (by table) that may be absent; `waiting`: records that wait for their key.

    A column may be UNDETERMINED.
    """

    rows: Rows = field(default_factory=dict[str, dict[str, Row]])
    waiting: set[str] = field(default_factory=set[str])
    optional: dict[str, set[str]] = field(default_factory=dict[str, set[str]])

    def left_out(self) -> int:
        """How many rows are not wholly known, because the order between repos decides about them."""
        cells = sum(value is UNDETERMINED for post in self.rows["posts"].values() for value in post.values())
        return cells + sum(map(len, self.optional.values()))

    def strict(self) -> int:
        """How many rows are known in all that they say."""
        return sum(map(len, self.rows.values())) - self.left_out()


def worked_out(records: list[Stored], handles: dict[str, str], history: History) -> Expected:
    """The tables of these records. `handles` holds those who have a row in users, with the handle that is theirs."""
    expected = Expected({table: {} for table in ("users", *RECORD_TABLES, *DERIVED_TABLES)})
    rows = expected.rows
    for did, handle in handles.items():
        rows["users"][did] = user_row(did, handle, None)
    for stored in records:
        if stored.collection == PROFILE:
            rows["users"][stored.did] = user_row(stored.did, handles[stored.did], stored.record)
        else:
            table, made = row(stored)
            rows[table][made.get("uri") or made["post_uri"]] = made
    came = {stored.uri: stored.time for stored in records}
    for table, columns in UNIQUE.items():
        expected.waiting |= _leave_holders(rows[table], columns, came if table == "verifications" else {})
    held = [stored for stored in records if stored.uri not in expected.waiting]
    _gate(rows, held, history)
    _count(rows, held)
    _feed(rows, held)
    _show(rows, held)
    _notify(expected, held, history)
    return expected


def _leave_holders(rows: dict[str, Row], columns: tuple[str, ...], came: dict[str, datetime]) -> set[str]:
    """Of the rows with one unique key leave the oldest; returns the others' URIs.

    `came`, where accounts compete: the times of their commits, which go before what they say of themselves.
    """
    holders: dict[tuple[str, ...], str] = {}
    waiting: set[str] = set()
    order = sorted(rows.values(), key=lambda found: (found["created_at"], found["uri"]))
    if came:
        order.sort(key=lambda found: came[found["uri"]])
    for found in order:
        key = tuple(found[column] for column in columns)
        if holders.setdefault(key, found["uri"]) != found["uri"]:
            waiting.add(found["uri"])
    for uri in waiting:
        del rows[uri]
    return waiting


def _gate(rows: Rows, held: list[Stored], history: History) -> None:
    pairs: dict[Pair, datetime] = {}
    for stored in held:
        if stored.collection in (FOLLOW, LIST_ITEM) and stored.pair is not None:
            pairs[stored.pair] = stored.time
    posts = {stored.uri: stored for stored in held if stored.collection == POST}
    since = {stored.record["post"]: stored.time for stored in held if stored.collection == THREAD_GATE}
    gates = Gates(rows["thread_gates"], rows["post_gates"], posts, pairs, since, history)
    for uri, post in posts.items():
        rows["posts"][uri].update(gates.columns(post))


def _count(rows: Rows, held: list[Stored]) -> None:
    counts = {name: Counter[str]() for name in COUNTS}
    for stored in held:
        match stored.collection:
            case "app.bsky.feed.like":
                counts["like_count"][stored.record["subject"]["uri"]] += 1
            case "app.bsky.feed.repost":
                counts["repost_count"][stored.record["subject"]["uri"]] += 1
            case "app.bsky.feed.post":
                parent, quoted = parent_uri(stored), quote(stored)
                counts["reply_count"].update([parent] if parent is not None and record_uri(parent) is not None else [])
                counts["quote_count"].update([quoted.uri] if quoted is not None else [])
            case _:
                pass
    for uri in set[str]().union(*counts.values()):
        numbers = {name: counts[name][uri] for name in COUNTS}
        rows["post_aggregations"][uri] = {"post_uri": uri, **numbers, "bookmark_count": 0}
    for table in ("feed_generators", "labeler_services"):
        for uri, found in rows[table].items():
            found["like_count"] = counts["like_count"][uri]


def _feed(rows: Rows, held: list[Stored]) -> None:
    for stored in held:
        if stored.collection == POST:
            subject, kind = stored.uri, "post" if parent_uri(stored) is None else "reply"
        elif stored.collection == REPOST:
            subject, kind = stored.record["subject"]["uri"], "repost"
        else:
            continue
        rows["feed_items"][stored.uri] = {
            "uri": stored.uri,
            "post_uri": subject,
            "originator_did": stored.did,
            "type": kind,
            "sort_at": UNDETERMINED if stored.seq == BEFORE else min(stored.created_at, stored.time),
            "cid": stored.cid,
            "created_at": stored.created_at,
        }


def _show(rows: Rows, held: list[Stored]) -> None:
    """What posts show of their quotes, of those who look at them, and of their threads' authors."""
    for stored in held:
        quoted = quote(stored) if stored.collection == POST else None
        if quoted is not None:
            rows["quotes"][f"{stored.uri}#quote"] = {
                "uri": f"{stored.uri}#quote",
                "cid": stored.cid,
                "post_uri": stored.uri,
                "quoted_uri": quoted.uri,
                "quoted_cid": quoted.cid,
                "created_at": stored.created_at,
            }
        if stored.collection in (LIKE, REPOST):
            uri = stored.record["subject"]["uri"]
            state = rows["post_viewer_states"].setdefault(f"{uri} {stored.did}", _viewer_state(uri, stored.did))
            state["like_uri" if stored.collection == LIKE else "repost_uri"] = stored.uri
    for stored in held:
        if stored.collection == POST and parent_uri(stored) is not None:
            state = rows["post_viewer_states"].get(f"{stored.uri} {root_author(stored)}", {})
            rows["thread_contexts"][stored.uri] = {"post_uri": stored.uri, "root_author_like_uri": state.get("like_uri")}


def _viewer_state(uri: str, did: str) -> Row:
    flags = ("bookmarked", "thread_muted", "reply_disabled", "embedding_disabled", "pinned")
    return {"post_uri": uri, "viewer_did": did, "like_uri": None, "repost_uri": None, **dict.fromkeys(flags, False)}


def _notify(expected: Expected, held: list[Stored], history: History) -> None:
    """None to who is deleted. Who came back since has been wiped, and who came first, the wipe or their cause, is open."""
    found = expected.rows["notifications"]
    optional = expected.optional["notifications"] = set[str]()
    for stored in held:
        if stored.seq != BEFORE:
            found.update((notice["uri"], notice) for notice in notifications(stored))
    # Nobody hears of what a gate forbids.
    for uri, post in expected.rows["posts"].items():
        for reason, violated in (("reply", "violates_thread_gate"), ("quote", "violates_embedding_rules")):
            notice_uri = f"{uri}#notification/{reason}"
            if post[violated] is True:
                found.pop(notice_uri, None)
            elif post[violated] is UNDETERMINED and notice_uri in found:
                optional.add(notice_uri)
    for removed in history.removed.values():
        for notice in unverified(removed):
            found[notice["uri"]] = notice
            if not history.surely_held(removed.verification):
                optional.add(notice["uri"])
    # A wipe takes notifications away, and with them the only trace of a like's or a follow's CID: one that is made again when
    # such a record takes its key back has none.
    for uri in [uri for uri, notice in found.items() if notice["recipient_did"] in history.deleted]:
        del found[uri]
        optional.discard(uri)
    for uri, notice in found.items():
        if notice["recipient_did"] in history.wiped:
            optional.add(uri)
            notice["cid"] = UNDETERMINED
