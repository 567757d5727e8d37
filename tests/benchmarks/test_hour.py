"""A steady pace, looked at: what grows is named, what only sways is not, and a short run gives all ten lines."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.hour import MB, Sample, Tenth, grown, slow, summary, table, tenths, watch
from benchmarks.processes import child_folder
from unified_indexer.embedded.server import PostgresServer

STEADY = [Tenth(2_000, 100 * MB, 60, 20, 5_000)] * 10


@pytest.fixture
def folder() -> Iterator[Path]:
    with child_folder() as made:
        yield made


@pytest.mark.parametrize(
    ("last", "named"),
    [
        ({}, []),
        ({"rss": 112 * MB}, ["memory"]),
        ({"rss": 109 * MB}, []),
        ({"descriptors": 67}, ["descriptors"]),
        ({"descriptors": 65}, []),
        ({"connections": 23}, ["connections"]),
        ({"connections": 22}, []),
        ({"dead_rows": 5_000_000}, []),
        ({"rss": 200 * MB, "descriptors": 200, "connections": 200}, ["memory", "descriptors", "connections"]),
    ],
)
def test_what_grows_by_a_tenth_and_by_more_than_chance_is_named(last: dict[str, float], named: list[str]) -> None:
    assert [line.split()[0] for line in grown([*STEADY[:-1], replace(STEADY[-1], **last)])] == named


def test_a_start_that_takes_memory_is_no_growth() -> None:
    assert grown([replace(STEADY[0], rss=10 * MB), *STEADY[1:]]) == []


def test_a_pace_that_is_not_kept_is_named() -> None:
    assert slow([replace(STEADY[0], rate=3), *STEADY[1:]], 2_000) == []
    assert slow([replace(one, rate=1_850) for one in STEADY], 2_000) != []


def test_each_sample_is_in_a_tenth() -> None:
    samples = [Sample(at=at, events=10 * at, rss=at, descriptors=5, connections=2, dead_rows=0) for at in range(47)]
    parts = tenths(samples)
    assert [one.rate for one in parts] == pytest.approx([10] * 10)
    assert [one.rss for one in parts] == [2, 6, 10, 14, 18, 22, 26, 30, 34, 41]


@pytest.mark.long
async def test_a_short_run_gives_ten_lines(pg18: PostgresServer, folder: Path) -> None:
    samples = await watch(pg18, folder, 20, 100)
    parts = tenths(samples)
    assert len(table(parts)) == 11
    assert samples[-1].events > 500
    assert min(parts[-1].descriptors, parts[-1].connections, parts[-1].rss / MB) > 2
    assert f"{samples[-1].events:,} events, " in summary(samples, parts)
