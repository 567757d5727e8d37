"""app.bsky.actor.profile: how an account presents itself. The account's row in `users` outlives it."""

from unified_indexer.records.base.columns import INDEXED_AT, KEY, Column, json, text
from unified_indexer.records.base.effects import Effect, authority, notification
from unified_indexer.records.base.fields import blob_cid, created_at, ornament
from unified_indexer.records.base.record_type import RecordType
from unified_indexer.records.base.search_text import search_text
from unified_indexer.records.base.values import Record, RecordAddress, Row

JOINED = "unified_worker.referred({profile_record} -> 'joinedViaStarterPack', 'app.bsky.graph.starterpack')"


def row(record: Record, _at: RecordAddress) -> Row:
    """Name, description, picture CIDs and the whole record; all optional by the lexicon."""
    name: str | None = ornament(record, "displayName", str)
    description: str | None = ornament(record, "description", str)
    fields = {
        "name": name,
        "description": description,
        "avatar": blob_cid(record, "avatar"),
        "banner": blob_cid(record, "banner"),
        "pinned": ornament(record, "pinnedPost", dict),
        "search": search_text(" ".join(filter(None, (name, description)))),
        "record": record,
    }
    return Row(None, None, created_at(record), {field: value for field, value in fields.items() if value is not None})


# What an account can be found by: its handle while it has one, its name, its description.
SEARCH_VECTOR = "to_tsvector('simple', nullif(concat_ws(' ', nullif({handle}, 'handle.invalid'), {words}), ''))"

# For rows that an older application left without.
WORDS = Effect(
    first="""UPDATE {schema}.users AS t SET search_vector = to_tsvector('simple', concat_ws(' ',
      nullif(t.handle, 'handle.invalid'),
      unified_worker.searchable(concat_ws(' ', nullif(t.display_name, ''), nullif(t.description, '')))))
    WHERE {range} AND t.search_vector IS NULL AND (
      t.handle <> 'handle.invalid' OR t.display_name <> '' OR t.description <> '')"""
)

# By which a rebuild knows that nobody is told: the table has no column for it.
QUIET = Effect(
    removed="""
IF p_new IS NULL THEN
  DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
END IF;""",
    written="""
IF v_rest -> 'record' ? 'joinedViaStarterPack' THEN
  DELETE FROM unified_worker.commit_times AS c WHERE c.uri = v_uri;
  IF v_quiet THEN
    INSERT INTO unified_worker.commit_times AS c (uri, at, quiet) VALUES (v_uri, coalesce(p_at, now()), true);
  END IF;
END IF;""",
)

RECORD = RecordType(
    collection="app.bsky.actor.profile",
    table="users",
    row=row,
    columns=(
        Column(name="did", type=f"{KEY} PRIMARY KEY", value="p_did"),
        Column(name="handle", type=f"{KEY} NOT NULL", value="unified_worker.handle_of(p_did)", updated="t.handle"),
        text("display_name", "name", cleared="NULL"),
        text("avatar_url", "avatar", cleared="NULL"),
        text("banner_url", "banner", cleared="NULL"),
        text("description", cleared="NULL"),
        json("profile_record", "record", cleared="NULL"),
        json("pinned_post", "pinned", cleared="NULL"),
        Column(
            name="search_vector",
            type="tsvector",
            value=SEARCH_VECTOR.format(handle="unified_worker.handle_of(p_did)", words="v_rest ->> 'search'"),
            updated=SEARCH_VECTOR.format(handle="t.handle", words="v_rest ->> 'search'"),
            cleared=SEARCH_VECTOR.format(handle="t.handle", words="NULL"),
        ),
        INDEXED_AT,
    ),
    other_columns=("created_at timestamptz NOT NULL DEFAULT now()",),
    indexes=("handle",),
    key="did",
    record_uri="'at://' || t.did || '/app.bsky.actor.profile/self'",
    rkey="self",
    row_stays=True,
    effects=(
        notification(
            "starterpack-joined",
            suffix="starterpack-joined",
            author="p_did",
            recipient=authority(JOINED),
            subject=JOINED,
            created_at="v_created_at",
            when="{profile_record} ? 'joinedViaStarterPack'",
        ),
        QUIET,
        WORDS,
    ),
)
