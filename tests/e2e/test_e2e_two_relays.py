"""Two relays send the same commits under seqs of their own: one after the other, or both at once, their rows are the same."""

from collections import Counter

import pytest

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.server import RelayServer
from testing.databases import connected, differences
from testing.model import UNDETERMINED, Model
from testing.traffic import Traffic, traffic_of
from testing.waiting import until
from testing.workers import finished, running

FIRST, SECOND, BETWEEN = 1_000_001, 77_000_001, 10_000_000
EVENTS, BEFORE = 2_500, 1_500
# Rows say under which seq they came; the model knows the second relay's.
RENUMBER = "UPDATE {} SET commit_seq = commit_seq::bigint + $1 WHERE commit_seq::bigint < $2"
NUMBERED = ("posts", "likes", "reposts", "follows", "blocks")


def numbered_from(seq: int) -> Traffic:
    settings = Settings(seed=3, accounts=300, mix=Mix.awkward(), cheap=True, history=50, first_seq=seq)
    return traffic_of(Generator(settings).stream(EVENTS))


async def wrong_rows(url: str, model: Model) -> list[str]:
    async with connected(url) as connection:
        for table in NUMBERED:
            await connection.execute(RENUMBER.format(table), SECOND - FIRST, BETWEEN)
        await connection.execute("UPDATE unified_worker.repos SET seq = seq + $1 WHERE seq < $2", SECOND - FIRST, BETWEEN)
    return await differences(url, model)


def leave_contested_handles_open(model: Model) -> None:
    """Of two claims that two workers apply at once, the first one applied counts: seqs of two relays can't be compared."""
    claims = Counter(repo.handle for repo in model.repos.values())
    for did, row in model.expected().rows["users"].items():
        if claims[model.repos[did].handle] > 1:
            row["handle"] = UNDETERMINED


@pytest.mark.long
@pytest.mark.parametrize("at_once", [False, True], ids=["one after the other", "at once"])
@pytest.mark.promise(3)
async def test_what_two_relays_send_counts_once(database: str, at_once: bool) -> None:
    one, other = numbered_from(FIRST), numbered_from(SECOND)
    async with RelayServer(one.frames[: None if at_once else BEFORE]) as first, RelayServer(other.frames) as second:
        async with running(database, first.url) as worker:
            if at_once:
                async with running(database, second.url) as beside:
                    await finished(worker, one.last_seq)
                    await finished(beside, other.last_seq)
                assert worker.metrics.stale + beside.metrics.stale > EVENTS // 2
            else:
                await until(lambda: worker.metrics.finished == BEFORE, "the first relay is read")
        if not at_once:
            async with running(database, second.url) as worker:
                await finished(worker, other.last_seq)
                assert worker.metrics.stale > BEFORE // 2
    if at_once:
        leave_contested_handles_open(other.model)
    assert await wrong_rows(database, other.model) == []
