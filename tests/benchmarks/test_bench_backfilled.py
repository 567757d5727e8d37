"""What it costs to bring whole repos in: each figure is measured, and each bar is said to be met or not."""

import sys

import pytest

from benchmarks import backfilled
from benchmarks.backfilled import compare
from benchmarks.backfilled_report import BESIDE, COMMITS, ROWS, SAME, SETS, TOGETHER, Figure, Found, lines, say
from unified_indexer.embedded.server import PostgresServer


def run(rate: float, *, repos: int = 10, p99: float | None = None, grown: int = 0) -> Figure:
    """A run of ten seconds."""
    return Figure(repos, int(10 * rate), 10.0, 10.0, 20.0, 120_000_000, p99, grown)


GOOD = {
    ROWS: run(15_000),
    SETS: run(25_000, grown=149_000_000),
    SAME: run(100_000),
    TOGETHER: run(5_000, repos=5_000),
    BESIDE: run(20_000, p99=49.9),
    COMMITS: run(10_000, grown=900_000_000),
}


def found(**runs: Figure) -> Found:
    """What is good, but for these runs."""
    return Found(5.0, {name: runs.get(name.replace(" ", "_"), one) for name, one in GOOD.items()})


def test_bars_that_are_just_met() -> None:
    """What commits of the stream take of memory is not a backfill's."""
    assert found().met
    assert [line.split()[-1] for line in lines(found())[-6:]] == ["met"] * 6
    assert "NOT met" not in "\n".join(lines(found()))


@pytest.mark.parametrize(
    ("missed", "unmet"),
    [
        ({"sets": run(24_999)}, [0, 3]),
        ({"small_repos": run(5_000, repos=4_999)}, [1]),
        ({"right_already": run(99_999)}, [2]),
        ({COMMITS.replace(" ", "_"): run(10_001)}, [3]),
        ({BESIDE.replace(" ", "_"): run(20_000, p99=50.0)}, [4]),
        ({BESIDE.replace(" ", "_"): run(20_000)}, [4]),
        ({"right_already": run(100_000, grown=150_000_000)}, [5]),
    ],
    ids=("sets", "small repos", "right already", "commits", "p99", "no p99", "memory"),
)
def test_a_bar_that_is_missed_is_named(missed: dict[str, Figure], unmet: list[int]) -> None:
    assert not found(**missed).met
    last = lines(found(**missed))[-6:]
    assert [number for number, line in enumerate(last) if line.endswith("NOT met")] == unmet


@pytest.mark.parametrize("as_json", [True, False])
def test_what_is_printed_and_what_is_returned_are_the_same(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    assert say(found(), as_json=as_json)
    assert not say(found(right_already=run(1.0)), as_json=as_json)
    good, bad = capsys.readouterr().out.replace(": false", "NOT met").split("Whole" if not as_json else '{"live"')[1:]
    assert ("NOT met" in good, "NOT met" in bad) == (False, True)


@pytest.mark.parametrize("good", [True, False])
def test_the_command_ends_with_1_where_a_bar_is_missed(monkeypatch: pytest.MonkeyPatch, good: bool) -> None:
    async def measured(records: int, *, as_json: bool) -> bool:
        assert (records, as_json) == (100, False)
        return good

    monkeypatch.setattr(backfilled, "bench", measured)
    monkeypatch.setattr(sys, "argv", ["backfilled", "--records", "100"])
    with pytest.raises(SystemExit) as ended:
        backfilled.main()
    assert ended.value.code == (not good)


@pytest.mark.long
async def test_each_way_is_measured(pg18: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfilled, "LARGE", 100)
    measured = await compare(pg18, 200)
    assert measured.runs.keys() == GOOD.keys()
    assert all(one.rate > 0 for one in measured.runs.values())
    assert len(measured.bars) == 6
