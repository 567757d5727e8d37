"""A worker in each state that the page can show, without a relay and a database, with the longest names and numbers there are.

All objects are the worker's own, and so is the server. Only what the network and the database would have told is set by hand.
"""

# pyright: reportPrivateUsage=false

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic, time
from types import MappingProxyType

from testing.workers import settings
from unified_indexer.backfill.pace import Outcome
from unified_indexer.backfill.rates import Rate
from unified_indexer.config.settings import Config
from unified_indexer.config.values import MOST_SHARES
from unified_indexer.database.repair.standing import Done, Standing
from unified_indexer.database.status.shares import ShareState
from unified_indexer.metrics import HOSTS_KEPT, MOST_OF_A_REASON, OTHER_HOSTS
from unified_indexer.monitoring.history import RATE_OVER, History, Sample
from unified_indexer.monitoring.http.hosts import Hosts
from unified_indexer.monitoring.http.server import HttpServer
from unified_indexer.pipeline.lanes import Placed
from unified_indexer.pipeline.recent_posts import KEPT, MOST_SHOWN, Post
from unified_indexer.pipeline.watermark import Ticket
from unified_indexer.protocol.events import Identity
from unified_indexer.records import RECORD_TYPES
from unified_indexer.relay.position import Stored
from unified_worker import UnifiedWorker

SEQ = 98_765_432_109_876
LABEL = f"{'abcdefghijklmnopqrstuvwxyz0123456789' * 2}"[:63]
HOST = f"{LABEL}.{LABEL}.{LABEL}.{LABEL[:61]}"  # 253 characters, as many as a name may have
DID = f"did:web:{'a-very-long-name.' * 200}"[:2_045] + "com"
TEXTS = (
    "مرحبا بالعالم، هذا منشور طويل بعض الشيء لنرى كيف يُعرض النص من اليمين إلى اليسار في القائمة 👩‍🚀👨‍👩‍👧‍👦🏳️‍🌈",
    "שלום עולם with some English words in between, שוב עברית, and a number: 1,234",
    "👩‍🚀" * 60,
    "w" * MOST_SHOWN,
    "many\n\nlines\n\n\nof a\n\n\n\npost\nmore\nthan\nare\nshown",
    "日本語の投稿です。改行なしで長く続く文章がどのように折り返されるかを見るためのものです。" * 3,
    "An ordinary post.",
)
REASONS = (
    "bad_signature", "missing_field", "wrong_type", "block_hash_mismatch", "unsupported_repo_version", "gate_of_another_post",
    "missing_commit_block", "record_too_deep", "commit_cid_mismatch", "not_two_values", "bad_plc_operation", "rev_in_future",
)  # fmt: skip
STANDING = Standing(
    wanted=41_234_503, due=900, under_way=64, failed=3, unavailable=12, reading=1, waiting=2, paused_jobs=0, lists=1,
    paused=False, left=41_234_567.5, left_records=9e9, longest=1e6, asked=43e6, asked_left=41_234_567.5, unsized=0,
    repos=6_000, records=1_200_000, seconds=600.0, totals=Done(1_765_432, 987_654_321_098, 9 * 10**14, 12_345, 3),
)  # fmt: skip

Scene = tuple[UnifiedWorker, History]


def _worker(**env: str) -> UnifiedWorker:
    usual = {"VERIFY": "full", "BACKFILL": "repair", "READY_LAG_SECONDS": "60", "HTTP_BIND": "127.0.0.1:0"}
    nowhere = settings("postgresql://nobody@127.0.0.1:1/nothing", "wss://bsky.network")
    return UnifiedWorker(Config.from_env(nowhere | usual | env))


def _resting(worker: UnifiedWorker) -> Scene:
    """With the history of one that has done nothing yet."""
    return worker, History(worker.gauges)


def empty() -> Scene:
    """The first start: no database yet."""
    return _resting(_worker())


def connecting() -> Scene:
    """The relay was never reached, whatever its name is."""
    worker = _worker(RELAY_URL=f"wss://{HOST}")
    worker.begin(Stored())
    worker.pool.answered_at = math.inf
    for _ in range(3):
        worker.metrics.reconnecting(f"Cannot connect to wss://{HOST} (Name or service not known)")
    worker.session.firehose.next_attempt_at = monotonic() + 3_000
    return _resting(worker)


def standby() -> Scene:
    """Another worker writes."""
    worker = _worker(STANDBY="on")
    worker._lifecycle.standby()
    return _resting(worker)


def at_work(rate: float = 350.0, lag: float = 0.4, days: float = 123.0, kinds: int = len(RECORD_TYPES), **env: str) -> Scene:
    """Connected; `rate`: events per second; `lag`: seconds; `days` since the start; `kinds`: of records that come now."""
    worker = _worker(**env)
    worker.begin(Stored(SEQ - 12_345, datetime.now(UTC) - timedelta(seconds=lag)))
    session, metrics = worker.session, worker.metrics
    session.position.seq = SEQ
    session.firehose.connected = metrics.was_connected = True
    worker.pool.answered_at = math.inf
    worker.gauges._began -= days * 86_400
    history = History(worker.gauges)
    history._counts[0] = history._counts[0]._replace(at=monotonic() - RATE_OVER)
    _did(worker, rate, RATE_OVER, kinds)
    history.take()
    _did(worker, 300.0, days * 86_400, kinds)
    history._counts[0] = history._counts[0]._replace(finished=metrics.finished - int(rate * RATE_OVER))
    history._counts[-1] = history._counts[-1]._replace(finished=metrics.finished)
    history.samples.clear()
    history.samples.extend(_minutes(rate, lag))
    worker.processor.newest.posts.extend(_posts())
    return worker, history


def _did(worker: UnifiedWorker, rate: float, seconds: float, kinds: int) -> None:
    """Counts what is done in so many seconds: of each collection two thirds of what is done of the one before it."""
    metrics = worker.metrics
    metrics.finished += int(rate * seconds)
    metrics.events["commit"] += int(rate * seconds)
    metrics.last_event_time = datetime.now(UTC)
    for place, record_type in enumerate(RECORD_TYPES[:kinds]):
        count = int(rate * seconds / 3 * (2 / 3) ** place)
        metrics.operations[record_type.kind] += count
        metrics.operations[record_type.kind + 1] += count // 50
    for place in range(100):
        metrics.latency.observe(0.002 + place * 0.0004)


def _minutes(rate: float, lag: float) -> list[Sample]:
    """Five minutes of samples, up and down a little, and an hour's lag at their beginning."""
    now = time()
    return [
        Sample(now - age, rate * (1 + math.sin(age / 7) / 9), 3_600.0 if age > 295 else lag * (1 + math.sin(age / 11) / 4))
        for age in range(300, -1, -1)
    ]


def _posts() -> list[Post]:
    dids = (DID, "did:plc:z72i7hdynmk6r22z27h6tvur")
    return [
        Post(f"at://{did}/app.bsky.feed.post/3kqw7fjx2ms2{place % 10}", did, TEXTS[place % len(TEXTS)])
        for place in range(KEPT)
        for did in [dids[place % len(dids)]]
    ]


def catching_up() -> Scene:
    """After an outage of two weeks; the lanes are full."""
    worker, history = at_work(18_000.0, 1_209_600.0)
    waiting = Placed(Ticket(SEQ, None), Identity(SEQ, DID, datetime.now(UTC), HOST, b"0" * 9_876))
    for lane in worker.session.lanes.all[:-1]:
        lane.put_first([waiting] * lane.max_events)
    return worker, history


def stalled() -> Scene:
    """Connected no more, and the database is silent too."""
    worker, history = at_work(0.0, 9_876.0, RELAY_URL=f"wss://{HOST}:65535")
    worker.session.firehose.connected = False
    worker.session.firehose.next_attempt_at = monotonic() + 3_000
    worker.pool.answered_at = monotonic() - 86_400
    for place in range(10):
        worker.metrics.reconnecting(f"the relay says Error{place}: " + "x" * MOST_OF_A_REASON)
    worker.metrics.reconnects = 1_234_567
    return worker, history


def lost_database() -> Scene:
    """The lock's connection is gone."""
    worker, history = at_work(0.0, 42.0)
    worker._lifecycle.lost()
    return worker, history


def verifying() -> Scene:
    """Keys are waited for, signatures are wrong at as many hosts as are counted, and the directory is silent."""
    worker, history = at_work()
    metrics = worker.metrics
    metrics.unproven, metrics.unproven_since = 1_234_567, datetime.now(UTC) - timedelta(days=2)
    for place in range(HOSTS_KEPT):
        metrics.bad_signatures[f"https://{place}{HOST[2:]}"] = 10**6 - place
    metrics.bad_signatures[OTHER_HOSTS] = 1_234_567_890
    metrics.deletions_unconfirmed = 12_345
    metrics.confirmations["deletion_denied"], metrics.audited["withheld"] = 123, 45
    worker.trust.identities._plc.breaker.failing_since = time() - 90_000
    return worker, history


def backfilling(**differences: object) -> Scene:
    """The whole network's repos are fetched, and more hosts are parked than are named."""
    worker, history = at_work(BACKFILL="network")
    worker.backfill.progress.standing = STANDING._replace(**differences)
    for place in range(12):
        worker.backfill.paces.heard(f"https://{place}{HOST[2:]}", Outcome.LIMITED, monotonic(), Rate(wait=3_600.0))
    return worker, history


def shares() -> Scene:
    """One of as many workers as may be."""
    worker, history = at_work(SHARE=f"12/{MOST_SHARES}")
    worker.metrics.filtered["share"] = 9_876_543_210
    worker.shares.seen = [ShareState(0.4 + number, works=number != 5, keeper=number == 3) for number in range(MOST_SHARES)]
    return worker, history


def publishing() -> Scene:
    """The server of PUBLISH is away."""
    worker, history = at_work(PUBLISH="redis://cache.example:6379/0")
    worker.metrics.publish_waiting = 654_321
    worker.metrics.publish_failing_since = monotonic() - 1_860
    return worker, history


def dead_letters() -> Scene:
    """Some have no frame any more; and the stream has gaps."""
    worker, history = at_work()
    metrics = worker.metrics
    metrics.dead_letters, metrics.frames_dropped, metrics.gaps, metrics.rev_fork = 1_234_567, 1_234_067, 12, 3
    return worker, history


def refused() -> Scene:
    """Records of all kinds of faults, and what is left out on purpose."""
    worker, history = at_work(VERIFY="off")
    metrics = worker.metrics
    for place, reason in enumerate(REASONS):
        metrics.refused[reason] = 10**9 >> place
        metrics.doubts[reason] = 10**6 >> place
    metrics.filtered["inactive"], metrics.filtered["selection"] = 12_345_678_901, 98_765_432_109
    metrics.stale, metrics.stale_messages = 1_234_567_890_123, 1_234_567_890
    return worker, history


def decision() -> Scene:
    """An operator must decide."""
    worker, history = at_work(0.0, 5_000.0)
    worker.hold(str(worker.session.position.unknown_yet(f"Cursor in the future: {SEQ}")))
    return worker, history


def stopping() -> Scene:
    """SIGTERM has come."""
    worker, history = at_work()
    worker.stop("SIGTERM")
    return worker, history


# By name; the page's `data-state`, and how the worker comes to it.
STATES: MappingProxyType[str, tuple[str, Callable[[], Scene]]] = MappingProxyType(
    {
        "empty": ("starting", empty),
        "connecting": ("starting", connecting),
        "catching up": ("behind", catching_up),
        "live": ("ready", at_work),
        "few collections": ("ready", partial(at_work, kinds=3)),
        "stalled": ("stalled", stalled),
        "lost database": ("stalled", lost_database),
        "verifying": ("ready", verifying),
        "backfilling": ("ready", backfilling),
        "paused backfill": ("ready", partial(backfilling, paused=True, paused_jobs=1)),
        "backfill of unknown length": ("ready", partial(backfilling, unsized=12)),
        "standby": ("standby", standby),
        "shares": ("ready", shares),
        "publishing": ("ready", publishing),
        "dead letters": ("ready", dead_letters),
        "refused records": ("ready", refused),
        "decision": ("stalled", decision),
        "stopping": ("stopping", stopping),
    }
)


@asynccontextmanager
async def served(scene: Scene) -> AsyncGenerator[str]:
    """The URL of its page, with a message per second, until the block ends."""
    worker, history = scene
    config = worker.config
    assert config.http_bind is not None
    hosts = Hosts(config.http_bind.host, config.http_hosts)
    async with HttpServer(config.http_bind, hosts, history, config.relay_host, config.ready_lag) as server:
        running = asyncio.create_task(server.run())
        try:
            assert server.url is not None
            yield server.url
        finally:
            running.cancel()
            await worker.trust.close()
