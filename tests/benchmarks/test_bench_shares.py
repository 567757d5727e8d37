"""What it costs to share a stream: each way leaves the right rows, the figures follow from the runs, and the mark is held."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.shares import BETWEEN, MARK, OTHERS, TOLD, Cost, Found, carried, compare, lines
from benchmarks.stream import Load
from unified_indexer.embedded.server import PostgresServer

ALONE = Cost((60.0,), 140.0, 0.0, 0.0, 1.0, ())
FOUND = Found(
    {
        "1 share": ALONE,
        "2 shares": Cost((35.0, 35.0), 140.0, 0.0, 0.0, 1.0, ()),
        OTHERS: Cost((10.0,), 1.0, 0.0, 0.0, 1.0, ()),
        BETWEEN: Cost((55.0,), 138.0, 19.0, 18.0, 1.0, (), read=4.5),
        TOLD: Cost((70.0,), 170.0, 0.0, 4.0, 1.0, ()),
    },
    Load(commits=1_000),
)


def test_each_share_sees_the_whole_stream() -> None:
    """So more shares carry at most what one could carry of others' commits alone, however many they are."""
    assert carried(60, 10, 1) == pytest.approx(1e6 / 60)
    assert carried(60, 10, 4) == pytest.approx(1e6 / (15 + 7.5))
    assert carried(60, 10, 1_000_000) == pytest.approx(1e6 / 10, rel=1e-4)
    assert "4 shares 44,444 commits/s (PostgreSQL's cores allow 85,714)" in lines(FOUND)[-1]


def test_each_figure_is_told() -> None:
    told = "\n".join(lines(FOUND))
    assert "An own commit takes a worker 60.0 µs, a foreign one 10.0 µs (at most 11: held)." in told
    assert "the ingester 19.0 µs a frame, itself 18.0 µs, and a worker -5.0 µs a frame" in told
    assert "Reading a frame from the stream's server, and nothing else, takes a worker 4.5 µs." in told
    assert "PUBLISH takes the worker +10.0 µs, PostgreSQL +30.0 µs and the server 4.0 µs a commit." in told


@pytest.mark.parametrize(
    ("foreign", "wrong", "good"),
    [(MARK, (), True), (MARK + 0.1, (), False), (MARK, ("likes: 0 rows",), False)],
    ids=("held", "slow", "rows"),
)
def test_slow_foreign_commits_and_wrong_rows_are_faults(
    capsys: pytest.CaptureFixture[str], foreign: float, wrong: tuple[str, ...], good: bool
) -> None:
    costs = {**FOUND.costs, "1 share": replace(ALONE, wrong=wrong), OTHERS: replace(ALONE, workers=(foreign,))}
    assert bench.say_shares(replace(FOUND, costs=costs)) == good
    told = capsys.readouterr().out
    assert ("NOT HELD" in told) == (foreign > MARK)
    assert ("WRONG ROWS\n1 share: likes: 0 rows" in told) == bool(wrong)


@pytest.mark.parametrize("option", ["--shares", "--partitions"])
@pytest.mark.parametrize("good", [True, False])
def test_the_command_ends_with_1_for_a_fault(monkeypatch: pytest.MonkeyPatch, option: str, good: bool) -> None:
    given: list[Mapping[str, str]] = []

    async def measured(ours: Mapping[str, str]) -> bool:
        given.append(ours)
        return good

    monkeypatch.setattr(bench, option.replace("--", "bench_"), measured)
    monkeypatch.setattr(sys, "argv", ["bench", option, "--server", "max_connections=50"])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == (not good)
    assert given == [{"max_connections": "50"}]


@pytest.mark.long
async def test_each_way_leaves_the_rows_of_its_stream(pg18: PostgresServer, tmp_path: Path) -> None:
    found = await compare(pg18, tmp_path, 1_000)
    assert found.wrong == []
    assert found.costs.keys() == {"1 share", "2 shares", "4 shares", OTHERS, BETWEEN, TOLD}
    assert [len(cost.workers) for cost in found.costs.values()] == [1, 2, 4, 1, 1, 1]
    assert min(found.costs["1 share"].workers[0], found.costs["1 share"].postgres) > 0  # the clock of a process has 10 ms
    # Before the first look at its clock the ingester may have read all of so short a stream.
    assert 0 < found.costs[BETWEEN].read < found.costs[BETWEEN].workers[0]
