"""The notifications that there should be, as SQL over the record tables; in the templates of `rebuild_rows`."""

from typing import NamedTuple

from indexer.database.rebuild_rows import correct
from indexer.effects import MAX_URI_CHARS, authority

# The notifications of the rows {rows}: each SELECT gives the columns of NOTICE.
NOTICE = ("recipient_did", "author_did", "reason", "reason_subject", "created_at", "cid")


def notices(record: str, author: str, each: str, *, cid: str = "NULL::text", created_at: str = "t.created_at") -> str:
    """The query of what rows t notify of. `each`: a query of (ending, recipient_did, reason, reason_subject), over t."""
    return f"""SELECT {record} || x.ending AS uri, x.recipient_did, {author} AS author_did, x.reason, x.reason_subject,
      {created_at} AS created_at, {cid} AS cid, t.indexed_at
      FROM {{rows}} AS t CROSS JOIN LATERAL ({each}) AS x (ending, recipient_did, reason, reason_subject)
      WHERE x.recipient_did NOT IN ('', {author}) AND length({record}) + length(x.ending) <= {MAX_URI_CHARS}"""


def pointer_notices(reason: str) -> str:
    """A like's or repost's."""
    return notices(
        "t.uri",
        "t.user_did",
        f"""SELECT s.ending, {authority("s.subject")}, s.reason, s.subject FROM (VALUES
        ('#notification', '{reason}', t.post_uri), ('#notification/{reason}-via-repost', '{reason}-via-repost',
          CASE WHEN t.via IS NOT NULL THEN unified_worker.referred(t.via, 'app.bsky.feed.repost') END)
        ) AS s (ending, reason, subject)""",
    )


class Notices(NamedTuple):
    """What a collection's rows notify of. `found`: the condition on a row p of `table` that is of the record {record}. `kept`:
    columns that the record table does not tell, given to a missing row as well as can be."""

    table: str
    query: str
    kept: tuple[str, ...] = ()
    found: str = "p.uri = {record}"

    def statement(self) -> str:
        """Inserts what is missing, corrects what differs."""
        compared = [name for name in NOTICE if name not in self.kept]
        return correct("notifications", self.query, compared, kept=self.kept, unless=TO_THE_WIPED)


PROFILE_URI = "'at://' || t.did || '/app.bsky.actor.profile/self'"
JOINED = "unified_worker.referred(t.profile_record -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack')"
NOTICES = {
    "app.bsky.feed.post": Notices(
        "posts",
        notices(
            "t.uri",
            "t.author_did",
            f"""SELECT '#notification/reply', {authority("t.parent_uri")}, 'reply', t.uri
        UNION ALL SELECT '#notification/quote', {authority("q.quoted_uri")}, 'quote', t.uri
          FROM {{schema}}.quotes AS q WHERE q.post_uri = t.uri
        UNION ALL SELECT '#notification/mention/' || m, m, 'mention', t.uri FROM unified_worker.mentioned(t.facets) AS m""",
            cid="t.cid",
        ),
    ),
    "app.bsky.feed.like": Notices("likes", pointer_notices("like"), ("cid",)),
    "app.bsky.feed.repost": Notices("reposts", pointer_notices("repost"), ("cid",)),
    "app.bsky.graph.follow": Notices(
        "follows", notices("t.uri", "t.follower_did", "SELECT '#notification', t.following_did, 'follow', NULL"), ("cid",)
    ),
    "app.bsky.graph.verification": Notices(
        "verifications",
        notices("t.uri", authority("t.uri"), "SELECT '#notification/verified', t.subject_did, 'verified', NULL", cid="t.cid"),
    ),
    "app.bsky.actor.profile": Notices(
        "users",
        notices(
            PROFILE_URI,
            "t.did",
            f"""SELECT '#notification/starterpack-joined', {authority("j")}, 'starterpack-joined', j
        FROM (SELECT {JOINED}) AS f (j) WHERE t.profile_record ? 'joinedViaStarterPack'""",
            created_at="t.indexed_at",
        ),
        ("created_at", "cid"),
        f"p.did = {authority('{record}')} AND {{record}} LIKE '%/self'",
    ),
}
# Other reasons are the application's own; 'unverified' is of a record that is gone.
REASONS = (
    "'like', 'repost', 'follow', 'reply', 'quote', 'mention', 'like-via-repost', 'repost-via-repost', 'starterpack-joined', "
    "'verified'"
)
# What notified an account before it was wiped is not to do so again, and nothing notifies one that is deleted.
TO_THE_WIPED = """EXISTS (
      SELECT FROM unified_worker.repos AS r
      WHERE r.did = x.recipient_did AND (
        r.wiping OR x.indexed_at <= r.wiped_at OR (r.status = 'deleted' AND NOT r.active)))"""


def wrong_notifications() -> str:
    """The statement for those that no record backs, or that went to somebody else. One look-up a row: by its collection."""
    record = "split_part(t.uri, '#', 1)"
    backed = "\n      ".join(
        f"""WHEN '{collection}' THEN (SELECT true FROM ({
            said.query.replace(
                "{rows}", f"(SELECT * FROM {{schema}}.{said.table} AS p WHERE {said.found.format(record=record)})"
            )
        }) AS x
        WHERE x.uri = t.uri AND x.recipient_did = t.recipient_did LIMIT 1)"""
        for collection, said in NOTICES.items()
    )
    return f"""DELETE FROM {{schema}}.notifications AS t
    WHERE {{range}} AND t.reason IN ({REASONS}) AND t.uri LIKE '%#notification%' AND (CASE split_part(t.uri, '/', 4)
      {backed}
    END) IS NOT TRUE"""
