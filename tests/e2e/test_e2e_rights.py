"""A role with the rights that docs/security.md names, and no others, does everything that the worker does."""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from relay_simulator.server import RelayServer
from testing.application_schema import TABLES
from testing.database_side import opened
from testing.databases import connected, differences
from testing.processes import Process
from testing.traffic import traffic
from testing.waiting import until
from testing.workers import finished, running, settings
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.look import look
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

DOCUMENT = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
EMPTY, APPLICATION, READER = re.findall(r"```sql\n(.*?)```", DOCUMENT, re.DOTALL)
OF_INDEXER = "SELECT count(*) FROM pg_class WHERE relowner = 'indexer'::regrole AND relnamespace = 'public'::regnamespace"
NOBODY_WRITES = """
SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory' AND database = (
  SELECT oid FROM pg_database WHERE datname = current_database())
"""
# What a role without superuser's rights could still have been given.
ATTRIBUTES = """
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
  OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid)
  OR has_database_privilege(oid, current_database(), 'CREATE')
FROM pg_roles WHERE rolname = 'indexer'
"""


@pytest.fixture
async def roles(database: str) -> AsyncIterator[str]:
    """The URL of an empty database for the role `indexer`, which is yet to be made; `application` is there."""
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(
            f"CREATE ROLE application; REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE TEMP ON DATABASE {name} FROM PUBLIC;"
            "GRANT USAGE, CREATE ON SCHEMA public TO application"
        )
        yield database.replace("//unified@", "//indexer@")
        for role in ("indexer", "application"):
            if await connection.fetchval("SELECT to_regrole($1) IS NOT NULL", role):
                await connection.execute(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


async def granted(url: str, kind: str) -> None:
    """Does what the document says for an empty database, or for that of an application."""
    async with connected(url) as connection:
        if kind == "application":
            await connection.execute(f"SET ROLE application; {TABLES}; RESET ROLE; {APPLICATION}")
        else:
            await connection.execute(EMPTY)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["empty", "application"])
async def test_the_documented_rights_are_enough(database: str, roles: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of event, wipes among them; a restart; a cursor that is forgotten; a rebuild of what follows from records."""
    await granted(database, kind)
    stream = traffic(2_000, awkward=True, accounts=150, seed=31)
    half = stream.frames[: len(stream.frames) // 2]
    async with RelayServer(half) as relay:
        async with running(roles, relay.url) as worker:
            for frame in stream.frames[len(half) :]:
                relay.append(frame)
            await finished(worker, stream.last_seq)
        async with connected(database) as connection:
            assert not await connection.fetchval(ATTRIBUTES)
            assert (await connection.fetchval(OF_INDEXER) > 0) is (kind == "empty")
            await connection.execute(READER)
            await connection.execute("SET ROLE application; SELECT did FROM unified_worker.repos WHERE active")
            # The views show nobody more than the tables do: of the worker's own the role has not been granted any.
            if kind == "empty":
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="posts"):
                    await connection.execute("SELECT FROM unified_views.active_posts")
                await connection.execute("RESET ROLE; GRANT SELECT ON ALL TABLES IN SCHEMA public TO application")
            await connection.execute("SET ROLE application")
            assert await connection.fetchval("SELECT count(*) > 0 FROM unified_views.active_posts")
            await connection.execute("RESET ROLE; REVOKE CREATE ON SCHEMA public FROM indexer")
        async with running(roles, relay.url, reset_cursor=True) as worker:  # all of it again, by the rights of a second start
            await finished(worker, stream.last_seq)
    assert await differences(database, stream.model) == []
    async with connected(database) as connection:
        await connection.execute("DELETE FROM post_aggregations; DELETE FROM quotes; UPDATE posts SET has_thread_gate = true")
    await rebuilt(roles)
    assert await differences(database, stream.model) == []


async def rebuilt(url: str) -> None:
    pool = DatabasePool(url, size=2, name="a rebuild", durable=False, exclusive=False)
    await make_ready(pool, RECORD_TYPES)
    assert await Rebuild(pool).run()
    pool.terminate()


async def faults_of(url: str) -> str:
    pool = DatabasePool(url, size=2, name="relay.test", durable=False)
    with pytest.raises(OperatorError) as caught:
        await make_ready(pool, RECORD_TYPES)
    looking = DatabasePool(url, size=1, name="relay.test", durable=False, exclusive=False)
    assert (await look(looking, RECORD_TYPES)).faults == caught.value.faults, "`config check` says what a start says"
    for one in (pool, looking):
        one.terminate()
    return "\n".join(caught.value.faults)


TAKEN = (
    ("REVOKE DELETE ON likes FROM indexer", "no right to DELETE on public.likes: GRANT DELETE ON public.likes"),
    ("REVOKE UPDATE, INSERT ON users FROM indexer", "no right to INSERT, UPDATE on public.users: GRANT INSERT, UPDATE"),
    ("REVOKE SELECT ON user_settings FROM indexer", "no right to SELECT on public.user_settings: GRANT SELECT"),
    ("REVOKE ALL ON firehose_cursor FROM indexer", "no right to SELECT, INSERT, UPDATE, DELETE on public.firehose_cursor"),
    ("REVOKE USAGE ON SEQUENCE notifications_id_seq FROM indexer", "GRANT USAGE ON SEQUENCE notifications_id_seq"),
    ("REVOKE USAGE ON SCHEMA public FROM indexer", "GRANT USAGE ON SCHEMA"),
    ("ALTER SCHEMA unified_worker OWNER TO application", "ALTER SCHEMA unified_worker OWNER TO"),
    ("DROP SCHEMA unified_worker", "CREATE SCHEMA unified_worker AUTHORIZATION"),
)


@pytest.mark.parametrize(("statement", "said"), TAKEN, ids=[statement[:40] for statement, _ in TAKEN])
async def test_each_right_that_is_taken_is_named(database: str, roles: str, statement: str, said: str) -> None:
    await granted(database, "application")
    async with connected(database) as connection:
        await connection.execute(statement)
    faults = await faults_of(roles)
    assert said in faults
    assert len(faults.splitlines()) == 1


async def test_without_the_right_to_make_a_schema_there_are_no_views(
    database: str, roles: str, caplog: pytest.LogCaptureFixture
) -> None:
    await granted(database, "application")
    async with connected(database) as connection:
        await connection.execute("DROP SCHEMA unified_views")
        with caplog.at_level(logging.INFO):
            async with opened(roles):
                pass
        assert await connection.fetchval("SELECT to_regnamespace('unified_views') IS NULL")
    (said,) = [record for record in caplog.records if "unified_views" in record.getMessage()]
    assert said.levelno == logging.INFO
    assert "CREATE SCHEMA unified_views AUTHORIZATION" in said.getMessage()


async def test_the_right_to_make_tables_is_named_and_the_command_ends_with_2(database: str, roles: str, tmp_path: Path) -> None:
    await granted(database, "empty")
    async with connected(database) as connection:
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM indexer")
    async with Process(tmp_path, **settings(roles, "ws://127.0.0.1:1")) as worker:
        assert await worker.ends() == 2
    assert "GRANT CREATE ON SCHEMA public TO" in worker.output
    assert "Traceback" not in worker.output


async def test_rows_that_a_policy_hides_are_a_fault_and_a_policy_that_shows_all_is_none(database: str, roles: str) -> None:
    await granted(database, "application")
    async with connected(database) as connection:
        await connection.execute("ALTER TABLE likes ENABLE ROW LEVEL SECURITY")
        assert "row-level security may hide rows of public.likes" in await faults_of(roles)
        await connection.execute("CREATE POLICY own ON likes TO indexer USING (user_did <> '')")
        assert "public.likes" in await faults_of(roles)
        await connection.execute("CREATE POLICY everything ON likes TO indexer USING (true)")
        await ready(roles)
        await connection.execute("CREATE POLICY less ON likes AS RESTRICTIVE TO indexer USING (user_did <> 'x')")
        assert "public.likes" in await faults_of(roles)
        await connection.execute("DROP POLICY less ON likes; ALTER TABLE user_settings ENABLE ROW LEVEL SECURITY")
        assert "public.user_settings" in await faults_of(roles)
        await connection.execute("CREATE POLICY seen ON user_settings FOR SELECT TO PUBLIC USING (true)")
        await ready(roles)


async def ready(url: str) -> None:
    pool = DatabasePool(url, size=2, name="relay.test", durable=False)
    await make_ready(pool, RECORD_TYPES)
    pool.terminate()
    async with connected(url) as connection:
        await until(lambda: connection.fetchval(NOBODY_WRITES), "the server has seen its end")


async def test_a_schema_where_anybody_may_create_functions_is_warned_of(
    database: str, roles: str, caplog: pytest.LogCaptureFixture
) -> None:
    await granted(database, "empty")
    await ready(roles)
    assert caplog.messages == []
    async with connected(database) as connection:
        await connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        await ready(roles)
        (warning,) = caplog.messages
        await connection.execute(warning.rpartition(": ")[2])
        await ready(roles)
    assert len(caplog.messages) == 1
