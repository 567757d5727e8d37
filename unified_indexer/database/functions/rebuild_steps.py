"""The passes that make derived rows what the record tables say, as SQL functions: one a step, a chunk of one table a call.

First each record table, for what follows from its rows; then each derived table, for rows that nothing backs; then the counts,
by ordered ranges of the URIs counted, so that a post that many like is counted once. What is right is not touched, and commits
keep right what a pass has left behind: so a pass corrects all that their effects look at.

A chunk is one transaction that holds the lock REBUILDING alone; `apply_commit` shares it, so that no commit is half way
meanwhile. (A lock on the table `repos` would do too, but would end each autovacuum of the table that needs it most.)
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unified_indexer.database.functions import rebuild_derived as derived
from unified_indexer.database.functions import rebuild_rows as rows
from unified_indexer.database.functions.expected import expected
from unified_indexer.database.functions.references import LOCK_CLASS
from unified_indexer.database.functions.sql_files import statements
from unified_indexer.database.write.batch import BUCKETS
from unified_indexer.records.base.record_type import RecordType

REBUILDING = f"{LOCK_CLASS}, {BUCKETS}"  # of the locks' class; the buckets of URIs are below
SETS = f"{LOCK_CLASS}, {BUCKETS + 2}"  # shared by those who write sets without the locks where repos meet
ONE_REBUILD = f"{LOCK_CLASS}, {BUCKETS + 1}"  # held by the one process that rebuilds, for as long as it does

QUOTED = ("quotes", "quoted_uri")  # an application's database may have no index on it

WORK = """
    {statement};
    GET DIAGNOSTICS v_count = ROW_COUNT;
    p_changed := p_changed + v_count;"""


class Step(NamedTuple):
    """One pass: through `table` in the order of `key`, a chunk at a time, by the statements `work`.

    `along`: values of other tables, (table, expression over its row t), that are gone through with the key. `needs`: the table
    and column of them on which there may be no index."""

    name: str
    table: str
    key: tuple[str, ...]
    work: tuple[str, ...]
    along: tuple[tuple[str, str], ...] = ()
    needs: tuple[str, str] | None = None


def steps(record_types: Sequence[RecordType]) -> list[Step]:
    """All passes, in their order."""
    # What gates say of a post is asked for when it is deleted: they come first, then the posts.
    types = sorted(record_types, key=lambda record_type: (record_type.table != "thread_gates", record_type.table != "posts"))
    records = [
        Step(record_type.table, record_type.table, (record_type.key,), work)
        for record_type in types
        if (work := derived.corrections(record_type))
    ]
    # Where no type says rows of a derived table, all that is there is somebody else's.
    follows = [step for step in _derived_tables(record_types) if any(expected(record_types, step.table))]
    named = {step.name for step in records}
    return [
        *records,
        *follows,
        *(
            Step(f"{said.table}_shown" if said.table in named else said.table, said.table, (said.key,), (work,))
            for said in record_types
            if said.shows and (work := rows.shown(said.shows, said.table))
        ),
    ]


def _derived_tables(record_types: Sequence[RecordType]) -> Iterator[Step]:
    for table, key in (
        ("quotes", "uri"),
        ("feed_items", "uri"),
        ("thread_contexts", "post_uri"),
        ("notifications", "uri"),
    ):
        yield Step(table, table, (key,), (derived.lost(table, key, record_types),))
    states = (derived.wrong_states(record_types), rows.EMPTY_STATES)
    yield Step("post_viewer_states", "post_viewer_states", ("post_uri", "viewer_did"), states)
    yield Step(
        "post_aggregations",
        "post_aggregations",
        ("post_uri",),
        (derived.counts(record_types), rows.EMPTY_COUNTS),
        along=tuple(derived.counted(record_types)),
        needs=QUOTED,
    )


def functions(schema: str, record_types: Sequence[RecordType]) -> list[str]:
    """The statements that (re)make the functions, for tables that live in `schema`."""
    passes = steps(record_types)
    made = [statement for step in passes for statement in _function(schema, step)]
    names = ", ".join(f"'{step.name}'" for step in passes)
    return [*made, *statements("begin_rebuild", names=names)]


def _function(schema: str, step: Step) -> list[str]:
    after, last = (", ".join(f"{at}[{n}]" for n in range(1, len(step.key) + 1)) for at in ("v_after", "v_last"))
    keys = ", ".join(f"t.{name}" for name in step.key)
    pages = [_page(f"{schema}.{step.table}", keys, after)]
    pages += (_page(f"{schema}.{table}", uri, after) for table, uri in step.along)
    chunk = f"({keys}) > ({after}) AND ({keys}) <= ({last})"
    work = "".join(WORK.replace("{statement}", statement) for statement in step.work)
    # The schema last: braces in its name are none of ours.
    texts = {"rows": f"(SELECT t.* FROM {{schema}}.{step.table} AS t WHERE {chunk})", "range": chunk, "schema": schema}
    for name, text in texts.items():
        work = work.replace(f"{{{name}}}", text)
    return statements(
        "rebuild_step",
        name=step.name,
        pages=" UNION ALL ".join(f"({page})" for page in pages),
        columns=", ".join(step.key),
        last=", ".join(f"(array_agg(k.{name}::text))[count(*)]" for name in step.key),
        rebuilding=REBUILDING,
        sets=SETS,
        work=work,
    )


def _page(table: str, keys: str, after: str) -> str:
    return f"SELECT {keys} FROM {table} AS t WHERE ({keys}) > ({after}) ORDER BY {keys} LIMIT p_most"
