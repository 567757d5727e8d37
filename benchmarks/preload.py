"""A database that has been at it for a while: millions of rows over all tables, in the proportions of live traffic.

Everything is older than a benchmark's stream: the revs of the repos, so that its commits are news, and the keys of the records,
so that none is written again. The accounts are those of the stream, so that each has its repo and its user; what they did is
about posts that the stream does not know. So the stream's rows come on top, one by one.
"""

from collections.abc import Sequence

import asyncpg

from benchmarks.stream import TABLES
from benchmarks.throughput import count_rows

ROWS_PER_LIKE = 4.4  # in all tables, those of the accounts apart; rather more
POSTS_PER_LIKE = 1 / 7

SETTINGS = {"synchronous_commit": "off", "work_mem": "256MB", "maintenance_work_mem": "256MB", "timezone": "UTC"}

# Indexes that only find rows are left out while the tables are filled.
SECONDARY = """
SELECT i.indexrelid::regclass::text AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_catalog.pg_index AS i
WHERE i.indrelid = ANY($1::regclass[]) AND NOT i.indisunique
"""

# What the rows are made from. old_posts: four in ten answer an older one, eight in a hundred quote one. acts: an account likes,
# shows or follows, once a post; posts are looked at unequally.
SOURCES = (
    """
    CREATE UNLOGGED TABLE old_posts AS
    SELECT n, did, 'at://' || did || '/app.bsky.feed.post/3j' || lpad(n::text, 11, '0') AS uri,
      timestamptz '2026-06-01' + n % 2000000 * interval '1 s' AS at, 'bafyreipost' || repeat('a', 48) AS cid,
      CASE WHEN random() < 0.4 AND n > 1 THEN 1 + floor(random() * (n - 1)) END AS parent,
      CASE WHEN random() < 0.08 AND n > 1 THEN 1 + floor(random() * (n - 1)) END AS quoted
    FROM generate_series(1, {posts}) AS n JOIN accounts ON number = n * 7919::bigint % {accounts}
    """,
    "CREATE UNIQUE INDEX ON old_posts (n)",
    """
    CREATE UNLOGGED TABLE acts AS
    SELECT DISTINCT ON (a.did, p.uri) x.n, kind, a.did, p.did AS author, p.uri AS post, o.did AS other, key,
      'at://' || a.did || '/app.bsky.feed.' || kind || '/' || key AS uri, 'at://' || a.did || '/app.bsky.graph.' AS graph,
      timestamptz '2026-06-01' + x.n % 2000000 * interval '1 s' AS at, 'bafyreiact' || repeat('a', 49) AS cid
    FROM (SELECT n, '3j' || lpad(n::text, 11, '0') AS key,
        CASE WHEN n <= {likes} THEN 'like' WHEN n <= {likes} * 1.17 THEN 'repost' ELSE 'follow' END AS kind,
        floor(random() * {accounts}) AS who, floor(random() * {accounts}) AS whom, 1 + floor({posts} * random() ^ 2.5) AS what
      FROM generate_series(1, ({likes} * 1.29)::int) AS n) AS x
    JOIN accounts AS a ON a.number = who JOIN accounts AS o ON o.number = whom JOIN old_posts AS p ON p.n = what
    """,
)
# By table: the columns, and the query that fills them.
RECORDS = {
    "unified_worker.repos": ("did, rev, data_cid, seq, has_user", "did, '3j', repeat('a', 59), number, true FROM accounts"),
    "users": (
        "did, handle, display_name, description, profile_record",
        "did, 'user' || number || '.test', 'Somebody', repeat('of whom much is known ', 5), '{}' FROM accounts",
    ),
    "posts": (
        "uri, cid, author_did, text, langs, parent_uri, parent_cid, root_uri, root_cid, search_vector, created_at, commit_time",
        """p.uri, p.cid, p.did, words, '["en"]', o.uri, o.cid, o.uri, o.cid, to_tsvector('simple', words), p.at, p.at
        FROM old_posts AS p LEFT JOIN old_posts AS o ON o.n = p.parent, LATERAL (
          SELECT 'what ' || p.n % 9999 || ' says about ' || p.n % 999 || repeat(' and of ' || p.n % 77, 4)) AS t (words)""",
    ),
    "likes": (
        "uri, user_did, post_uri, subject_cid, created_at, commit_time, commit_seq, commit_rev",
        "uri, did, post, cid, at, at, n, key FROM acts WHERE kind = 'like'",
    ),
    "reposts": (
        "uri, user_did, post_uri, subject_cid, created_at, commit_time, commit_seq, commit_rev",
        "uri, did, post, cid, at, at, n, key FROM acts WHERE kind = 'repost'",
    ),
    "follows": (
        "uri, follower_did, following_did, created_at, commit_time, commit_seq, commit_rev",
        # Of accounts that the stream has not: one that it follows as well would make the stream's a duplicate. So with blocks.
        """DISTINCT ON (did, other) graph || 'follow/' || key, did, 'did:web:' || right(other, 24) || '.test', at, at, n, key
        FROM acts WHERE kind = 'follow'""",
    ),
    "blocks": (
        "uri, blocker_did, blocked_did, created_at",
        """DISTINCT ON (did, other) graph || 'block/' || key, did, 'did:web:' || right(other, 24) || '.test', at
        FROM acts WHERE n % 100 = 0""",
    ),
    "lists": (
        "uri, cid, creator_did, name, purpose, created_at",
        "graph || 'list/' || key, cid, did, 'People', 'curatelist', at FROM acts WHERE n % 200 = 0",
    ),
    "list_items": (
        "uri, cid, list_uri, subject_did, created_at",
        """graph || 'listitem/' || key, cid, graph || 'list/' || key, other, at
        FROM acts WHERE n % 100 = 0""",
    ),
    "list_blocks": (
        "uri, blocker_did, list_uri, created_at",
        """graph || 'listblock/' || key, did, 'at://' || other || '/app.bsky.graph.list/' || key, at
        FROM acts WHERE n % 2000 = 0""",
    ),
    "starter_packs": (
        "uri, cid, creator_did, name, created_at",
        "graph || 'starterpack/' || key, cid, did, 'Begin here', at FROM acts WHERE n % 5000 = 0",
    ),
    "feed_generators": (
        "uri, cid, creator_did, did, display_name, created_at",
        """'at://' || did || '/app.bsky.feed.generator/' || key, cid, did, 'did:web:a.test', 'Feed', at
        FROM acts WHERE n % 5000 = 0""",
    ),
    "labeler_services": (
        "uri, cid, creator_did, policies, created_at",
        """DISTINCT ON (did) 'at://' || did || '/app.bsky.labeler.service/old', cid, did, jsonb '{}', at
        FROM old_posts WHERE n % 1000 = 0""",
    ),
    "thread_gates": ("post_uri, owner_did, created_at, updated_at", "uri, did, at, at FROM old_posts WHERE n % 40 = 0"),
    "post_gates": ("post_uri, created_at", "uri, at FROM old_posts WHERE n % 60 = 0"),
    "generic_records": (
        "uri, cid, author_did, record_type, record, created_at",
        "'at://' || did || '/test.play/' || key, cid, did, 'test.play', '{}', at FROM acts WHERE n % 200 = 0",
    ),
}
DERIVED = {
    "post_aggregations": (
        "post_uri, like_count, repost_count, reply_count, quote_count, created_at, updated_at",
        """uri, sum(l), sum(r), sum(a), sum(q), now(), now() FROM (
          SELECT post_uri, 1, 0, 0, 0 FROM likes UNION ALL SELECT post_uri, 0, 1, 0, 0 FROM reposts
          UNION ALL SELECT parent_uri, 0, 0, 1, 0 FROM posts WHERE parent_uri IS NOT NULL
          UNION ALL SELECT quoted_uri, 0, 0, 0, 1 FROM quotes) AS x (uri, l, r, a, q)
        GROUP BY uri""",
    ),
    "post_viewer_states": (
        "post_uri, viewer_did, like_uri, repost_uri, created_at, updated_at",
        """post_uri, user_did, l.uri, r.uri, now(), now() FROM likes AS l FULL JOIN reposts AS r USING (post_uri, user_did)""",
    ),
    "thread_contexts": ("post_uri, created_at", "uri, now() FROM posts WHERE parent_uri IS NOT NULL"),
    "feed_items": (
        "uri, post_uri, originator_did, type, sort_at, cid, created_at",
        """uri, uri, author_did, CASE WHEN parent_uri IS NULL THEN 'post' ELSE 'reply' END, created_at, cid, created_at
        FROM posts
        UNION ALL SELECT uri, post_uri, user_did, 'repost', created_at, subject_cid, created_at FROM reposts""",
    ),
    "notifications": (
        "uri, recipient_did, author_did, reason, reason_subject, cid, created_at",
        """uri || '#notification', author, did, kind, post, cid, at FROM acts WHERE kind <> 'follow' AND author <> did
        UNION ALL SELECT uri || '#notification', following_did, follower_did, 'follow', NULL, NULL, created_at FROM follows
          WHERE following_did <> follower_did
        UNION ALL SELECT p.uri || '#notification/' || reason, o.did, p.did, reason, p.uri, p.cid, p.at
          FROM old_posts AS p, LATERAL (VALUES ('reply', p.parent), ('quote', p.quoted)) AS r (reason, number)
          JOIN old_posts AS o ON o.n = number WHERE o.did <> p.did""",
    ),
}
QUOTES = (
    "uri, cid, post_uri, quoted_uri, created_at",
    "p.uri || '#quote', p.cid, p.uri, o.uri, p.at FROM old_posts AS p JOIN old_posts AS o ON o.n = p.quoted",
)


async def preload(url: str, dids: Sequence[str], rows: int) -> dict[str, int]:
    """Fills an empty database with about so many rows, of these accounts; returns the rows by table."""
    likes = int((rows - 2 * len(dids)) / ROWS_PER_LIKE)
    if likes < 1:
        raise ValueError(f"{rows:,} rows are not enough for {len(dids):,} accounts")
    numbers = {"likes": likes, "posts": int(likes * POSTS_PER_LIKE) + 1, "accounts": len(dids)}
    connection = await asyncpg.connect(url, server_settings=SETTINGS)
    secondary = await connection.fetch(SECONDARY, list(TABLES))
    for index in secondary:
        await connection.execute(f"DROP INDEX {index['name']}")
    await connection.execute("CREATE UNLOGGED TABLE accounts (number int PRIMARY KEY, did text)")
    await connection.copy_records_to_table("accounts", records=enumerate(dids))
    for source in SOURCES:
        await connection.execute(source.format(**numbers))
    for table, (columns, query) in {**RECORDS, "quotes": QUOTES, **DERIVED}.items():
        await connection.execute(f"INSERT INTO {table} ({columns}) SELECT {query}")
    await connection.execute("DROP TABLE accounts, old_posts, acts")
    for index in secondary:
        await connection.execute(index["definition"])
    await connection.execute("VACUUM ANALYZE")
    found = await count_rows(connection, TABLES)
    await connection.close()
    return found
