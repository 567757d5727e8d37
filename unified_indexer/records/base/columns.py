"""The columns of a record type's table: those of nearly every table, and constructors for a field of the record.

The SQL names that a `Column`'s texts may use stand in `sql_names.py`.
"""

from dataclasses import dataclass
from typing import Any

# Text that is looked up and never sorted for people: compared by its bytes, which is faster than by a language's rules, and
# indexes outlive a change of those.
KEY = 'text COLLATE "C"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column that the worker writes.

    `type` is its type in a schema of our own (with its constraints); `value` the SQL expression that fills it, over the names
    of `sql_names.py` and `{schema}`, where the record tables live (a brace of SQL's own is doubled).
    `updated`: the expression for a row that is there already, where it is another: `t` is that row.
    `cleared`: what deleting the record sets it to, where deleting leaves the row (`RecordType.row_stays`).
    `optional`: an existing table may lack it. An application's table stays without it, and nobody writes it there. A table that
    an earlier version of ours made gains it at the first start of a version with one more step in `schema/migrations/`.
    `needed`: for an optional column that effects depend on: the SQL value that counts where nothing else is known. Where the
    table lacks the column, `unified_worker.kept_values` keeps what differs from that. Never read such a column itself: the
    function `unified_worker.<table>_<column>(<key>)` gives its value on every database. (Not for types with a unique key.)
    `ahead`: a tsvector, which is slow to make of a long text and looks at nobody else's rows: it is made before the locks are
    taken.
    `first`: the value at first, for a column that others' rows decide: a set writes that, and what is true comes when these are
    looked for (`Effect.look`).
    """

    name: str
    type: str
    value: str
    updated: str | None = None
    cleared: str | None = None
    optional: bool = False
    ahead: bool = False
    needed: str | None = None
    first: str | None = None


URI = Column(name="uri", type=f"{KEY} PRIMARY KEY", value="v_uri")
CID = Column(name="cid", type="text NOT NULL", value="v_cid")
LIKE_COUNT = Column(
    name="like_count",
    type="integer NOT NULL DEFAULT 0",
    value="coalesce((SELECT a.like_count FROM {schema}.post_aggregations AS a WHERE a.post_uri = v_uri), 0)",
)
CREATED_AT = Column(name="created_at", type="timestamptz NOT NULL", value="v_created_at")
INDEXED_AT = Column(name="indexed_at", type="timestamptz NOT NULL DEFAULT now()", value="now()")
COMMIT = (
    Column(name="commit_time", type="timestamptz", value="p_at"),
    Column(name="commit_seq", type="text", value="p_seq::text"),
    Column(name="commit_rev", type="text", value="p_rev"),
)


def author(name: str) -> Column:
    """The DID of the account that wrote the record."""
    return Column(name=name, type=f"{KEY} NOT NULL", value="p_did")


def subject(name: str, *, required: bool = True) -> Column:
    """What the record is about: the `subject` of its Row, a DID or a URI."""
    return Column(name=name, type=_type(KEY, required), value="v_subject")


def subject_cid(name: str) -> Column:
    """The `subject_cid` of its Row."""
    return Column(name=name, type="text", value="v_subject_cid")


def created(name: str, *, required: bool = True) -> Column:
    """The record's createdAt in a column that is not CREATED_AT, or that old rows may lack."""
    return Column(name=name, type=_type("timestamptz", required), value="v_created_at")


def text(name: str, field: str = "", *, required: bool = False, **more: Any) -> Column:
    """A text of the Row's `rest`: the field with the column's name, or `field`. `required`: it is always present."""
    return Column(name=name, type=_type("text", required), value=f"v_rest ->> '{field or name}'", **more)


def key(name: str, field: str = "", *, required: bool = False, **more: Any) -> Column:
    """A text of `rest`, like `text`, for look-ups: a DID or a URI."""
    return Column(name=name, type=_type(KEY, required), value=f"v_rest ->> '{field or name}'", **more)


def json(name: str, field: str = "", *, required: bool = False, default: str = "", **more: Any) -> Column:
    """A JSON value of `rest`, like `text`. `default`: the value if there is none, as JSON."""
    value = f"v_rest -> '{field or name}'"
    if default and not required:
        value = f"coalesce({value}, '{default.replace('{', '{{').replace('}', '}}')}')"
    return Column(name=name, type=_type("jsonb", required, default and f"'{default}'"), value=value, **more)


def flag(name: str, field: str = "", *, required: bool = False, default: str, **more: Any) -> Column:
    """True or false of `rest`, like `text`. `default`: the value if there is none, in SQL."""
    value = f"(v_rest -> '{field or name}')::boolean"
    if not required:
        value = f"coalesce({value}, {default})"
    return Column(name=name, type=_type("boolean", required, default), value=value, **more)


def _type(name: str, required: bool, default: str = "") -> str:
    """With its constraints: what has a default is never null."""
    if default:
        return f"{name} NOT NULL DEFAULT {default}"
    return f"{name} NOT NULL" if required else name
