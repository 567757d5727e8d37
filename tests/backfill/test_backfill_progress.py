"""How far all fetching is: what is counted, what is left, and when it is done."""

import orjson

from testing.commits import did
from testing.database_side import Worker
from unified_indexer.backfill import eta as module
from unified_indexer.backfill.eta import Eta, eta, share
from unified_indexer.backfill.pace import Paces
from unified_indexer.backfill.progress import Progress
from unified_indexer.database.repair import asked, listings, queue, standing
from unified_indexer.database.repair.standing import Done, Standing
from unified_indexer.metrics import Metrics
from unified_indexer.monitoring.fetching import line, shown

NOTHING = Standing(0, 0, 0, 0, 0, 0, 0, 0, 0, False, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0, Done())
# 1,000 repos of 10,000 are left, of 100 records each; of late 10 repos and 2,000 records a second.
MIDDLE = NOTHING._replace(
    wanted=1_000, due=1_000, left=1_000.0, left_records=100_000.0, longest=100.0, asked=10_000.0, asked_left=1_000.0,
    repos=600, records=120_000, seconds=60.0, totals=Done(9_000),
)  # fmt: skip


class Fetching:
    """What the page and the terminal ask of a backfill."""

    def __init__(self, known: Standing | None, held: str | None = None) -> None:
        self.standing = known
        self.held = held
        self.paces = Paces()


def test_it_is_told_by_repos_and_by_records_because_repos_differ() -> None:
    assert eta(MIDDLE) == Eta(50.0, 100.0)
    assert str(eta(MIDDLE)) == "50.0 s to 1 min 40 s"
    assert eta(MIDDLE._replace(left_records=210_000.0)) == Eta(100.0, 105.0)
    assert str(Eta(100.0, 105.0)) == "about 1 min 45 s"


def test_until_a_twentieth_is_done_nobody_knows_how_those_are_that_come() -> None:
    early = MIDDLE._replace(wanted=9_600, left=9_600.0, left_records=960_000.0, asked_left=9_600.0)
    assert share(early) == 0.04 or abs((share(early) or 0) - 0.04) < 1e-9
    assert eta(early) == Eta(960.0 / module.UNSURE / 2, 960.0 * module.UNSURE)


def test_one_host_is_not_asked_faster_than_it_may_be() -> None:
    assert eta(MIDDLE._replace(longest=1_000.0)) == Eta(125.0, 125.0)


def test_what_nobody_can_know_is_not_told() -> None:
    assert eta(NOTHING) is None
    assert eta(MIDDLE._replace(repos=0)) is None
    assert eta(MIDDLE._replace(repos=module.ENOUGH)) is not None
    assert eta(MIDDLE._replace(repos=module.ENOUGH - 1)) is None, "what is under way is not counted yet"
    assert eta(MIDDLE._replace(unsized=1)) is None
    assert share(MIDDLE._replace(unsized=1)) is None
    assert share(NOTHING._replace(wanted=5, left=5.0)) is None, "nobody asked for them: something is missing"


def test_a_line_for_the_terminal() -> None:
    assert line(Fetching(None)) is None  # pyright: ignore[reportArgumentType]
    assert line(Fetching(NOTHING)) is None  # pyright: ignore[reportArgumentType]
    assert line(Fetching(MIDDLE)) == (  # pyright: ignore[reportArgumentType]
        "backfill [##################--] 90 %  1,000 repos left  2,000 records/s  done in 50.0 s to 1 min 40 s"
    )
    for why in ("stream", "disk", "size"):
        assert str(line(Fetching(MIDDLE, why))).endswith(f"2,000 records/s  held ({why})")  # pyright: ignore[reportArgumentType]
    paused = Fetching(MIDDLE._replace(paused=True, unsized=1), "disk")
    assert line(paused) == "backfill 1,000 repos or more left  2,000 records/s  held (paused)"  # pyright: ignore[reportArgumentType]
    told = orjson.loads(orjson.dumps(shown(Fetching(MIDDLE))))  # pyright: ignore[reportArgumentType] - as the page gets it
    assert (told["eta"], told["share"], told["left"], told["hosts"]) == ([50.0, 100.0], 0.9, 1_000.0, [])
    assert shown(Fetching(NOTHING)) is None  # pyright: ignore[reportArgumentType]


async def test_what_is_left_is_what_is_wanted_and_what_is_not_found_yet(worker: Worker) -> None:
    connection = worker.connection
    assert await standing.read(connection) == NOTHING
    metrics = Metrics()
    progress = Progress(worker.pool, lambda: Done(metrics.repair_ends["done"], 40 * metrics.repair_ends["done"], 7))
    metrics.repair_ends["done"] = 3
    for _ in range(2):
        await progress.look()
    metrics.repair_ends["done"] = 5
    await progress.look()
    assert progress.standing is not None
    assert progress.standing.totals == Done(5, 200, 7)
    assert (progress.standing.repos, progress.standing.records) == (5, 200)
    assert 0 < progress.standing.seconds <= 60
    assert progress.standing.idle

    network = await listings.ask(connection, listings.Kind.NETWORK, "")
    hosts = [("https://large.test", 1_000), ("https://small.test", 10), ("https://unknown.test", None)]
    job = listings.Job(network, listings.Kind.NETWORK, "", listings.Phase.BEGIN, None)
    await listings.add_hosts(connection, job, hosts, "relay", listings.Phase.REPOS, None)
    known = await standing.read(connection)
    assert (known.lists, known.unsized, known.reading, known.left) == (3, 1, 1, 1_010.0)
    await connection.execute("UPDATE unified_worker.hosts SET repos_done = 10, records_done = 1000 WHERE url ~ 'large'")
    which = "WHERE host = (SELECT id FROM unified_worker.hosts WHERE url = $1)"
    await connection.execute(f"UPDATE unified_worker.listings SET ended_at = now() {which}", "https://unknown.test")
    await connection.execute("UPDATE unified_worker.backfill_jobs SET found = 400, wanted = 100")
    await connection.execute(f"UPDATE unified_worker.listings SET found = 400 {which}", "https://large.test")
    await connection.execute(
        "INSERT INTO unified_worker.repairs (did, why, priority, host, job) "
        "SELECT 'did:web:n' || n || '.test', 'network', 30, h.id, $1 "
        "FROM generate_series(1, 50) AS n, unified_worker.hosts AS h WHERE h.url ~ 'large'",
        network,
    )
    known = await standing.read(connection)
    assert known.unsized == 0
    assert (known.wanted, known.due, known.asked, known.asked_left) == (50, 50, 100.0, 50.0)
    assert known.left == 50 + 600 / 4 + 10 / 4, "of those found, a quarter was wanted"
    assert known.longest == 200.0
    assert known.left_records == 200 * 100 + 2.5 * 40, "by what each host's repos had, or all of late"
    assert abs((share(known) or 0) - 50 / 252.5) < 1e-9

    await queue.want(connection, [did("a")], "missed", queue.MISSING)
    await connection.execute("UPDATE unified_worker.repairs SET state = 'failed' WHERE did = 'did:web:n1.test'")
    await connection.execute(
        "UPDATE unified_worker.repairs SET retry_at = now() + interval '1 h' WHERE did = 'did:web:n2.test'"
    )
    known = await standing.read(connection)
    assert (known.wanted, known.due, known.failed, known.asked_left) == (50, 49, 1, 49.0)
    await asked.cancel(connection, network)
    known = await standing.read(connection)
    assert (known.wanted, known.failed, known.left, known.reading) == (1, 0, 1.0, 0)
