"""The functions that apply gates to replies and quotes: new ones when they are written, existing ones when their gate changes
(judging.sql, judge_gate.sql).

Each judgement reads the gate, and whom the root mentions, once. A post with more than a few hundred replies (or quotes) goes
into `unified_worker.judgements`, and a worker judges them in steps (`judge.py`): else one commit could make all others wait.
What is judged is judged under the lock of the gated post, which each commit of a gate, a reply or a quote holds as well.
"""

from unified_indexer.database.functions.references import LOCK_CLASS
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.database.write.batch import BUCKETS
from unified_indexer.records.base.effects import came
from unified_indexer.records.base.values import MAX_URI_CHARS

AT_ONCE = 200  # replies or quotes that a commit judges itself, of all the gates that it changes

FOLLOW_CAME = "coalesce(f.commit_time, unified_worker.tid_time(split_part(f.uri, '/', 5)), '-infinity')"
LISTED_CAME = """coalesce((SELECT c.at FROM unified_worker.commit_times AS c WHERE c.uri = l.uri),
          unified_worker.tid_time(split_part(l.uri, '/', 5)), '-infinity')"""

# Of what is forbidden nobody hears: the notification comes and goes with the judgement. Nor of what came with a whole repo.
NOTICES = """, gone AS (
    DELETE FROM {schema}.notifications AS n USING changed AS c
    WHERE c.forbidden AND n.uri = c.uri || '#notification/{reason}')
  INSERT INTO {schema}.notifications (uri, recipient_did, author_did, reason, reason_subject, cid, created_at, indexed_at)
  SELECT c.uri || '#notification/{reason}', split_part(c.other, '/', 3), c.author_did, '{reason}', c.uri, c.cid, c.created_at,
    now()
  FROM changed AS c
  WHERE NOT c.forbidden AND NOT c.quiet AND c.other LIKE 'at://did:%' AND split_part(c.other, '/', 3) <> c.author_did
    AND length(c.uri) <= {most}
  ON CONFLICT (uri) DO NOTHING;"""

# By the placeholders of judge_gate.sql.
GATE = ("name", "gates", "shown", "judge", "kind", "table", "uri", "of")
REPLIES = ("judge_thread", "thread_gates", "has_thread_gate", "judge_replies", "replies", "posts", "t.uri", "root_uri")
QUOTES = ("judge_quotes", "post_gates", "has_post_gate", "judge_quoting", "quotes", "quotes", "t.post_uri", "quoted_uri")


def functions(schema: str) -> list[str]:
    """The functions that judge, for record tables that live in `schema`."""
    return [
        *statements(
            "judging",
            schema=schema,
            follow_came=FOLLOW_CAME,
            listed_came=LISTED_CAME,
            reply_came=came("p"),
            rebuilding=f"{LOCK_CLASS}, {BUCKETS}",
            reply_notices=_notices(schema, "reply"),
            quote_notices=_notices(schema, "quote"),
        ),
        *statements("judge_gate", schema=schema, most=AT_ONCE, **dict(zip(GATE, REPLIES, strict=True))),
        *statements("judge_gate", schema=schema, most=AT_ONCE, **dict(zip(GATE, QUOTES, strict=True))),
    ]


def _notices(schema: str, reason: str) -> str:
    return NOTICES.format(schema=schema, reason=reason, most=MAX_URI_CHARS - len(f"#notification/{reason}"))
