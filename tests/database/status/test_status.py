"""What `status` finds in a database: sizes without reading the tables, growth, runs, gaps, one account; and what it refuses."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from testing.commits import LIKE, POST, Stream, did, like, post, put
from testing.database_side import Worker
from testing.databases import connected
from testing.waiting import until
from unified_indexer.command_line.texts import status as texts
from unified_indexer.database.background import runs
from unified_indexer.database.background.runs import KEPT, Run
from unified_indexer.database.background.sizes import KEPT_DAYS, Sizes, measure
from unified_indexer.database.background.stuck import Stuck
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.schema.migrations import MIGRATIONS
from unified_indexer.database.schema.prepare import OWN_SCHEMA, OWN_VERSION
from unified_indexer.database.status import account
from unified_indexer.database.status import read_only as look_module
from unified_indexer.database.status.account import account_status as ask_account
from unified_indexer.database.status.database import status
from unified_indexer.database.status.read_only import read_only
from unified_indexer.database.status.results import (
    AccountStatus,
    Deletion,
    Fetching,
    Letters,
    LockHolder,
    PastRun,
    Publishing,
    RebuildStep,
    Relay,
    Replica,
    Repos,
    Status,
)
from unified_indexer.errors import OperatorError, Stop, describe
from unified_indexer.formatting import duration, size
from unified_indexer.metrics import Metrics

LIKED = f"at://{did('b')}/{POST}/1"


def status_text(found: Status) -> str:
    return "\n".join(texts.status_text(found))


def account_text(found: AccountStatus) -> str:
    return "\n".join(texts.account_text(found))


async def ask(connection: Connection) -> Status:
    return await status(connection, "public")


async def looked(url: str) -> Status:
    """As the command asks: on a connection of its own, read-only."""
    return await read_only(url, "status", lambda connection, schema: status(connection, schema))


# ── sizes


async def test_small_tables_are_counted_and_large_ones_estimated(worker: Worker) -> None:
    connection = worker.connection
    await connection.execute(
        """
        INSERT INTO likes (uri, user_did, post_uri, created_at)
        SELECT 'at://did:plc:a/l/' || n, 'did:plc:a', repeat('p', 100) || n, now() FROM generate_series(1, 100000) AS n;
        INSERT INTO follows (uri, follower_did, following_did, created_at)
        SELECT 'at://did:plc:a/f/' || n, 'did:plc:a', 'did:plc:' || n, now() FROM generate_series(1, 321) AS n
        """
    )
    for analyzed in (False, True):
        if analyzed:
            await connection.execute("ANALYZE likes")
            await connection.execute("DELETE FROM likes WHERE uri LIKE '%7'")  # blocks stay: the estimate does too
        sizes = {found.name: found for found in await measure(connection)}
        assert (sizes["follows"].rows, sizes["follows"].exact) == (321, True)
        assert sizes["likes"].exact is False
        assert 0.95 < sizes["likes"].rows / 100_000 < 1.05
        assert sizes["likes"].bytes == await connection.fetchval("SELECT pg_total_relation_size('likes')")
        assert (sizes["posts"].rows, sizes["posts"].exact) == (0, True)
        assert "unified_worker.repos" in sizes


async def test_a_partitioned_table_is_the_sum_of_its_parts(worker: Worker) -> None:
    await worker.connection.execute(
        """
        DROP TABLE blocks;
        CREATE TABLE blocks (uri text) PARTITION BY HASH (uri);
        CREATE TABLE blocks_0 PARTITION OF blocks FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE blocks_1 PARTITION OF blocks FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO blocks SELECT 'u' || n FROM generate_series(1, 50) AS n
        """
    )
    (found,) = (found for found in await measure(worker.connection) if found.name == "blocks")
    assert (found.rows, found.exact) == (50, True)
    assert found.bytes == await worker.value("SELECT pg_total_relation_size('blocks_0') + pg_total_relation_size('blocks_1')")


async def test_one_sample_a_day_and_growth_by_the_oldest_of_a_week(both_worker: Worker) -> None:
    worker, sizes = both_worker, Sizes(both_worker.pool)
    samples = "SELECT count(*) FROM unified_worker.sizes WHERE name = 'posts'"
    for _ in range(2):
        await sizes.sample(worker.connection)
        assert await worker.value(samples) == 1
    found = await ask(worker.connection)
    assert {table.growth for table in found.tables} == {None}
    assert "growth is not known in the first ten minutes" in status_text(found)
    for days in (2, 5, 30, KEPT_DAYS + 1):
        await worker.connection.execute(
            """INSERT INTO unified_worker.sizes (name, day, taken_at, rows, bytes)
            SELECT 'posts', (now() AT TIME ZONE 'UTC')::date - $1::int, now() - make_interval(days => $1), $2, 0""",
            days,
            100 * (10 - min(days, 10)),
        )
    (growth,) = (table.growth for table in (await ask(worker.connection)).tables if table.name == "posts")
    assert growth is not None
    assert growth.over_seconds == pytest.approx(5 * 86_400, abs=60)
    assert growth.rows_per_day == -100  # 500 five days ago, none now
    assert growth.bytes_per_day > 0
    assert status_text(await ask(worker.connection)).endswith("~ estimated; growth: over the last 5 d 0 h")
    await worker.connection.execute("DELETE FROM unified_worker.sizes WHERE day = (now() AT TIME ZONE 'UTC')::date")
    await sizes.sample(worker.connection)
    assert await worker.value(samples) == 4, "today's is there again, and the oldest is gone"
    await worker.connection.execute("UPDATE unified_worker.sizes SET taken_at = now() - interval '20 hours'")
    assert status_text(await ask(worker.connection)).endswith("growth: over the last 20 h 0 min, extrapolated")


# ── runs


async def test_a_run_says_how_it_goes_and_how_it_ended(both_worker: Worker) -> None:
    metrics = Metrics()
    run = Run(both_worker.pool, metrics)
    metrics.finished, metrics.refused["bad_cbor"] = 7, 3
    await run.end("SIGTERM")
    (relay,) = (await ask(both_worker.connection)).relays
    (found,) = relay.runs
    assert relay.service == "relay.test"
    assert relay.cursor is None
    assert relay.running is not None
    assert (found.how, found.counts["finished"], found.counts["refused"]) == ("SIGTERM", 7, {"bad_cbor": 3})
    text = status_text(await ask(both_worker.connection))
    assert "SIGTERM" in text
    assert "refused         3 (bad_cbor 3)" in text


async def test_the_counts_of_a_run_are_there_soon(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for the status half a minute after the start does not read that nothing has come."""
    assert runs.SOON <= 10
    monkeypatch.setattr(runs, "SOON", 0.1)
    monkeypatch.setattr(runs, "INTERVAL", 1_000.0)
    metrics = Metrics()
    noting = asyncio.create_task(Run(worker.pool, metrics).keep_noting())
    counted = "SELECT coalesce(max(counts ->> 'finished'), '') FROM unified_worker.runs"

    async def noted(count: str) -> bool:
        return await worker.value(counted) == count

    try:
        await until(lambda: noted("0"), "the beginning is noted")
        metrics.finished = 7
        await until(lambda: noted("7"), "what came since is noted")
    finally:
        noting.cancel()
        await asyncio.gather(noting, return_exceptions=True)


async def test_so_many_runs_are_kept(worker: Worker) -> None:
    await worker.connection.execute(
        """INSERT INTO unified_worker.runs (service, started_at, version, host, pid, updated_at, counts)
        SELECT service, now() - make_interval(hours => n), '0', 'h', 1, now(), '{}'
        FROM generate_series(1, 150) AS n, unnest('{relay.test,another.relay}'::text[]) AS service"""
    )
    run = Run(worker.pool, Metrics())
    await run.end("start")
    await run.end("stop")
    runs = "SELECT count(*) || ' ' || count(*) FILTER (WHERE how = 'stop') FROM unified_worker.runs WHERE service = $1"
    assert await worker.value(runs, "relay.test") == f"{KEPT} 1"
    assert await worker.value(runs, "another.relay") == "150 0"


def test_a_fault_is_told_in_a_line() -> None:
    group = BaseExceptionGroup(
        "", [ExceptionGroup("", [Stop("it restarted its numbering")]), ValueError("7"), KeyboardInterrupt()]
    )
    assert describe(group) == "it restarted its numbering; ValueError: 7; KeyboardInterrupt"


# ── dead letters, and one account


async def test_dead_letters_by_reason_and_those_without_room_for_their_frame(worker: Worker) -> None:
    await worker.connection.execute(
        """INSERT INTO unified_worker.dead_letters (did, rev, path, reason, detail, frame_sha256)
        SELECT 'did:plc:x', '', n::text, CASE WHEN n % 3 = 0 THEN 'bad_cbor' ELSE 'foreign_key' END, '',
          CASE WHEN n > 10 THEN '\\x00'::bytea END FROM generate_series(1, 30) AS n"""
    )
    found = (await ask(worker.connection)).dead_letters
    assert found.by_reason == {"foreign_key": 20, "bad_cbor": 10}
    assert (found.without_frame, found.newest_only) == (10, None)
    text = status_text(await ask(worker.connection))
    assert "dead letters    30 (bad_cbor 10, foreign_key 20)" in text
    assert "WARNING: 10 letters have no frame; the limits are 1,000 per account, 1.0 GB in all" in text


async def test_a_space_is_between_each_name_and_its_value(worker: Worker) -> None:
    found = await ask(worker.connection)
    missing = replace(found.repos, desynchronised={"wiped": 4})
    (line,) = re.findall(r"^  desynch.*$", status_text(replace(found, repos=missing)), re.MULTILINE)
    assert line == "  desynchronised  4 (wiped 4)"


async def test_what_does_not_get_on_is_told_and_counted(worker: Worker) -> None:
    await worker.connection.execute(
        """INSERT INTO unified_worker.repos (did, rev, wiping) SELECT 'did:plc:' || n, '', true FROM generate_series(1, 7) AS n;
        INSERT INTO unified_worker.stuck_wipes (did, error, attempts) SELECT 'did:plc:' || n, E'23503: \x1b[2Jno', n
        FROM generate_series(1, 6) AS n;
        INSERT INTO unified_worker.dead_letters (did, rev, path, reason, detail, retry_at)
        SELECT 'did:plc:x', '', n::text, CASE WHEN n < 5 THEN 'referenced' ELSE 'bad_cbor' END, '',
          CASE WHEN n <> 3 THEN now() END FROM generate_series(1, 9) AS n"""
    )
    text = status_text(await ask(worker.connection))
    assert "WARNING: 6 of them are stuck:" in text
    assert "did:plc:5, 5 attempts since" in text
    assert "did:plc:6" not in text, "some are enough"
    assert "\x1b" not in text
    assert "WARNING: 3 waiting letters failed again when they were retried" in text
    assert "its wipe is stuck: 23503" in account_text(await ask_account(worker.connection, "public", "did:plc:6"))
    await Stuck(worker.pool, worker.metrics).count()
    assert (worker.metrics.stuck_wipes, worker.metrics.stuck_letters) == (6, 3)


async def test_a_table_that_can_t_be_read_hides_no_other_s_size(worker: Worker) -> None:
    await worker.connection.execute("CREATE ROLE blind; GRANT USAGE ON SCHEMA unified_worker TO blind")
    await worker.connection.execute(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public, unified_worker TO blind; REVOKE SELECT ON likes FROM blind"
    )
    await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
    await worker.connection.execute("SET ROLE blind")
    try:
        sizes = {size.name: size for size in await measure(worker.connection)}
    finally:
        await worker.connection.execute("RESET ROLE; DROP OWNED BY blind; DROP ROLE blind")
    assert (sizes["posts"].rows, sizes["posts"].exact) == (1, True)
    assert (sizes["likes"].rows, sizes["likes"].exact) == (0, False)


async def test_one_account(both_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, stream = both_worker, Stream()
    await worker.write(
        stream.commit("a", *(put(f"{POST}/{n}", post()) for n in range(4)), put(f"{LIKE}/1", like(LIKED))),
        stream.commit("a", put(f"{LIKE}/2", like(LIKED))),  # the same like again: it waits
        stream.commit("ab", put(f"{POST}/1", post())),
    )
    await worker.connection.execute(
        "INSERT INTO unified_worker.dead_letters (did, rev, path, reason, detail) VALUES ($1, '', $2, 'bad', $2)",
        did("a"),
        "x/\x1b[2J\r\ny",
    )
    found = await ask_account(worker.connection, "public", did("a"))
    assert {table: rows for table, rows in found.rows.items() if rows} == {"posts": 4, "likes": 1, "users": 1}
    assert (found.waiting_duplicates, found.dead_letters) == (1, {"bad": 1})
    assert found.repo is not None
    assert found.repo.active is True
    text = account_text(found)
    assert "posts     4" in text
    assert "x/\\x1b[2J\\r\\ny" in text
    assert "\x1b" not in text
    monkeypatch.setattr(account, "MOST_COUNTED", 3)
    assert "posts  3 or more" in account_text(await ask_account(worker.connection, "public", did("a")))
    nobody = account_text(await ask_account(worker.connection, "public", did("nobody")))
    assert "nothing has arrived from it" in nobody


async def test_what_an_account_s_repair_waits_for(worker: Worker) -> None:
    await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
    assert "repair" not in account_text(await ask_account(worker.connection, "public", did("a")))
    await worker.connection.execute("UPDATE unified_worker.repos SET synced_at = '2026-07-01 12:00'")
    await worker.connection.execute(
        "INSERT INTO unified_worker.repairs (did, why, state, reason, retry_at) "
        "VALUES ($1, 'missed', 'wanted', 'server_error', '2026-07-02 12:00')",
        did("a"),
    )
    lines = texts.account_text(await ask_account(worker.connection, "public", did("a")))
    said = {line.split()[0]: line for line in lines if line.strip()}
    assert "2026-07-01" in said["repaired"]
    assert "wanted: server_error, not before 2026-07-02" in said["repair"]


async def test_a_count_that_takes_too_long_is_given_up_alone(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    await worker.write(Stream().commit("a", put(f"{POST}/1", post())))
    monkeypatch.setattr(account, "PATIENCE", "50ms")
    async with connected_twice(worker) as blocker, worker.connection.transaction():
        await blocker.execute("BEGIN; LOCK TABLE likes")
        found = await ask_account(worker.connection, "public", did("a"))
    assert (found.rows["likes"], found.rows["posts"]) == (None, 1)
    assert "not counted" in account_text(found)


def connected_twice(worker: Worker) -> Any:
    """A second connection of the test's own."""
    return connected(worker.pool.url)


# ── what is refused


async def fault(url: str) -> str:
    with pytest.raises(OperatorError) as caught:
        await looked(url)
    (told_of,) = caught.value.faults
    return told_of


async def test_a_database_that_no_worker_prepared_is_left_as_it_is(database: str) -> None:
    for statements in ("SELECT 1", OWN_SCHEMA, OWN_VERSION):
        async with connected(database) as connection:
            await connection.execute(statements)
        assert "no worker has prepared this database yet" in await fault(database)
    async with connected(database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace") == 0


@pytest.mark.parametrize(("version", "told_of"), [(-1, "start the worker once, which upgrades it"), (1, "use a newer one")])
async def test_another_version_s_database_is_refused(worker: Worker, version: int, told_of: str) -> None:
    await worker.connection.execute("DELETE FROM unified_worker.schema_version WHERE version > $1", len(MIGRATIONS) + version)
    await worker.connection.execute(
        "INSERT INTO unified_worker.schema_version VALUES ($1, now(), 'worker', 'public') ON CONFLICT DO NOTHING",
        len(MIGRATIONS) + version,
    )
    assert told_of in await fault(worker.pool.url)


async def test_it_reads_only_and_waits_for_no_lock_for_long(both_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await looked(both_worker.pool.url)).relays == []
    monkeypatch.setattr(look_module, "TIMEOUT", "100ms")
    async with both_worker.connection.transaction():
        await both_worker.connection.execute("LOCK TABLE posts")
        with pytest.raises(Stop, match="did not answer within 100ms"):
            await looked(both_worker.pool.url)

    async def write(connection: Connection, schema: str) -> None:
        await connection.execute(f"DELETE FROM {schema}.posts")

    with pytest.raises(Stop, match="read-only"):
        await read_only(both_worker.pool.url, "status", write)


# ── text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123 kB"), (10**9, "1.0 GB"), (25 * 10**14, "2,500.0 TB")],
)
def test_sizes_for_people(value: int, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0.0 s"), (59.9, "59.9 s"), (61, "1 min 1 s"), (3661, "1 h 1 min"), (90_000, "1 d 1 h")]
)
def test_durations_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_relay_whose_worker_was_killed() -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    run = PastRun(now, now, stopped_at=None, how=None, version="1", host="h", pid=1, counts={})
    relay = Relay(
        *("r", "7", now - timedelta(hours=2), None),
        running=None,
        runs=[run],
        gaps=0,
        last_gaps=[],
        standbys=0,
        keeper=False,
        workers=0,
    )
    report = Status(
        now=now,
        replica=None,
        relays=[relay],
        dead_letters=Letters({}, None, 0, 0, frame_bytes=0, most_frame_bytes=1, most_frames_of_a_did=1),
        repos=Repos({"chain_broken": 3}, now, 0, 7, now, most_counted=5),
        accounts_being_wiped=2,
        gates_being_judged=1,
        stuck_wipes=0,
        longest_stuck_wipes=[],
        unconfirmed_deletions=3,
        oldest_deletions=[Deletion("did:plc:a", 2, "timeout", now, now)],
        handles_to_check=4,
        fetching=Fetching(1_234, 1, 50, 2_000.4, (3_000.0, 7_200.0), paused=False),
        publishing=Publishing(1_500, now - timedelta(minutes=3)),
        rebuild=RebuildStep("posts", number=2, steps=15, rows=5),
        tables=[],
    )
    text = status_text(report)
    for part in (
        "not running",
        "did not shut down cleanly",
        "2 h 0 min",
        "at an unknown time",
        "2 deleted accounts",
        "1,500 entries wait to be sent (PUBLISH); sent: the last 3 min 0 s ago",
        "step 2 of 15",
        "3 (chain_broken 3)",
        "5 or more repos whose key is not known yet; the oldest since 2026-07-01 00:00:00",
        "3 that only a relay has reported",
        "did:plc:a, 2 attempts since 2026-07-01 00:00:00: timeout",
        "4 wait to be checked",
        "repos left: 1,234; 2,000 records per second of late, done in 50 min 0 s to 2 h 0 min",
    ):
        assert part in text
    paused = replace(report, fetching=replace(report.fetching, paused=True))
    assert "paused; repos left: 1,234" in status_text(paused)
    runs = [run, replace(run, how="x", stopped_at=now)]
    alive = replace(report, relays=[replace(relay, running=LockHolder(5, None, None), runs=runs, workers=1)])
    assert "running since 2026-07-01 00:00:00: version 1, process 1 on h" in status_text(alive)
    assert "2026-07-01 00:00:00, x" in status_text(alive)
    newest = replace(run, started_at=now + timedelta(hours=1), updated_at=now + timedelta(hours=2), pid=3)
    killed = replace(run, started_at=now + timedelta(hours=1), pid=2)
    oldest = replace(run, updated_at=now + timedelta(hours=2))
    several = replace(
        report, relays=[replace(relay, running=LockHolder(5, None, None), runs=[newest, killed, oldest], workers=2)]
    )
    assert "2 share the partitions; one is running since 2026-07-01 01:00:00: version 1, process 3 on h" in status_text(several)
    assert "cut off from the database; last seen 2026-07-01 00:00:00" in status_text(several)
    all_run = replace(several, relays=[replace(several.relays[0], runs=[newest, oldest])])
    assert "cut off" not in status_text(all_run)
    keeper = replace(report, relays=[replace(relay, keeper=True)])
    assert "keeper" not in status_text(alive)
    assert "it does for all shares what is done once" in status_text(keeper)
    on_replica = status_text(replace(report, replica=Replica(now - timedelta(seconds=90))))
    assert "only the primary knows whether one runs; last seen 0.0 s ago, version 1, on h" in on_replica
    assert "a standby of PostgreSQL, read-only; its newest transaction is of 1 min 30 s ago" in on_replica
    assert "not running" not in on_replica
    assert "shut down" not in on_replica
