"""The short form of `make faults`: a few runs of two or three faults each, and that the campaign would see what is wrong."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_simulator.encoding import seq_of
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import Sent
from testing.authors import Author
from testing.database_side import opened
from testing.faults.campaign import apart
from testing.faults.cluster import make_template
from testing.faults.kinds import KINDS, missing
from testing.faults.plan import plans
from testing.faults.run import Plan, play
from testing.faults.weave import woven
from testing.faults.witness import Witness
from testing.servers import fast_parent, server_directory
from testing.traffic import traffic_of

SERVICE = "relay.test"
RUNS = (
    Plan(1, (("crash_before_cursor", "db_terminated", "bit_flips"),)),
    Plan(2, (("db_kill9", "net_cut_amid_frame"),)),
    Plan(3, (("relay_counts_anew", "full_pipe"),)),
    Plan(4, (("db_hostile_settings", "lagging_relay", "gate_toggles"),)),
    Plan(5, (("db_failover_unfenced", "wipe_refused"),)),
    Plan(6, (("keys_rotated", "sigkill"),)),
    Plan(7, (("forged_commits", "relay_abort"),)),
    Plan(8, (("directory_silent", "db_terminated"),)),
    Plan(9, (("crash_between_halves", "html_page"),)),
    Plan(10, (("primary_promoted", "keys_rotated"),)),
    Plan(12, (("worker_machine_silent",), ("forged_commits",))),
    Plan(13, (("primary_silent",),)),
    Plan(14, (("engine_killed",),)),
    Plan(15, (("partition_owner_killed",),)),
    Plan(16, (("share_count_changed",),)),
)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    with server_directory(fast_parent()) as directory:
        asyncio.run(make_template(directory))
        yield directory


@pytest.mark.long
@pytest.mark.parametrize("plan", RUNS, ids=str)
async def test_it_recovers_and_the_database_is_right(plan: Plan, template: Path) -> None:
    outcome = await play(plan, template)
    assert outcome.faults == [], outcome.log


@pytest.mark.long
async def test_a_run_that_hangs_says_where_it_stands(template: Path) -> None:
    """A standby waits ten seconds for a silent worker, so no run of this kind is shorter than that."""
    outcome = await apart(Plan(1, (("worker_machine_silent",),)), template, seconds=8)
    hung, where = outcome.faults
    assert hung.startswith("it hung")
    assert re.search(r"testing/faults/\w+\.py:\d+ ", where), where  # a task's
    assert "Current thread" in where


async def test_a_cursor_that_is_ahead_is_seen(database: str) -> None:
    """The rows of one account are there, those of the others are not; one seq further the cursor is ahead."""
    sent = list(Generator(Settings(seed=3, accounts=50, mix=Mix.five_types(), cheap=True)).stream(100))
    first, second = sent[0].truth, sent[1].truth
    assert first.did != second.did
    async with opened(database) as worker:
        await worker.connection.execute(
            "INSERT INTO unified_worker.repos (did, rev) VALUES ($1, $2)", first.did, traffic_of(sent[:1]).model.revs[first.did]
        )
        for seq, faults in ((first.seq, 0), (second.seq, 1)):
            await worker.connection.execute("DELETE FROM firehose_cursor")
            await worker.connection.execute("INSERT INTO firehose_cursor (service, cursor) VALUES ($1, $2)", SERVICE, str(seq))
            witness = Witness(database, SERVICE, sent, slack=0)
            await witness.look()
            witness.close()
            assert len(witness.faults) == faults
            assert witness.looks == 1


def test_what_is_woven_into_a_stream_fits_where_it_stands() -> None:
    sent = list(Generator(Settings(seed=3, accounts=50, mix=Mix.five_types(), cheap=True)).stream(100))
    author = Author("woven")

    def made(seq: int, second: float) -> Sent:
        return author.account(seq, second, active=True)

    stream = woven(sent, [(0.5, made), (0, made), (0.5, made), (1, made)])
    assert [at for at, one in enumerate(stream) if one.truth.did == author.did] == [0, 51, 52, 103]
    assert [one.truth.seq for one in stream] == sorted({one.truth.seq for one in stream})
    times = [one.truth.time for one in stream if one.truth.did == author.did]
    assert times == sorted(set(times))
    assert stream[50].truth.time < times[1] < stream[60].truth.time
    assert [one.truth._replace(seq=0) for one in stream if one.truth.did != author.did] == [
        one.truth._replace(seq=0) for one in sent
    ]
    assert [seq_of(one.frame) for one in stream] == [one.truth.seq for one in stream]


def test_a_campaign_has_every_kind_alone_and_in_company() -> None:
    chosen = plans(220, 1, list(KINDS))
    assert chosen == plans(220, 1, list(KINDS))
    assert chosen != plans(220, 2, list(KINDS))
    alone = Counter(plan.kinds[0].name for plan in chosen if len(plan.kinds) == 1)
    company = Counter(kind.name for plan in chosen if len(plan.kinds) > 1 for kind in plan.kinds)
    assert set(alone) == set(KINDS)
    assert set(company) == {
        name for name, kind in KINDS.items() if kind.family != "several"
    }  # these have the run for themselves
    for plan in chosen:
        groups = [kind.group for kind in plan.kinds if kind.group]
        assert len(groups) == len(set(groups)), plan
        assert len({kind.name for kind in plan.kinds}) == len(plan.kinds)


def test_what_a_machine_can_t_do_is_told() -> None:
    assert set(missing()) <= {"db_disk_full", "clock_jumps"}
