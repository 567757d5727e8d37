"""What the database does wrong, or has done to it."""

import asyncio
import contextlib
from random import Random

import asyncpg
import psutil

from testing.faults.cluster import mountable
from testing.faults.kind import Kind
from testing.faults.scene import Scene
from testing.faults.witness import GONE, MINE
from testing.hostile import HOSTILE, change
from testing.servers import kill9

WORKERS = "datname = current_database() AND application_name LIKE '%python%'"
LOCKED = ("likes", "posts", "follows", "post_aggregations", "notifications", "unified_worker.repos", "firehose_cursor")
NAMED = "has no unique index on (uri)"
TIMEOUT = "30ms"
BALLAST = "ballast"
BLOCK = 65_536


async def _restart(scene: Scene, rng: Random) -> None:
    async with scene.operator:
        await scene.server.stop()
        await asyncio.sleep(rng.uniform(0, 2.5))
        await scene.server.start()


async def _kill(scene: Scene, rng: Random) -> None:
    async with scene.operator:
        await kill9(scene.server)
        await asyncio.sleep(rng.uniform(0, 1))
        await scene.server.start()


async def _kill_backend(scene: Scene, rng: Random) -> None:
    """kill -9 of one of the server's processes that serve the worker: the server ends all the others and recovers."""
    pids = [row["pid"] for row in await scene.rows(f"SELECT pid FROM pg_stat_activity WHERE {WORKERS}")]
    if pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(rng.choice(pids)).kill()
    await _back(scene)


async def _back(scene: Scene) -> None:
    async def answers() -> bool:
        return bool(await scene.rows("SELECT 1"))

    await scene.until(answers, "the server answers again")


async def _one_by_one(scene: Scene, rng: Random) -> None:
    for _ in range(6):
        await scene.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WORKERS} ORDER BY random() LIMIT 1")
        await asyncio.sleep(rng.uniform(0.05, 0.4))


async def _at_once(scene: Scene, _rng: Random) -> None:
    await scene.rows(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WORKERS}")


async def _cancelled(scene: Scene, rng: Random) -> None:
    for _ in range(20):
        await scene.rows(f"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE {WORKERS} AND state = 'active'")
        await asyncio.sleep(rng.uniform(0.01, 0.15))


async def _exhausted(scene: Scene, rng: Random) -> None:
    """Others take every connection that the server has, those for superusers too; the worker's are ended."""
    async with contextlib.AsyncExitStack() as stack:
        await _at_once(scene, rng)
        free = True
        while free:
            try:
                taken = await asyncpg.connect(scene.url, server_settings=MINE)
                stack.callback(taken.terminate)
            except GONE:
                free = False
        await asyncio.sleep(rng.uniform(1, 3))


async def _locked(scene: Scene, rng: Random) -> None:
    connection = await asyncpg.connect(scene.url, server_settings=MINE)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {', '.join(rng.sample(LOCKED, 2))}")
            await asyncio.sleep(rng.uniform(1, 3))
    finally:
        connection.terminate()


async def _timed_out(scene: Scene, rng: Random) -> None:
    """Sessions that are too short for a long call; and for whatever waits for a table."""
    await scene.sql(f"ALTER ROLE CURRENT_USER SET statement_timeout = '{TIMEOUT}'")
    await _at_once(scene, rng)
    try:
        for _ in range(4):
            await scene.sql(f"DO $$ BEGIN LOCK TABLE likes; PERFORM pg_sleep({rng.uniform(0.05, 0.3)}); END $$")
            await asyncio.sleep(rng.uniform(0.05, 0.3))
    finally:
        await scene.sql("ALTER ROLE CURRENT_USER RESET statement_timeout")
        await _at_once(scene, rng)


async def _disk_full(scene: Scene, rng: Random) -> None:
    """Another program fills the disk; sooner or later it frees it. The server itself may have given up meanwhile."""
    assert scene.disk is not None
    ballast = scene.disk / BALLAST
    scene.feed.more(600)
    with ballast.open("wb", buffering=0) as file:
        for _ in range(6):  # the server frees some space when it recycles its log
            with contextlib.suppress(OSError):
                while file.write(bytes(BLOCK)):
                    pass
            await asyncio.sleep(rng.uniform(0.2, 0.6))
        ballast.unlink()
    async with scene.operator:
        await asyncio.sleep(0.5)
        if scene.server.pid is None:  # it gave up
            await scene.server.stop("immediate")
            await scene.server.start()
    await _back(scene)


async def _read_only(scene: Scene, rng: Random) -> None:
    await scene.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    await asyncio.sleep(rng.uniform(1, 3))
    await scene.sql("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


async def _hostile(scene: Scene, rng: Random) -> None:
    """Every setting of the database that changes what SQL means, for new connections; the worker's own are ended."""
    await change(scene.url, HOSTILE)
    try:
        await _at_once(scene, rng)
        await _goes_on(scene)
    finally:
        await scene.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET ALL', current_database()); END $$")
        await _at_once(scene, rng)


async def _goes_on(scene: Scene) -> None:
    """Commits get in for as long as it lasts."""
    for _ in range(3):
        await scene.newer(scene.witness.newest, reserved=0.08)
        await asyncio.sleep(0.5)


async def _published(scene: Scene, _rng: Random) -> None:
    """The server refuses changes of tables without a key by which a subscriber finds the rows."""
    await scene.sql("CREATE PUBLICATION everything FOR ALL TABLES")
    try:
        scene.feed.more(300)
        await _goes_on(scene)
    finally:
        await scene.sql("DROP PUBLICATION everything")


async def _index_dropped(scene: Scene, rng: Random) -> None:
    """The worker stops with 1; started again it stops with 2 and names what is missing; the operator makes it again."""
    ended = len(scene.keeper.codes)
    scene.feed.more(100, reserved=0.07)
    await scene.sql("ALTER TABLE posts DROP CONSTRAINT posts_pkey")
    try:
        await scene.keeper.ended(ended, 30)
        await scene.until(lambda: NAMED in scene.keeper.output, "the start names the index")
    finally:
        await scene.sql("ALTER TABLE posts ADD PRIMARY KEY (uri)")


KINDS = (
    Kind("db_restart", "database", "stopped for up to 2.5 s", _restart),
    Kind("db_kill9", "database", "kill -9 of the server", _kill),
    Kind("db_backend_kill9", "database", "kill -9 of one of its processes: it recovers by itself", _kill_backend),
    Kind("db_terminated_singly", "database", "connections terminated one by one", _one_by_one),
    Kind("db_terminated", "database", "connections terminated all at once", _at_once),
    Kind("db_cancelled", "database", "statements cancelled", _cancelled),
    Kind("db_exhausted", "database", "no connection left for up to 3 s", _exhausted),
    Kind("db_locked", "database", "two tables held for up to 3 s", _locked),
    Kind("db_statement_timeout", "database", "statement_timeout of 30 ms, and a table held", _timed_out),
    Kind(
        "db_disk_full",
        "database",
        "disk full",
        _disk_full,
        needs=frozenset({"small disk"}),
        group="room",
        missing=mountable,
    ),
    Kind("db_read_only", "database", "read-only for up to 3 s", _read_only),
    Kind(
        "db_index_dropped",
        "database",
        "a key gone: stops with 1, a start with 2",
        _index_dropped,
        frozenset({1, 2}),
        group="keys",
    ),
    Kind("db_hostile_settings", "database", "30 settings that change what SQL means", _hostile, group="settings"),
    Kind("db_published", "database", "a publication FOR ALL TABLES", _published, group="keys"),
)
