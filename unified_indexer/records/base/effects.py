"""The derived rows of a record: counts, feed items, viewer states, notifications; as the SQL that adds and removes them.

What an effect brings about is data (`Derived`), wherever that can be said: the live statements here, the rebuild, and `check`
of new types (`database/functions/expected.py`) are made from it.

Texts are templates. `{column}` is the value of the record type's column of that name: the expression that fills it where a row
has just been written, the row's own field where it is taken away or promoted. `{schema}` is where the record tables live;
other names are those of `sql_names.py`.
"""

from typing import NamedTuple

from unified_indexer.records.base.values import MAX_URI_CHARS


class Derived(NamedTuple):
    """The derived rows of a record's row, as data: one, or one per row of `source` (a join over the record's row t).

    `values`: SQL expressions by column. `key`: the columns that find a row. In all tables but counts and viewer states,
    the key is one column, and it begins with the record's URI. `when`: the condition under which there is such a row.
    `of`: a derived table whose rows are counted in place of the record's: `{column}` is then its column.
    """

    table: str
    key: tuple[str, ...]
    values: dict[str, str]
    when: str = "true"
    source: str = ""
    of: str = ""

    def insert(self, alias: str, values: str = "VALUES ({})") -> str:
        """The start of the live INSERT, with the row's values at the time of writing."""
        now = TIMES[self.table]
        columns = ", ".join((*self.values, *now))
        said = ", ".join((*self.values.values(), *("now()" for _ in now)))
        return f"""
INSERT INTO {{schema}}.{self.table} AS {alias} ({columns})
{values.replace("{}", said)}"""


# Columns that say when a derived row came.
TIMES = {
    "post_aggregations": ("created_at", "updated_at"),
    "post_viewer_states": ("created_at", "updated_at"),
    "thread_contexts": ("created_at", "updated_at"),
    "feed_items": ("indexed_at",),
    "quotes": ("indexed_at",),
    "notifications": ("indexed_at",),
}


class Effect(NamedTuple):
    """PL/pgSQL statements that run in the commit's transaction, and the derived rows that they make, as data.

    `added`: after a row was really inserted, or replaced (then v_again is true, and `removed` has run for what it was).
    `removed`: after a row was deleted, or before it is replaced (then p_new is the new record's rest, else null).
    `written`: whenever such a record is put, whether its row holds the unique key or waits.

    Two more are SQL of a rebuild, for a chunk of the type's rows: {rows} is the query of them, {range} the condition on t.
    `first`: before that which follows is corrected. `judged`: after the quotes are corrected, and before the rest: it corrects
    the rows' own columns that other records decide.

    Of a whole repo, new records are written as sets: then `derived` says what follows, or `in_set`, where that is less.
    `looks`: the condition on such a record's row that the effect has to do with others' rows. Where it is true, `look` runs
    afterwards, or else `added`. Without it, the effect must be declared, or no set is made of the type.
    """

    added: str = ""
    removed: str = ""
    written: str = ""
    first: str = ""
    judged: str = ""
    derived: tuple[Derived, ...] = ()
    looks: str = ""
    look: str | None = None
    in_set: tuple[Derived, ...] | None = None

    @property
    def after(self) -> str:
        """What is run for a record of a set that `looks` found."""
        return self.added if self.look is None else self.look


# Not their sum: an older application may have left a count below 0.
MOST_COUNTED = "greatest(a.like_count, a.repost_count, a.reply_count, a.quote_count, a.bookmark_count)"


def authority(uri: str) -> str:
    """The SQL expression for the DID of an at-uri."""
    return f"split_part({uri}, '/', 3)"


def came(row: str) -> str:
    """The SQL expression for when the reply `row` came, as exactly as is known."""
    return f"coalesce({row}.commit_time, unified_worker.tid_time(split_part({row}.uri, '/', 5)), 'infinity')"


def put(insert: str, key: str, updates: str) -> str:
    """The INSERT of one row, with these updates if another row has its key already.

    As two statements: nearly every row is new, and to get an update ready that is not made costs some 3 µs each time.
    """
    return f"""{insert}
ON CONFLICT ({key}) DO NOTHING;
IF NOT FOUND THEN{insert}
  ON CONFLICT ({key}) DO UPDATE SET {updates};
END IF;"""


def count(column: str, of: str, when: str | None = None) -> Effect:
    """Count this record in `post_aggregations.column` of the URI `of` (an SQL expression). `when`: an optional condition."""
    counted = Derived("post_aggregations", ("post_uri",), {"post_uri": of, column: "1"}, when or "true")
    added = f"""
INSERT INTO {{schema}}.post_aggregations AS a (post_uri, {column}, created_at, updated_at) VALUES ({of}, 1, now(), now())
ON CONFLICT (post_uri) DO UPDATE SET {column} = a.{column} + 1, updated_at = now();"""
    removed = f"""
UPDATE {{schema}}.post_aggregations AS a SET {column} = greatest(a.{column} - 1, 0), updated_at = now() WHERE a.post_uri = {of}
  RETURNING {MOST_COUNTED} INTO v_left;
IF v_left <= 0 THEN
  DELETE FROM {{schema}}.post_aggregations AS a WHERE a.post_uri = {of} AND {MOST_COUNTED} <= 0;
END IF;"""
    if when is not None:
        added, removed = (f"\nIF {when} THEN{text}\nEND IF;" for text in (added, removed))
    return Effect(added, removed, derived=(counted,))


def shown(column: str, of: str) -> Effect:
    """Show the same count in the column of the subject's own table (`RecordType.shows`); put it after `count`."""
    text = f"""
IF split_part({of}, '/', 4) <> 'app.bsky.feed.post' THEN
  PERFORM unified_worker.show_{column}({of});
END IF;"""
    return Effect(text, text, looks=f"split_part({of}, '/', 4) <> 'app.bsky.feed.post'")


def viewer_state(column: str, other: str, post: str, viewer: str) -> Effect:
    """Store this record's URI in `post_viewer_states.column`. The row is deleted with it, unless `other` or a flag is set.

    For types of which one account has one row a post (`unique`).
    """
    state = f"s.post_uri = {post} AND s.viewer_did = {viewer} AND s.{column} = v_uri"
    key = ("post_uri", "viewer_did")
    derived = Derived("post_viewer_states", key, {"post_uri": post, "viewer_did": viewer, column: "v_uri"})
    return Effect(
        put(
            derived.insert("s"),
            "post_uri, viewer_did",
            f"{column} = excluded.{column}, updated_at = now()",
        ),
        f"""
DELETE FROM {{schema}}.post_viewer_states AS s WHERE {state} AND s.{other} IS NULL
  AND NOT (s.bookmarked OR s.thread_muted OR s.reply_disabled OR s.embedding_disabled OR s.pinned);
IF NOT FOUND THEN
  UPDATE {{schema}}.post_viewer_states AS s SET {column} = NULL, updated_at = now() WHERE {state};
END IF;""",
        derived=(derived,),
    )


def feed_item(kind: str, post: str, author: str, cid: str) -> Effect:
    """Write the record's row in `feed_items`. All are SQL expressions; `kind` is 'post', 'reply' or 'repost'."""
    values = {
        "uri": "v_uri",
        "post_uri": post,
        "originator_did": author,
        "type": kind,
        "sort_at": "least({created_at}, {commit_time})",
        "cid": cid,
        "created_at": "{created_at}",
    }
    derived = Derived("feed_items", ("uri",), values)
    return Effect(
        put(
            derived.insert("f"),
            "uri",
            "post_uri = excluded.post_uri, type = excluded.type, sort_at = excluded.sort_at, cid = excluded.cid, "
            "created_at = excluded.created_at, indexed_at = excluded.indexed_at",
        ),
        """
IF p_new IS NULL THEN
  DELETE FROM {schema}.feed_items AS f WHERE f.uri = v_uri;
END IF;""",
        derived=(derived,),
    )


# An update keeps a notification that still stands, and with it whether it was read.
TOLD_AGAIN = ("recipient_did", "reason_subject", "cid", "created_at")
NOTIFY_AGAIN = ", ".join(f"{name} = excluded.{name}" for name in TOLD_AGAIN)


def notice(
    reason: str,
    ending: str,
    *,
    author: str,
    recipient: str,
    subject: str = "NULL",
    cid: str = "v_cid",
    created_at: str = "{created_at}",
    when: str = "true",
    source: str = "",
) -> Derived:
    """A notification as data. `ending`: what follows the record's URI; an SQL expression, like the others of `notification`."""
    values = {
        "uri": f"v_uri || {ending}",
        "recipient_did": recipient,
        "author_did": author,
        "reason": f"'{reason}'",
        "reason_subject": subject,
        "cid": cid,
        "created_at": created_at,
    }
    return Derived("notifications", ("uri",), values, when, source)


def notification(
    reason: str,
    *,
    author: str,
    recipient: str,
    subject: str = "NULL",
    suffix: str | None = None,
    cid: str = "v_cid",
    created_at: str = "{created_at}",
    when: str = "true",
) -> Effect:
    """Write one notification, unless `recipient` (an SQL expression, like the others) is null or equals the author. Its URI
    is the record's, plus '#notification', plus '/' `suffix` if there is one. `when`: a further condition."""
    ending = "#notification" if suffix is None else f"#notification/{suffix}"
    fits = f"length(v_uri) <= {MAX_URI_CHARS - len(ending)}"
    called = f"{when} AND {recipient} <> {author} AND {fits}"
    derived = notice(
        reason,
        f"'{ending}'",
        author=author,
        recipient=recipient,
        subject=subject,
        cid=cid,
        created_at=created_at,
        when=called,
    )
    notify = put(derived.insert("n"), "uri", NOTIFY_AGAIN)
    gone = f"DELETE FROM {{schema}}.notifications AS n WHERE n.uri = v_uri || '{ending}';"
    # What nobody is to be told of may have been told before.
    again = ", ".join(f"{name} = {derived.values[name]}" for name in TOLD_AGAIN)
    return Effect(
        f"""
IF {called} AND v_quiet IS NOT TRUE THEN{notify}
ELSIF v_again THEN
  IF {called} THEN
    UPDATE {{schema}}.notifications AS n SET {again} WHERE n.uri = v_uri || '{ending}';
  ELSE
    {gone}
  END IF;
END IF;""",
        f"""
IF p_new IS NULL THEN
  {gone}
END IF;""",
        derived=(derived,),
    )


def unless_forbidden(effect: Effect, judged: str, column: str) -> Effect:
    """The effect, whose condition asks the variable `judged` while the row is written: of a row that is there, this column."""
    return effect._replace(derived=tuple(said._replace(when=said.when.replace(judged, column)) for said in effect.derived))
