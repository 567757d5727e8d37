"""What the operators' guides say is true: their statements run, a server takes their settings, the log says their lines."""

import re
from collections.abc import Sequence

import pytest

from testing.application_schema import TABLES
from testing.commits import FOLLOW, LIKE, POST, Stream, did, follow, like, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.documents import blocks, log_lines, read, said, settings, statements
from testing.servers import FAST, fast_parent, make_server, server_directory
from unified_indexer.database.functions.dead_letters import MAX_FRAMES_BYTES, MAX_LETTERS_OF_A_DID, PENDING
from unified_indexer.database.schema.compatibility import needs
from unified_indexer.monitoring.readiness import NAMES
from unified_indexer.records import RECORD_TYPES

MOVING = read("CONSOLIDATION_GUIDE.md")
OPERATIONS = read("docs/operations.md")
TROUBLESHOOTING = read("docs/troubleshooting.md")
DEAD_LETTERS = read("docs/dead-letters.md")
AGED = ("posts", "likes", "notifications", "generic_records")
SUBJECT = f"at://{did('author')}/{POST}/1"


async def carry_out(worker: Worker, sql: Sequence[str]) -> None:
    """As psql would: each statement by itself, with what it returns read."""
    for block in sql:
        for statement in statements(block):
            await worker.connection.execute(statement)


async def fill(worker: Worker) -> None:
    """Two posts, one of them a reply, a like, and a record without a table; all of it old."""
    stream = Stream()
    outcomes = await worker.write(
        stream.commit("author", put(f"{POST}/1", post())),
        stream.commit("a", put(f"{LIKE}/1", like(SUBJECT)), put(f"{FOLLOW}/1", follow(did("author")))),
        stream.commit("b", put("com.example.thing/1", {"$type": "com.example.thing"})),
    )
    assert outcomes == ["applied"] * 3
    for table in AGED:
        await worker.connection.execute(
            f"UPDATE {table} SET indexed_at = now() - interval '500 days', created_at = now() - interval '500 days'"
        )
        assert await worker.value(f"SELECT count(*) FROM {table}") > 0


async def test_the_statements_of_the_move_run(any_database: str) -> None:
    async with connected(any_database) as connection:
        await connection.execute(TABLES)
    async with opened(any_database) as worker:
        await fill(worker)
        await carry_out(worker, blocks(MOVING, "sql"))
        assert await worker.value(
            "SELECT data_type = 'bigint'::regtype FROM pg_sequences WHERE sequencename = 'notifications_id_seq'"
        )
        assert await worker.value("SELECT count(*) FROM likes") == 1
        assert await worker.value("SELECT to_regnamespace('unified_worker') IS NULL"), "the last one takes it away"


def test_the_move_names_every_unique_key() -> None:
    """A primary key it names no one by one."""
    told = MOVING.partition("**Unique indexes**")[2].partition("```")[0]
    for need in needs(RECORD_TYPES):
        for key in need.unique:
            is_primary = len(key) == 1 and key[0] in ("uri", "post_uri", "did") and need.table != "notifications"
            if not is_primary and need.table != "user_settings":
                columns = r",\s+".join(key)
                assert re.search(rf"`{need.table}`[^(]*\({columns}\)", told), (need.table, key)


@pytest.mark.parametrize("tables", ["", TABLES], ids=["own", "application"])
async def test_the_statements_of_operations_run_and_the_old_goes(any_database: str, tables: str) -> None:
    async with connected(any_database) as connection:
        await connection.execute(tables or "SELECT")
    async with opened(any_database) as worker:
        await fill(worker)
        assert await worker.value("SELECT count(*) FROM post_aggregations") == 1
        await carry_out(worker, blocks(OPERATIONS, "sql"))
        for table in (*AGED, "post_aggregations", "feed_items", "post_viewer_states"):
            assert await worker.value(f"SELECT count(*) FROM {table}") == 0, table
        assert await worker.value("SELECT count(*) FROM follows") == 1
    async with opened(any_database) as worker:  # a start on the partitioned table
        assert await worker.write(Stream().commit("c", put("com.example.thing/2", {"$type": "com.example.thing"}))) == [
            "applied"
        ]
        assert await worker.value("SELECT count(*) FROM generic_records") == 1


@pytest.mark.parametrize("ini", blocks(OPERATIONS, "ini"), ids=["throughput", "little memory", "transaction ids"])
async def test_a_server_starts_with_the_settings(ini: str) -> None:
    with server_directory(fast_parent()) as directory:
        server = make_server(18, directory, FAST | settings(ini))
        await server.start()
        try:
            async with connected(server.url) as connection:
                assert await connection.fetchval(
                    "SELECT count(*) FROM pg_settings WHERE name = ANY ($1)", list(settings(ini))
                ) == len(settings(ini))
        finally:
            await server.stop("immediate")


def test_every_log_line_of_what_is_seen_is_one() -> None:
    lines = log_lines(TROUBLESHOOTING.partition("## By what you see")[2], 1)
    assert len(lines) >= 10
    assert [line for line in lines if not said(line)] == []


async def test_the_application_sees_what_is_older_than_the_worker(database: str) -> None:
    """Its query, by the guide, joins the accounts from the left."""
    (query,) = [block for block in blocks(MOVING, "sql") if "coalesce(r.active" in block]
    async with opened(database) as worker:
        await worker.connection.execute(
            "INSERT INTO posts (uri, cid, author_did, text, created_at) VALUES ('u', 'c', 'd', 't', now())"
        )
        assert [row["uri"] for row in await worker.connection.fetch(query)] == ["u"]


def test_the_dead_letters_page_names_what_waits_and_the_bounds() -> None:
    assert re.findall(r"^- `([a-z_]+)`: ", DEAD_LETTERS, re.MULTILINE) == re.findall(r"'(\w+)'", PENDING)
    assert f"{MAX_LETTERS_OF_A_DID:,} frames per DID, and {MAX_FRAMES_BYTES / 1e9:.0f} GB" in DEAD_LETTERS


def test_its_diagram_leads_from_every_state_to_an_end() -> None:
    (diagram,) = blocks(DEAD_LETTERS, "mermaid")
    arrows = re.findall(r"^ *(\S+) --> ([^\s:]+)", diagram, re.MULTILINE)
    states = {state for arrow in arrows for state in arrow} - {"[*]"}
    assert states == {"Kept", "Waiting", "FrameDropped", "Applied", "Closed", "Dropped"}
    ends = {before for before, after in arrows if after == "[*]"}
    assert ends == {"Applied", "Closed", "Dropped"}
    for state in states - ends:
        assert {after for before, after in arrows if before == state} >= {"Closed", "Dropped"}, state


@pytest.mark.parametrize("page", ["docs/operations.md", "docs/monitoring.md"])
def test_the_reasons_of_readyz_are_all_named(page: str) -> None:
    (row,) = re.findall(r"^\| `/readyz` \|.*$", read(page), re.MULTILINE)
    assert tuple(re.findall(r"`([a-z_]+)`", row)) == NAMES
