"""Recount derived rows for a check: plain joins over the record tables, and none of the SQL that writes or rebuilds those
rows, whose faults it would share. Each kind as `compare` needs it."""

from unified_indexer.database.recount.compare import Kind, Scope, Source
from unified_indexer.database.recount.others import Others
from unified_indexer.records import RECORD_TYPES

DID = "did:[a-z]+:[a-zA-Z0-9._:%-]*[a-zA-Z0-9._-]"
POST, REPOST, STARTER_PACK = "app.bsky.feed.post", "app.bsky.feed.repost", "app.bsky.graph.starterpack"
DISABLED = '[{"$type": "app.bsky.feed.postgate#disableRule"}]'
FLAGS = ("bookmarked", "thread_muted", "reply_disabled", "embedding_disabled", "pinned")


def names_record(ref: str, collection: str) -> str:
    """The condition that a JSON value has the URI of a record of the collection."""
    uri = f"({ref} ->> 'uri')"
    pattern = f"^at://{DID}/{collection.replace('.', '[.]')}/[a-zA-Z0-9._:~-]+$"
    return f"""(jsonb_typeof({ref} -> 'uri') = 'string' AND length({uri}) <= 512 AND {uri} ~ '{pattern}'
      AND length(split_part({uri}, '/', 3)) <= 255 AND split_part({uri}, '/', 5) NOT IN ('.', '..'))"""


def quoting(schema: str, condition: str) -> str:
    """The posts p of the condition that quote another: (uri, cid, author_did, created_at, quoted_uri, quoted_cid,
    commit_seq)."""
    return f"""SELECT p.uri, p.cid, p.author_did, p.created_at, r.ref ->> 'uri' AS quoted_uri, r.ref ->> 'cid' AS quoted_cid,
      p.commit_seq
    FROM {schema}.posts AS p CROSS JOIN LATERAL (SELECT CASE p.embed ->> '$type'
      WHEN 'app.bsky.embed.record' THEN p.embed -> 'record'
      WHEN 'app.bsky.embed.recordWithMedia' THEN p.embed -> 'record' -> 'record' END) AS r (ref)
    WHERE {condition} AND r.ref IS NOT NULL AND {names_record("r.ref", POST)}
      AND jsonb_typeof(r.ref -> 'cid') = 'string' AND length(r.ref ->> 'cid') <= 255
      AND length(p.uri || '#quote') <= 512"""


def said(**fields: str) -> str:
    """The expressions as one JSON object, by name."""
    pairs = ", ".join(f"'{name}', {value}" for name, value in fields.items())
    return f"jsonb_build_object({pairs}) AS said"


def counts(schema: str, others: Others) -> Kind:
    """For each URI that something refers to: how many likes, reposts, replies and quotes do."""
    columns = ("like_count", "repost_count", "reply_count", "quote_count")
    counted = (("likes", "post_uri"), ("reposts", "post_uri"), ("posts", "parent_uri"), ("quotes", "quoted_uri"))
    result = said(**{column: f"x.{column}" for column in columns})

    def should(scope: Scope) -> str:
        parts = [
            f"SELECT t.{of} AS uri, {', '.join(str(int(place == nth)) for nth in range(4))} FROM {schema}.{table} AS t "
            f"WHERE t.{of} LIKE 'at://did:%' AND {scope.only(f't.{of}')}"
            for place, (table, of) in enumerate(counted)
        ]
        each = ", ".join(f"coalesce((to_jsonb(x) ->> '{column}')::int, 0)" for column in columns)
        parts += others.rows(scope, f"x.post_uri, {each}", "post_uri")
        sums = ", ".join(f"sum({column}) AS {column}" for column in columns)
        return f"""SELECT x.uri AS key, {result}, false AS optional FROM (
      SELECT uri, {sums} FROM ({" UNION ALL ".join(parts)}) AS one (uri, {", ".join(columns)}) GROUP BY uri) AS x"""

    def has(scope: Scope) -> str:
        zero = " AND ".join(f"x.{column} = 0" for column in columns)
        return f"""SELECT x.post_uri AS key, {result} FROM {schema}.post_aggregations AS x
    WHERE {scope.only("x.post_uri")} AND NOT (x.bookmark_count <> 0 AND {zero})"""

    counting = (*(Source(f"{schema}.{t}", f"t.{of}") for t, of in counted), *others.sources("post_uri"))
    sources = (Source(f"{schema}.post_aggregations", "t.post_uri"), *counting)
    return Kind(name="post_aggregations", should=should, has=has, sources=sources)


def shown(schema: str, table: str, column: str) -> Kind:
    """The likes of records whose own table shows the count."""
    return Kind(
        name=f"{table}.{column}",
        should=lambda scope: (
            f"""SELECT t.uri AS key, {said(**{column: "count(l.uri)"})}, false AS optional
    FROM {schema}.{table} AS t LEFT JOIN {schema}.likes AS l ON l.post_uri = t.uri WHERE {scope.only("t.uri")} GROUP BY t.uri"""
        ),
        has=lambda scope: (
            f"""SELECT t.uri AS key, {said(**{column: f"t.{column}"})} FROM {schema}.{table} AS t
    WHERE {scope.only("t.uri")}"""
        ),
        sources=(Source(f"{schema}.{table}", "t.uri"),),
    )


def feed_items(schema: str, others: Others) -> Kind:
    """One per post and one per repost. A repost's own CID is in no record table."""
    untold = ", ".join(f"'{collection}'" for collection in (REPOST, *others.unknown("cid")))
    other_cid = f"CASE WHEN split_part(x.uri, '/', 4) NOT IN ({untold}) THEN x.cid END"

    def item(kind: str, post: str, author: str, cid: str) -> str:
        return said(
            type=kind, post_uri=post, originator_did=author, cid=cid,
            sort_at="least(t.created_at, t.commit_time)::timestamptz", created_at="t.created_at::timestamptz",
        )  # fmt: skip

    other = said(
        type="x.type", post_uri="x.post_uri", originator_did="x.originator_did", cid=other_cid,
        sort_at="x.sort_at::timestamptz", created_at="x.created_at::timestamptz",
    )  # fmt: skip
    post_kind = "CASE WHEN t.parent_uri IS NULL THEN 'post' ELSE 'reply' END"
    return Kind(
        name="feed_items",
        should=lambda scope: (
            f"""SELECT t.uri AS key, {item(post_kind, "t.uri", "t.author_did", "t.cid")}, false AS optional
    FROM {schema}.posts AS t WHERE {scope.only("t.uri")}
    UNION ALL SELECT t.uri, {item("'repost'", "t.post_uri", "t.user_did", "NULL")}, false
    FROM {schema}.reposts AS t WHERE {scope.only("t.uri")}
    {"".join(f"UNION ALL {query} " for query in others.rows(scope, f"x.uri, {other}, false"))}"""
        ),
        has=lambda scope: (
            f"""SELECT t.uri AS key, {
                said(
                    type="t.type",
                    post_uri="t.post_uri",
                    originator_did="t.originator_did",
                    cid=f"CASE WHEN split_part(t.uri, '/', 4) NOT IN ({untold}) THEN t.cid END",
                    sort_at="t.sort_at::timestamptz",
                    created_at="t.created_at::timestamptz",
                )
            } FROM {schema}.feed_items AS t WHERE {scope.only("t.uri")}"""
        ),
        sources=(*(Source(f"{schema}.{t}", "t.uri") for t in ("feed_items", "posts", "reposts")), *others.sources()),
    )


def quotes(schema: str, others: Others) -> Kind:
    """One per post that quotes another; by the post."""

    def quote(row: str, cid: str, created_at: str) -> str:
        return said(
            quoted_uri=f"{row}.quoted_uri", quoted_cid=f"{row}.quoted_cid", cid=cid, created_at=f"({created_at})::timestamptz"
        )

    other, there = (quote(row, others.value("cid", row), others.value("created_at", row)) for row in ("x", "q"))
    return Kind(
        name="quotes",
        should=lambda scope: (
            f"""SELECT q.uri || '#quote' AS key, {quote("q", "q.cid", "q.created_at")}, false AS optional
    FROM ({quoting(schema, scope.only("p.uri"))}) AS q
    {"".join(f"UNION ALL {query} " for query in others.rows(scope, f"x.uri, {other}, false", "post_uri"))}"""
        ),
        has=lambda scope: f"""SELECT q.uri AS key, {there} FROM {schema}.quotes AS q WHERE {scope.only("q.post_uri")}""",
        sources=(
            Source(f"{schema}.quotes", "t.post_uri"),
            Source(f"{schema}.posts", "t.uri", "t.embed ? 'record'"),
            *others.sources("post_uri"),
        ),
    )


def viewer_states(schema: str, others: Others) -> Kind:
    """Who liked or reposted which post, by which record. The flags belong to the application."""
    state = said(like_uri="s.like_uri", repost_uri="s.repost_uri")
    flagged = " OR ".join(f"s.{flag}" for flag in FLAGS)
    other = "x.post_uri, x.viewer_did, to_jsonb(x) ->> 'like_uri', to_jsonb(x) ->> 'repost_uri'"

    def more(scope: Scope) -> str:
        return "".join(f"UNION ALL {query} " for query in others.rows(scope, other, "post_uri", "viewer_did"))

    pair = "t.post_uri || ' ' || t.user_did"
    return Kind(
        name="post_viewer_states",
        should=lambda scope: (
            f"""SELECT s.post_uri || ' ' || s.user_did AS key, {state}, false AS optional FROM (
      SELECT post_uri, user_did, max(like_uri) AS like_uri, max(repost_uri) AS repost_uri FROM (
        SELECT t.post_uri, t.user_did, t.uri, NULL FROM {schema}.likes AS t WHERE {scope.only("t.post_uri", "t.user_did")}
        UNION ALL SELECT t.post_uri, t.user_did, NULL, t.uri FROM {schema}.reposts AS t
        WHERE {scope.only("t.post_uri", "t.user_did")}
        {more(scope)}) AS one (post_uri, user_did, like_uri, repost_uri)
      GROUP BY post_uri, user_did) AS s"""
        ),
        has=lambda scope: (
            f"""SELECT s.post_uri || ' ' || s.viewer_did AS key, {state} FROM {schema}.post_viewer_states AS s
    WHERE {scope.only("s.post_uri", "s.viewer_did")} AND NOT (s.like_uri IS NULL AND s.repost_uri IS NULL AND ({flagged}))"""
        ),
        sources=(
            Source(f"{schema}.post_viewer_states", "t.post_uri || ' ' || t.viewer_did"),
            Source(f"{schema}.likes", pair),
            Source(f"{schema}.reposts", pair),
            *others.sources("post_uri", "viewer_did"),
        ),
    )


def thread_contexts(schema: str, others: Others) -> Kind:
    """One per reply, with the like of it by the author of the thread's root."""
    other = f"x.post_uri, {said(root_author_like_uri='x.root_author_like_uri')}, false"
    return Kind(
        name="thread_contexts",
        should=lambda scope: (
            f"""SELECT p.uri AS key, {said(root_author_like_uri="l.uri")}, false AS optional
    FROM {schema}.posts AS p LEFT JOIN {schema}.likes AS l
      ON l.post_uri = p.uri AND l.user_did = split_part(p.root_uri, '/', 3)
    WHERE p.parent_uri IS NOT NULL AND {scope.only("p.uri")}
    {"".join(f"UNION ALL {query} " for query in others.rows(scope, other, "post_uri"))}"""
        ),
        has=lambda scope: (
            f"""SELECT t.post_uri AS key, {said(root_author_like_uri="t.root_author_like_uri")}
    FROM {schema}.thread_contexts AS t WHERE {scope.only("t.post_uri")}"""
        ),
        sources=(
            Source(f"{schema}.thread_contexts", "t.post_uri"),
            Source(f"{schema}.posts", "t.uri", "t.parent_uri IS NOT NULL"),
            *others.sources("post_uri"),
        ),
    )


def gates(schema: str) -> Kind:
    """What gates say of posts. Whether a thread's gate admits a reply was judged by follows and lists that may be gone; but
    without a gate nothing is violated, nor by the root's author. Those that a worker is about to judge may say either, and so
    may those whose parent was not surely in the same thread when they came: the gate of the parent's thread judged them too."""
    names = ("has_thread_gate", "has_post_gate", "violates_thread_gate", "violates_embedding_rules")
    expected = said(
        has_thread_gate="g.post_uri IS NOT NULL",
        has_post_gate="e.post_uri IS NOT NULL",
        violates_thread_gate=f"""p.violates_thread_gate AND (v.uri IS NOT NULL
          OR r.post_uri IS NOT NULL AND p.parent_uri IS NOT NULL AND p.author_did <> split_part(p.root_uri, '/', 3)
          OR p.parent_uri <> p.root_uri AND NOT EXISTS (SELECT FROM {schema}.posts AS o WHERE o.uri = p.parent_uri
            AND coalesce(o.root_uri, o.uri) = p.root_uri AND o.commit_time < p.commit_time))""",
        violates_embedding_rules=f"""CASE WHEN w.uri IS NOT NULL THEN p.violates_embedding_rules
          ELSE coalesce(d.embedding_rules @> '{DISABLED}' AND p.author_did <> split_part(q.quoted_uri, '/', 3), false) END""",
    )
    return Kind(
        name="posts (gates)",
        should=lambda scope: (
            f"""SELECT p.uri AS key, {expected}, false AS optional FROM {schema}.posts AS p
    LEFT JOIN {schema}.thread_gates AS g ON g.post_uri = p.uri LEFT JOIN {schema}.post_gates AS e ON e.post_uri = p.uri
    LEFT JOIN {schema}.thread_gates AS r ON r.post_uri = p.root_uri
    LEFT JOIN ({quoting(schema, scope.only("p.uri"))}) AS q ON q.uri = p.uri
    LEFT JOIN {schema}.post_gates AS d ON d.post_uri = q.quoted_uri
    LEFT JOIN unified_worker.judgements AS v ON v.kind = 'replies' AND v.uri = p.root_uri
    LEFT JOIN unified_worker.judgements AS w ON w.kind = 'quotes' AND w.uri = q.quoted_uri WHERE {scope.only("p.uri")}"""
        ),
        has=lambda scope: (
            f"""SELECT p.uri AS key, {said(**{name: f"p.{name}" for name in names})}
    FROM {schema}.posts AS p WHERE {scope.only("p.uri")}"""
        ),
        sources=(Source(f"{schema}.posts", "t.uri"),),
    )


def derived(schema: str) -> list[Kind]:
    """All kinds of this file."""
    return [
        counts(schema, Others(schema, "post_aggregations")),
        *(shown(schema, record_type.table, record_type.shows) for record_type in RECORD_TYPES if record_type.shows),
        feed_items(schema, Others(schema, "feed_items")),
        quotes(schema, Others(schema, "quotes")),
        viewer_states(schema, Others(schema, "post_viewer_states")),
        thread_contexts(schema, Others(schema, "thread_contexts")),
        gates(schema),
    ]
