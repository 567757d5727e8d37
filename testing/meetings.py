"""Where records of two repos meet: pairs of events that may be applied at one time, and what the tables say of them then."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

from testing.commits import (
    LIKE,
    POST,
    START,
    Op,
    Stream,
    at,
    delete,
    did,
    like,
    mentioning,
    post,
    put,
    quoting,
    ref,
    replying,
)
from testing.garbage import GENERATOR, LABELER, POST_GATE, THREAD_GATE, VERIFICATION
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.protocol.events import Account, Identity, RepoEvent
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.derived_tables import DERIVED_TABLES

TOKEN_LENGTH = 5  # characters: the names of all accounts of one pair begin with its token


class Act(NamedTuple):
    """What one account does: a commit, an #identity that says `handle`, or its own end; or what is done to it: the wipe that
    follows. `actor` is a letter."""

    actor: str
    ops: tuple[Op, ...] = ()
    handle: str | None = None
    end: Literal["deleted", "wiped"] | None = None


class Wipe(NamedTuple):
    """The rows of this account are taken away."""

    did: str


class Meeting(NamedTuple):
    """What is there `before`, and two events that meet."""

    before: Sequence[Act]
    left: Act
    right: Act


class Pair(NamedTuple):
    """The names of one meeting: no other has them."""

    token: str

    def did(self, actor: str) -> str:
        return did(self.token + actor)

    def uri(self, actor: str, collection: str = POST, rkey: str = "1") -> str:
        return f"at://{self.did(actor)}/{collection}/{rkey}"

    def event(self, stream: Stream, act: Act) -> RepoEvent | Wipe:
        did = self.did(act.actor)
        if act.end == "wiped":
            return Wipe(did)
        if act.handle is None and act.end is None:
            return stream.commit(self.token + act.actor, *act.ops)
        stream.seq += 1
        time = START + timedelta(seconds=stream.seq)
        if act.handle is None:
            return Account(stream.seq, did, time, False, act.end, b"")
        return Identity(stream.seq, did, time, act.handle, b"")


def by(actor: str, *ops: Op) -> Act:
    return Act(actor, ops)


def reply(root: str, parent: str | None = None) -> Op:
    return put(f"{POST}/1", post(reply=replying(ref(parent or root), ref(root))))


def gate(pair: Pair, actor: str, *rules: str) -> Op:
    allow = [{"$type": f"{THREAD_GATE}#{rule}Rule"} for rule in rules]
    return put(f"{THREAD_GATE}/1", {"$type": THREAD_GATE, "post": pair.uri(actor), "allow": allow, "createdAt": at(0)})


def verification(subject: str, minute: int) -> Op:
    record = {"$type": VERIFICATION, "subject": subject, "handle": "user.test", "displayName": "U", "createdAt": at(minute)}
    return put(f"{VERIFICATION}/1", record)


A_LIKE, A_POST, A_VERIFICATION = f"{LIKE}/1", f"{POST}/1", f"{VERIFICATION}/1"


def reply_and_the_root_author_s_like(p: Pair) -> Meeting:
    return Meeting([by("a", put(A_POST, post()))], by("b", reply(p.uri("a"))), by("a", put(A_LIKE, like(p.uri("b")))))


def generator_and_like(p: Pair) -> Meeting:
    feed = {"$type": GENERATOR, "did": "did:web:feeds.test", "displayName": "Feed", "createdAt": at(0)}
    return Meeting([], by("a", put(f"{GENERATOR}/1", feed)), by("b", put(A_LIKE, like(p.uri("a", GENERATOR)))))


def labeler_and_like(p: Pair) -> Meeting:
    labeler = {"$type": LABELER, "policies": {"labelValues": ["spam"]}, "createdAt": at(0)}
    return Meeting([], by("a", put(f"{LABELER}/self", labeler)), by("b", put(A_LIKE, like(p.uri("a", LABELER, "self")))))


def thread_gate_and_reply(p: Pair) -> Meeting:
    return Meeting([by("a", put(A_POST, post()))], by("a", gate(p, "a")), by("b", reply(p.uri("a"))))


def thread_gate_and_reply_deep_in_the_thread(p: Pair) -> Meeting:
    return Meeting([by("a", put(A_POST, post()))], by("a", gate(p, "a")), by("b", reply(p.uri("a"), p.uri("c"))))


def thread_gate_and_a_post_that_becomes_a_reply(p: Pair) -> Meeting:
    before = [by("a", put(A_POST, post())), by("b", put(A_POST, post()))]
    return Meeting(before, by("a", gate(p, "a")), by("b", reply(p.uri("a"))))


def reply_and_the_gate_of_its_parent_s_thread(p: Pair) -> Meeting:
    return Meeting([by("a", put(A_POST, post()))], by("a", gate(p, "a")), by("b", reply(p.uri("c"), p.uri("a"))))


def reply_and_its_parent_in_another_thread(p: Pair) -> Meeting:
    before = [by("a", put(A_POST, post()), gate(p, "a"))]
    return Meeting(before, by("d", reply(p.uri("a"))), by("b", reply(p.uri("c"), p.uri("d"))))


def change_of_the_gate_and_deletion_of_a_reply(p: Pair) -> Meeting:
    before = [by("a", put(A_POST, post()), gate(p, "a")), by("b", reply(p.uri("a")))]
    return Meeting(before, by("a", gate(p, "a", "mention", "following")), by("b", delete(A_POST)))


def mention_in_the_root_and_reply(p: Pair) -> Meeting:
    before = [by("a", put(A_POST, post()), gate(p, "a", "mention"))]
    return Meeting(before, by("a", put(A_POST, post(facets=mentioning(p.did("b"))), "update")), by("b", reply(p.uri("a"))))


def post_gate_and_quote(p: Pair) -> Meeting:
    rules = [{"$type": f"{POST_GATE}#disableRule"}]
    forbidden = put(f"{POST_GATE}/1", {"$type": POST_GATE, "post": p.uri("a"), "embeddingRules": rules, "createdAt": at(0)})
    quote = post(embed=quoting(ref(p.uri("a"))))
    return Meeting([by("a", put(A_POST, post()))], by("a", forbidden), by("b", put(A_POST, quote)))


def two_verifications(p: Pair) -> Meeting:
    return Meeting([], by("a", verification(p.did("s"), 1)), by("b", verification(p.did("s"), 2)))


def deletion_of_the_holder_and_a_younger(p: Pair) -> Meeting:
    before = [by("a", verification(p.did("s"), 1))]
    return Meeting(before, by("a", delete(A_VERIFICATION)), by("b", verification(p.did("s"), 2)))


def deletion_of_the_holder_and_an_older(p: Pair) -> Meeting:
    before = [by("a", verification(p.did("s"), 2))]
    return Meeting(before, by("a", delete(A_VERIFICATION)), by("b", verification(p.did("s"), 1)))


def deletions_of_the_holder_and_of_the_next(p: Pair) -> Meeting:
    before = [by(actor, verification(p.did("s"), minute)) for minute, actor in enumerate("abc")]
    return Meeting(before, by("a", delete(A_VERIFICATION)), by("b", delete(A_VERIFICATION)))


def deletion_of_the_holder_while_the_next_turns_away(p: Pair) -> Meeting:
    before = [by(actor, verification(p.did("s"), minute)) for minute, actor in enumerate("abc")]
    return Meeting(before, by("a", delete(A_VERIFICATION)), by("b", verification(p.did("t"), 1)))


def the_holder_turns_to_where_a_younger_comes(p: Pair) -> Meeting:
    before = [by("a", verification(p.did("s"), 1))]
    return Meeting(before, by("a", verification(p.did("t"), 1)), by("b", verification(p.did("t"), 2)))


def wipe_of_the_next_and_deletion_of_the_holder(p: Pair) -> Meeting:
    before = [by(actor, verification(p.did("s"), minute)) for minute, actor in enumerate("abc")]
    return Meeting([*before, Act("b", end="deleted")], by("a", delete(A_VERIFICATION)), Act("b", end="wiped"))


def wipe_of_the_holder_and_an_older(p: Pair) -> Meeting:
    before = [by("a", verification(p.did("s"), 2)), Act("a", end="deleted")]
    return Meeting(before, Act("a", end="wiped"), by("b", verification(p.did("s"), 1)))


def wipe_of_the_root_s_author_and_reply(p: Pair) -> Meeting:
    before = [by("a", put(A_POST, post()), gate(p, "a")), Act("a", end="deleted")]
    return Meeting(before, Act("a", end="wiped"), by("b", reply(p.uri("a"))))


def first_commit_and_the_holder_lets_go_of_its_handle(p: Pair) -> Meeting:
    handle = f"{p.token}.test"
    claims = [Act("b", handle=handle), Act("a", handle=handle)]
    return Meeting(claims, by("a", put(A_POST, post())), Act("b", handle=f"{p.token}-other.test"))


def two_claims_of_a_handle(p: Pair) -> Meeting:
    handle = f"{p.token}.test"
    before = [by("a", put(A_POST, post())), by("b", put(A_POST, post()))]
    return Meeting(before, Act("a", handle=handle), Act("b", handle=handle))


def like_and_unlike(p: Pair) -> Meeting:
    return Meeting([by("b", put(A_LIKE, like(p.uri("c"))))], by("a", put(A_LIKE, like(p.uri("c")))), by("b", delete(A_LIKE)))


def the_last_two_unlikes(p: Pair) -> Meeting:
    before = [by(actor, put(A_LIKE, like(p.uri("c")))) for actor in "ab"]
    return Meeting(before, by("a", delete(A_LIKE)), by("b", delete(A_LIKE)))


MEETINGS: tuple[Callable[[Pair], Meeting], ...] = (
    reply_and_the_root_author_s_like,
    generator_and_like,
    labeler_and_like,
    thread_gate_and_reply,
    thread_gate_and_reply_deep_in_the_thread,
    thread_gate_and_a_post_that_becomes_a_reply,
    reply_and_the_gate_of_its_parent_s_thread,
    reply_and_its_parent_in_another_thread,
    change_of_the_gate_and_deletion_of_a_reply,
    mention_in_the_root_and_reply,
    post_gate_and_quote,
    two_verifications,
    deletion_of_the_holder_and_a_younger,
    deletion_of_the_holder_and_an_older,
    deletions_of_the_holder_and_of_the_next,
    deletion_of_the_holder_while_the_next_turns_away,
    the_holder_turns_to_where_a_younger_comes,
    wipe_of_the_next_and_deletion_of_the_holder,
    wipe_of_the_holder_and_an_older,
    wipe_of_the_root_s_author_and_reply,
    first_commit_and_the_holder_lets_go_of_its_handle,
    two_claims_of_a_handle,
    like_and_unlike,
    the_last_two_unlikes,
)
WITHOUT_LOCK = {
    reply_and_the_gate_of_its_parent_s_thread,
    reply_and_its_parent_in_another_thread,
    change_of_the_gate_and_deletion_of_a_reply,
    two_verifications,
    deletion_of_the_holder_while_the_next_turns_away,
    the_holder_turns_to_where_a_younger_comes,
    wipe_of_the_holder_and_an_older,
    wipe_of_the_next_and_deletion_of_the_holder,
    like_and_unlike,
    the_last_two_unlikes,
}
"""Those that the unique index, the locks of rows and a wipe's second look keep right by themselves, or mostly."""

# What depends on when something came, or on the names' hashes.
LEFT_OUT = {
    *("id", "cid", "quoted_cid", "data_cid", "record", "held", "has_user", "seq", "rev"),
    *("commit_seq", "commit_rev", "commit_time", "came_at", "sort_at", "indexed_at", "updated_at"),
    *("handle_at", "handle_seq", "account_at", "account_seq", "wiped_at", "place_seq", "placed_at", "sync_at", "unproven_at"),
}
# Their created_at is of the row, not of a record; of a verification taken back it is the commit's time.
UNDATED = {"users", "post_aggregations", "post_viewer_states", "thread_contexts", "notifications"}
TABLES = (
    *(record_type.table for record_type in RECORD_TYPES),
    *(table.table for table in DERIVED_TABLES if not table.read_only),
    *("unified_worker.duplicate_records", "unified_worker.repos"),
)


async def outcomes(connection: Connection, pairs: Iterable[Pair]) -> dict[Pair, list[str]]:
    """What the tables say of each pair, in words that are equal where only names differ."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    tokens = {pair.token for pair in pairs}
    for table in TABLES:
        for (text,) in await connection.fetch(f"SELECT to_jsonb(t)::text FROM {table} AS t"):
            place = text.index("did:plc:") + len("did:plc:")
            token = text[place : place + TOKEN_LENGTH]
            if token not in tokens:
                continue
            row = json.loads(text.replace(token, "…"))
            left_out = LEFT_OUT | {"created_at"} if table in UNDATED else LEFT_OUT
            said = {name: value for name, value in row.items() if name not in left_out and value is not None}
            found[token].append(f"{table} {json.dumps(said, sort_keys=True, ensure_ascii=False)}")
    return {Pair(token): sorted(found[token]) for token in tokens}
