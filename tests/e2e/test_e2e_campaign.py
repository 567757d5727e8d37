"""The random campaign: every kind of event there is, in an order that only each repo's own events agree with, stretches of it
sent again; in the end every table is what the model says. (`--log-level=INFO` tells what a campaign was made of.)"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import pytest

from relay_simulator.dice import COLLECTIONS
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from relay_simulator.shuffle import replayed, shuffled
from relay_simulator.truth import AccountTruth, CommitTruth, IdentityTruth, Sent, SyncTruth, Truth
from testing.application_schema import TABLES
from testing.databases import connected, differences
from testing.traffic import traffic_of
from testing.workers import finished, running

log = logging.getLogger(__name__)

MOST = 4_000  # events that are mixed at once: what is sent again must not seem to be of another numbering

# What each campaign must have had some of, besides a put and a deletion of every collection.
KINDS = (
    *("several operations", "too big", "unreadable block", "#sync"),
    *("#identity", "#identity without a handle", "active", "deleted", "hidden", "another status", "sent again"),
)


def kinds(truth: Truth) -> Iterator[str]:
    """What an event is, in words."""
    match truth:
        case CommitTruth(ops=ops):
            for op in ops:
                yield f"{'delete' if op.action == 'delete' else 'put'} {op.collection}"
                if op.fault is not None:
                    yield "unreadable block"
            if len(ops) > 1:
                yield "several operations"
            if truth.too_big:
                yield "too big"
        case SyncTruth():
            yield "#sync"
        case IdentityTruth(handle=handle):
            yield "#identity without a handle" if handle is None else "#identity"
        case AccountTruth(active=True):
            yield "active"
        case AccountTruth(status="deleted"):
            yield "deleted"
        case AccountTruth(status="deactivated" | "suspended" | "takendown"):
            yield "hidden"
        case AccountTruth():
            yield "another status"


def counted(stream: Sequence[Sent]) -> Counter[str]:
    """How many of each kind."""
    found = Counter[str]()
    seqs: set[int] = set()
    for sent in stream:
        found.update(kinds(sent.truth))
        found["sent again"] += sent.truth.seq in seqs
        seqs.add(sent.truth.seq)
    return found


async def campaign(database: str, events: int, seed: int, within: int) -> None:
    """So many events, mixed within stretches of `within`; ten stretches of up to a fiftieth of all are sent a second time."""
    rng = Random(f"campaign {seed}")
    settings = Settings(seed=seed, accounts=events // 20, mix=Mix.awkward(), cheap=True, padding=300)
    stream = shuffled(list(Generator(settings).stream(events)), rng, within=within)
    stream = replayed(stream, rng, times=10, longest=events // 50)
    found = counted(stream)
    log.info("campaign %d: %d events; %s", seed, len(stream), dict(sorted(found.items())))
    puts = [f"{action} {collection}" for action in ("put", "delete") for collection in COLLECTIONS.values()]
    assert [kind for kind in (*puts, *KINDS) if not found[kind]] == []
    sent = traffic_of(stream)
    expected = sent.model.expected()
    assert expected.waiting
    assert expected.left_out() < expected.strict() / 25, "the model has too much left open to be a witness"
    log.info("rows known: %d, left open by the order between repos: %d", expected.strict(), expected.left_out())

    async with RelayServer(sent.frames) as relay, running(database, relay.url, DB_POOL_SIZE="6") as worker:
        await finished(worker, sent.last_seq, seconds=events / 200)
        assert worker.metrics.finished == len(sent.frames)
        assert worker.metrics.stale + worker.metrics.rev_fork == sent.model.stale
        assert worker.metrics.stale_messages == sent.model.stale_messages
        assert worker.metrics.dead_letters - worker.metrics.refused["wiping"] == len(sent.model.refused)
    assert await differences(database, sent.model) == []


@pytest.fixture
async def application(database: str) -> str:
    """The URL of a database with an application's tables."""
    async with connected(database) as connection:
        await connection.execute(TABLES)
    return database


@pytest.fixture(autouse=True)
def _four_lanes(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """On two cores there would be two."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)


@pytest.mark.long
async def test_eight_thousand_events_in_an_order_near_the_stream_s(database: str) -> None:
    await campaign(database, 8_000, seed=11, within=500)


@pytest.mark.long
async def test_eight_thousand_events_in_hardly_any_order_on_an_application_s_database(application: str) -> None:
    await campaign(application, 8_000, seed=12, within=MOST)


@pytest.mark.soak
@pytest.mark.parametrize(("seed", "within"), [(21, 1_000), (22, MOST)])
async def test_two_hundred_thousand_events(database: str, seed: int, within: int) -> None:
    await campaign(database, 200_000, seed, within)


@pytest.mark.soak
@pytest.mark.parametrize(("seed", "within"), [(23, 1_000), (24, MOST)])
async def test_two_hundred_thousand_events_on_an_application_s_database(application: str, seed: int, within: int) -> None:
    await campaign(application, 200_000, seed, within)
