"""What an error of the database asks for: a letter for one commit, the same again, or the operator."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from hashlib import sha256

import asyncpg
import pytest

from testing.commits import LIKE, POST, Stream, delete, did, like, post, put
from testing.database_side import Worker, opened
from testing.databases import connected
from testing.servers import kill9
from unified_indexer.database.connection.failures import Remedy, remedy
from unified_indexer.database.connection.pool import LockLost
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.errors import Stop
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode

# Raises `state` for a row of `posts` whose text is 'bad', `times` times; a sequence counts, since it is not rolled back.
RAISING = """
CREATE SEQUENCE raised;
CREATE FUNCTION raising() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.text = 'bad' AND nextval('raised') <= {times} THEN
    RAISE EXCEPTION 'as the test asks' USING ERRCODE = '{state}';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER raising BEFORE INSERT OR UPDATE ON posts FOR EACH ROW EXECUTE FUNCTION raising();
"""


async def raising(worker: Worker, state: str, times: int = 1_000_000) -> None:
    await worker.connection.execute(RAISING.format(state=state, times=times))


def story() -> list[Commit]:
    """Ten commits of two accounts; the fifth is refused where a trigger refuses 'bad'."""
    stream = Stream()
    return [stream.commit("ab"[n % 2], put(f"{POST}/{n}", post("bad" if n == 4 else str(n)))) for n in range(10)]


def uri(n: int) -> str:
    return f"at://{did('ab'[n % 2])}/{POST}/{n}"


ALL_URIS = sorted(uri(n) for n in range(10))


@pytest.mark.parametrize("state", ["22001", "23502", "23505", "23514", "38000", "54001", "P0001", "ZZ001"])
@pytest.mark.promise(2)
async def test_a_refused_commit_is_kept_alone(worker: Worker, state: str) -> None:
    await raising(worker, state)
    commits = story()
    outcomes = await worker.write(*commits)
    assert outcomes == [f"refused:{state}" if n == 4 else "applied" for n in range(10)]
    assert await worker.column("SELECT uri FROM posts ORDER BY 1") == [u for u in ALL_URIS if u != uri(4)]
    assert await worker.letters() == [(f"{POST}/4", f"database_{state}", "as the test asks", 1)]
    row = await worker.connection.fetchrow(
        "SELECT did, rev, seq, sha256 = sha256(frame) AS sound, frame FROM unified_worker.dead_letters l "
        "JOIN unified_worker.dead_frames f ON f.sha256 = l.frame_sha256"
    )
    assert row is not None
    assert tuple(row)[:4] == (did("a"), commits[4].rev, commits[4].seq, True)
    assert decode(row["frame"]) == commits[4]
    # Later commits of the same repo went on, and the rev is theirs.
    assert await worker.value("SELECT rev FROM unified_worker.repos WHERE did = $1", did("a")) == commits[8].rev


@pytest.mark.promise(2)
async def test_every_op_of_a_refused_commit_has_its_letter_and_they_share_a_frame(worker: Worker) -> None:
    await raising(worker, "23514")
    bad = Stream().commit(
        "a",
        put(f"{POST}/1", post("bad")),
        put(f"{LIKE}/1", like(uri(0))),
        delete(f"{POST}/2"),
        put(f"{LIKE}/2", {"$type": LIKE}),
    )
    assert await worker.write(bad) == ["refused:23514"]
    assert [letter[0] for letter in await worker.letters()] == [f"{POST}/1", f"{LIKE}/1", f"{POST}/2", f"{LIKE}/2"]
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_frames") == 1
    assert await worker.value("SELECT bytes FROM unified_worker.dead_frames_size") == len(bad.frame)


@pytest.mark.promise(4)
async def test_order_in_a_repo_holds_around_a_refused_commit(worker: Worker) -> None:
    await raising(worker, "23514")
    stream = Stream()
    path = f"{POST}/1"
    commits = [
        stream.commit("a", put(path, post("one"))),
        stream.commit("a", put(path, post("bad"), "update")),
        stream.commit("a", put(path, post("two"), "update")),
        stream.commit("a", put(f"{POST}/2", post("bad"))),
        stream.commit("a", delete(f"{POST}/2")),
    ]
    outcomes = await worker.write(*commits)
    assert outcomes == ["applied", "refused:23514", "applied", "refused:23514", "applied"]
    assert await worker.column("SELECT text FROM posts") == ["two"]
    assert await worker.letters() == [], "the later operations on the same paths closed the letters"
    assert await worker.value("SELECT count(*) FROM unified_worker.dead_frames") == 0


@pytest.mark.parametrize(
    "state", ["08006", "0A000", "40P01", "53100", "55000", "55P03", "25006", "57014", "58030", "HV00N", "XX000"]
)
@pytest.mark.promise(2)
async def test_what_may_pass_is_repeated_until_it_does(worker: Worker, state: str) -> None:
    await raising(worker, state, times=2)
    assert set(await worker.write(*story())) <= {"applied", "stale"}
    assert await worker.column("SELECT uri FROM posts ORDER BY 1") == ALL_URIS
    assert await worker.letters() == []
    assert await worker.value("SELECT last_value FROM raised") == 3


@pytest.mark.promise(2)
async def test_what_may_pass_is_repeated_among_refused_commits_too(worker: Worker) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> '2')")
    await raising(worker, "40P01", times=2)
    outcomes = await worker.write(*story())
    assert outcomes[2] == "refused:23514"
    assert await worker.column("SELECT uri FROM posts ORDER BY 1") == [u for u in ALL_URIS if u != uri(2)]
    assert [letter[0] for letter in await worker.letters()] == [f"{POST}/2"]


@pytest.mark.promise(2)
async def test_two_lanes_that_deadlock_both_get_through(worker: Worker) -> None:
    # Each lane's two posts lock two rows that they share, in opposite order.
    await worker.connection.execute(
        """
        CREATE TABLE shared (name text PRIMARY KEY); INSERT INTO shared VALUES ('x'), ('y');
        CREATE FUNCTION locking() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          PERFORM FROM shared WHERE name = NEW.text FOR UPDATE;
          PERFORM pg_sleep(0.05);
          RETURN NEW;
        END $$;
        CREATE TRIGGER locking BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION locking();
        ALTER DATABASE CURRENT SET deadlock_timeout = '20ms'
        """.replace("CURRENT", str(await worker.value("SELECT current_database()")))
    )
    async with opened(worker.pool.url, name="another.relay") as other:
        stream = Stream()
        one = stream.commit("a", put(f"{POST}/1", post("x")), put(f"{POST}/2", post("y")))
        two = stream.commit("b", put(f"{POST}/1", post("y")), put(f"{POST}/2", post("x")))
        outcomes = await asyncio.gather(other.write(one), worker.write(two))
        assert outcomes == [["applied"], ["applied"]]
        assert await worker.value("SELECT count(*) FROM posts") == 4
        assert await worker.letters() == []


async def test_a_statement_timeout_only_makes_it_slower(database: str) -> None:
    async with connected(database) as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE {name} SET statement_timeout = '150ms'")
    async with opened(database) as worker:
        await worker.connection.execute("SET statement_timeout = 0")
        await worker.connection.execute(
            """
            CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$;
            CREATE TRIGGER slow BEFORE INSERT ON posts FOR EACH ROW EXECUTE FUNCTION slow()
            """
        )
        await worker.write(*story())
        assert await worker.column("SELECT uri FROM posts ORDER BY 1") == ALL_URIS
        assert await worker.letters() == []


@contextlib.asynccontextmanager
async def locked_posts(url: str) -> AsyncGenerator[None]:
    """Nobody else writes posts meanwhile; a server that dies meanwhile is what the test wanted."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("BEGIN; LOCK TABLE posts IN SHARE MODE")
        yield
    finally:
        connection.terminate()


WAITING_CALL = """
SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL unified_worker.%' AND state = 'active' AND wait_event_type = 'Lock'
"""


async def waiting_call(connection: Connection) -> int:
    """The pid of the session whose call waits for a lock."""
    async with asyncio.timeout(10):
        while (pid := await connection.fetchval(WAITING_CALL)) is None:
            await asyncio.sleep(0.01)
    return pid


@pytest.mark.promise(2)
async def test_a_lane_s_connection_that_is_ended_in_mid_call_loses_nothing(worker: Worker) -> None:
    commits = story()
    async with locked_posts(worker.pool.url):
        writing = asyncio.create_task(worker.write(*commits))
        ended = await waiting_call(worker.connection)
        await worker.connection.execute("SELECT pg_terminate_backend($1, 5000)", ended)
        canceled = await waiting_call(worker.connection)
        assert canceled != ended
        await worker.connection.execute("SELECT pg_cancel_backend($1)", canceled)
    await writing
    assert await worker.column("SELECT uri FROM posts ORDER BY 1") == ALL_URIS
    assert await worker.letters() == []


@pytest.mark.long
async def test_a_server_that_comes_back_is_written_to_again(private_server: PostgresServer) -> None:
    """Its lock is gone with it, so the writer says so instead of writing without one; then all is sent again."""
    async with opened(private_server.url) as worker:
        first, *others = story()
        await worker.write(first)
        async with locked_posts(private_server.url):
            writing = asyncio.create_task(worker.write(*others))
            await waiting_call(worker.connection)
            await kill9(private_server)
        await private_server.start()
        with pytest.raises(LockLost):
            await writing
    async with opened(private_server.url) as worker:
        await worker.write(*others)
        assert await worker.column("SELECT uri FROM posts ORDER BY 1") == ALL_URIS
        assert await worker.value("SELECT count(*) FROM unified_worker.dead_letters") == 0


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE posts DROP COLUMN langs",
        "DROP TABLE posts",
        "DROP FUNCTION unified_worker.keep",
        "DROP TABLE unified_worker.repos",
        "DROP SCHEMA unified_worker CASCADE",
        "DROP SCHEMA public CASCADE",
    ],
)
async def test_a_schema_that_changed_stops_the_worker(worker: Worker, change: str) -> None:
    await worker.connection.execute(change)
    commit = Stream().commit("a", put(f"{POST}/1", post()), put(f"{LIKE}/1", {"$type": LIKE}))
    with pytest.raises(Stop, match=r"schema has changed since the start \((42|3F)"):
        await worker.write(commit)


async def test_a_key_that_is_gone_stops_the_worker_and_the_statement_is_named(worker: Worker) -> None:
    """PostgreSQL's own words ("there is no unique or exclusion constraint matching …") say of no table that it is this one."""
    await worker.connection.execute("ALTER TABLE posts DROP CONSTRAINT posts_pkey")
    with pytest.raises(Stop, match=r"\(42P10: .*INSERT INTO public.posts"):
        await worker.write(Stream().commit("a", put(f"{POST}/1", post())))


@pytest.mark.promise(2)
async def test_lost_rights_stop_the_worker_also_where_commits_are_isolated(worker: Worker) -> None:
    await worker.connection.execute("ALTER TABLE posts ADD CHECK (text <> '2')")
    await raising(worker, "42501", times=1)
    with pytest.raises(Stop, match="42501"):
        await worker.write(*story())
    assert await worker.column("SELECT path FROM unified_worker.dead_letters") in ([], [f"{POST}/2"])


@pytest.mark.promise(2)
async def test_a_call_that_fails_as_a_whole_is_halved_until_one_commit_is_alone(worker: Worker) -> None:
    commits = story()
    # No frame gives such a commit; what no one thought of may.
    commits[3] = commits[3]._replace(ops=(commits[3].ops[0]._replace(rkey="a\0b"),))
    assert await worker.write(*commits) == ["refused:22021" if n == 3 else "applied" for n in range(10)]
    assert await worker.column("SELECT uri FROM posts ORDER BY 1") == [u for u in ALL_URIS if u != uri(3)]
    assert [letter[:2] for letter in await worker.letters()] == [(sha256(commits[3].frame).hexdigest(), "database_22021")]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.DeadlockDetectedError("x"), Remedy.RETRY),
        (asyncpg.AdminShutdownError("x"), Remedy.RETRY),
        (asyncpg.CannotConnectNowError("x"), Remedy.RETRY),
        (asyncpg.TooManyConnectionsError("x"), Remedy.RETRY),
        (asyncpg.DiskFullError("x"), Remedy.RETRY),
        (asyncpg.ReadOnlySQLTransactionError("x"), Remedy.RETRY),
        (asyncpg.LockNotAvailableError("x"), Remedy.RETRY),
        (asyncpg.ConnectionDoesNotExistError("x"), Remedy.RETRY),
        (asyncpg.InterfaceError("connection is closed"), Remedy.RETRY),
        (ConnectionResetError(), Remedy.RETRY),
        (TimeoutError(), Remedy.RETRY),
        (asyncpg.UndefinedTableError("x"), Remedy.SCHEMA),
        (asyncpg.InsufficientPrivilegeError("x"), Remedy.SCHEMA),
        (asyncpg.InvalidSchemaNameError("x"), Remedy.SCHEMA),
        (asyncpg.CharacterNotInRepertoireError("x"), Remedy.DATA),
        (asyncpg.ProgramLimitExceededError("x"), Remedy.DATA),
        (asyncpg.StatementTooComplexError("x"), Remedy.DATA),
        (asyncpg.InternalServerError("x"), Remedy.RETRY),
        (asyncpg.ObjectNotInPrerequisiteStateError("x"), Remedy.RETRY),
        (asyncpg.FeatureNotSupportedError("x"), Remedy.RETRY),
        (asyncpg.InvalidPasswordError("x"), Remedy.RETRY),
        (asyncpg.RaiseError("x"), Remedy.DATA),
        (asyncpg.ForeignKeyViolationError("x"), Remedy.DATA),
    ],
)
def test_the_remedy_of_an_error(error: Exception, expected: Remedy) -> None:
    assert remedy(error) is expected


async def test_what_the_client_can_t_encode_is_the_data_s_fault(worker: Worker) -> None:
    with pytest.raises(asyncpg.DataError, match="surrogates") as caught:
        await worker.connection.fetchval("SELECT $1::text", "\ud800")
    assert remedy(caught.value) is Remedy.DATA
    with pytest.raises(asyncpg.DataError, match="int64") as caught:
        await worker.connection.fetchval("SELECT $1::bigint", 2**63)
    assert remedy(caught.value) is Remedy.DATA


async def test_connections_that_are_cut_in_mid_call_leave_no_fault_of_ours(worker: Worker) -> None:
    """`abandon` cuts them when the grace is over, and cancels."""
    async with locked_posts(worker.pool.url):
        writing = asyncio.create_task(worker.write(*story()))
        await waiting_call(worker.connection)
        worker.pool.terminate()
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing


@pytest.mark.parametrize("turns", range(6))
async def test_a_cancelled_write_ends_also_when_its_connection_is_lost_at_that_moment(worker: Worker, turns: int) -> None:
    """A cancellation that came out as an error of the connection would be repeated, by a task that nobody waits for."""
    async with locked_posts(worker.pool.url):
        writing = asyncio.create_task(worker.write(*story()))
        pid = await waiting_call(worker.connection)
        ending = asyncio.create_task(worker.connection.execute("SELECT pg_terminate_backend($1)", pid))
        for _ in range(turns):  # of the loop: the cancellation falls before, between and after the parts of the server's answer
            await asyncio.sleep(0)
        writing.cancel()
        await ending
        done, _ = await asyncio.wait({writing}, timeout=5)
        assert done
        assert writing.cancelled()
