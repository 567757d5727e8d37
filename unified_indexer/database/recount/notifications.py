"""Recount the notifications that records cause, for a check; as `rows` does with the other derived rows."""

from unified_indexer.database.recount.compare import Kind, Scope, Source
from unified_indexer.database.recount.others import Others
from unified_indexer.database.recount.rows import DID, REPOST, STARTER_PACK, names_record, quoting, said

REASONS = (
    *("like", "repost", "follow", "reply", "quote", "mention"),
    *("like-via-repost", "repost-via-repost", "starterpack-joined", "verified"),
)
SLACK = "5 minutes"  # that a commit may have been under way when a sweep began
PROFILE = "app.bsky.actor.profile"


def notifications(schema: str, *, strict: bool) -> Kind:
    """Whom records tell of themselves. One that is not there may have been deleted by the application: a difference only if
    `strict`, and not where the one whom it is to was wiped since. To an account that is deleted there are none, but those that
    came since the last sweep. Of what came with a whole repo (`quiet`) only some notified anybody, and no other is missing.
    CIDs of likes, reposts and follows are in no record table."""

    others = Others(schema, "notifications")
    undated = ", ".join(f"'{collection}'" for collection in (PROFILE, *others.unknown("created_at")))
    dated = "CASE WHEN split_part({0}.{1}, '/', 4) NOT IN ({2}) THEN {0}.created_at::timestamptz END"

    def should(scope: Scope) -> str:
        when = dated.format("x", "uri", undated)
        other = f"x.uri, '', x.recipient_did, x.author_did, x.reason, x.reason_subject, {when}, x.quiet"
        called = [*called_for(schema, scope), *others.rows(scope, other)]
        # A look-up each: EXISTS might be hashed, for which all repos are read.
        wiped = """coalesce((
      SELECT r.wiping OR r.wiped_at IS NOT NULL FROM unified_worker.repos AS r WHERE r.did = n.recipient), false)"""
        notice = said(
            recipient_did="n.recipient", author_did="n.author", reason="n.reason", reason_subject="n.subject",
            created_at="n.created_at::timestamptz",
        )  # fmt: skip
        optional = wiped if strict else "true"
        return f"""SELECT n.record || n.ending AS key, {notice}, {optional} AS optional FROM (
    {" UNION ALL ".join(called)}) AS n (record, ending, recipient, author, reason, subject, created_at, quiet)
    WHERE n.recipient <> n.author AND n.recipient <> '' AND length(n.record || n.ending) <= 512
      AND NOT coalesce((
        SELECT r.status = 'deleted' AND NOT r.active FROM unified_worker.repos AS r WHERE r.did = n.recipient), false)
      AND (NOT n.quiet OR (SELECT true FROM {schema}.notifications AS t WHERE t.uri = n.record || n.ending))"""

    def has(scope: Scope) -> str:
        notice = said(
            recipient_did="n.recipient_did", author_did="n.author_did", reason="n.reason", reason_subject="n.reason_subject",
            created_at=dated.format("n", "uri", undated),
        )  # fmt: skip
        reasons = ", ".join(f"'{reason}'" for reason in dict.fromkeys((*REASONS, *others.reasons)))
        query = f"""SELECT n.uri AS key, {notice} FROM {schema}.notifications AS n
    WHERE n.reason IN ({reasons}) AND n.uri LIKE '%#notification%' AND NOT coalesce((
        SELECT r.wiping OR coalesce(n.indexed_at::timestamptz >= s.swept_at - interval '{SLACK}', true)
        FROM unified_worker.repos AS r LEFT JOIN unified_worker.sweep AS s ON s.one
        WHERE r.did = n.recipient_did AND r.status = 'deleted' AND NOT r.active), false) AND """
        # Those of the sample itself, and those that its records call for; each by its key.
        return (
            f"{query} {scope.only('n.uri')} UNION {query} n.uri IN (SELECT key FROM should)"
            if scope.sampled
            else f"{query} true"
        )

    tables = ("notifications", "likes", "reposts", "follows", "posts", "verifications")
    sources = (
        *(Source(f"{schema}.{table}", "t.uri") for table in tables),
        Source(f"{schema}.users", f"'at://' || t.did || '/{PROFILE}/self'", "t.profile_record ? 'joinedViaStarterPack'"),
        *others.sources(),
    )
    return Kind(name="notifications", should=should, has=has, sources=sources)


def untold(uri: str) -> str:
    """Whether the record at this URI, whose table does not say it, came with a whole repo."""
    return f"coalesce((SELECT c.quiet FROM unified_worker.commit_times AS c WHERE c.uri = {uri}), false)"


def called_for(schema: str, scope: Scope) -> list[str]:
    """Queries of (record, ending, recipient, author, reason, subject, created_at, quiet)."""
    mine = scope.only("t.uri")
    dids = (
        f"""u.did = ANY (ARRAY(SELECT split_part(k, '/', 3) FROM unnest($1::text[]) AS k
      WHERE split_part(k, '/', 4) = '{PROFILE}'))"""
        if scope.sampled
        else "true"
    )
    pointers = [
        f"""SELECT t.uri, '#notification', split_part(t.post_uri, '/', 3), t.user_did, '{reason}', t.post_uri, t.created_at,
      t.commit_seq IS NULL
    FROM {schema}.{table} AS t WHERE {mine}
    UNION ALL SELECT t.uri, '#notification/{reason}-via-repost', split_part(t.via ->> 'uri', '/', 3), t.user_did,
      '{reason}-via-repost', t.via ->> 'uri', t.created_at, t.commit_seq IS NULL
    FROM {schema}.{table} AS t WHERE {mine} AND t.via IS NOT NULL AND {names_record("t.via", REPOST)}"""
        for table, reason in (("likes", "like"), ("reposts", "repost"))
    ]
    return [
        *pointers,
        f"""SELECT t.uri, '#notification', t.following_did, t.follower_did, 'follow', NULL, t.created_at,
      t.commit_seq IS NULL
    FROM {schema}.follows AS t WHERE {mine}""",
        f"""SELECT t.uri, '#notification/reply', split_part(t.parent_uri, '/', 3), t.author_did, 'reply', t.uri, t.created_at,
      t.commit_seq IS NULL
    FROM {schema}.posts AS t WHERE {mine} AND t.parent_uri LIKE 'at://did:%' AND NOT t.violates_thread_gate""",
        f"""SELECT q.uri, '#notification/quote', split_part(q.quoted_uri, '/', 3), q.author_did, 'quote', q.uri, q.created_at,
      q.commit_seq IS NULL
    FROM ({quoting(schema, f"{scope.only('p.uri')} AND NOT p.violates_embedding_rules")}) AS q""",
        f"""SELECT DISTINCT t.uri, '#notification/mention/' || (f ->> 'did'), f ->> 'did', t.author_did, 'mention', t.uri,
      t.created_at, t.commit_seq IS NULL
    FROM {schema}.posts AS t CROSS JOIN LATERAL jsonb_path_query(t.facets, 'strict $[*].features[*]', silent => true) AS f
    WHERE {mine} AND t.facets IS NOT NULL AND f ->> '$type' = 'app.bsky.richtext.facet#mention'
      AND jsonb_typeof(f -> 'did') = 'string' AND length(f ->> 'did') <= 255 AND f ->> 'did' ~ '^{DID}$'""",
        f"""SELECT t.uri, '#notification/verified', t.subject_did, split_part(t.uri, '/', 3), 'verified', NULL, t.created_at,
      {untold("t.uri")}
    FROM {schema}.verifications AS t WHERE {mine}""",
        f"""SELECT 'at://' || u.did || '/{PROFILE}/self', '#notification/starterpack-joined',
      split_part(j.ref ->> 'uri', '/', 3), u.did, 'starterpack-joined', j.ref ->> 'uri', NULL,
      {untold(f"'at://' || u.did || '/{PROFILE}/self'")}
    FROM {schema}.users AS u CROSS JOIN LATERAL (SELECT u.profile_record -> 'joinedViaStarterPack') AS j (ref)
    WHERE {dids} AND j.ref IS NOT NULL AND {names_record("j.ref", STARTER_PACK)}""",
    ]
