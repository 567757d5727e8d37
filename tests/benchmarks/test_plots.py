"""The drawings show what was measured; a small run of each measurement gives something to draw."""

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import plots
from benchmarks.plots import Figures, drawings, histogram, measure, write
from benchmarks.processes import child_folder
from unified_indexer.embedded.server import PostgresServer

RECT, TEXT = "{http://www.w3.org/2000/svg}rect", "{http://www.w3.org/2000/svg}text"


@pytest.fixture
def folder() -> Iterator[Path]:
    with child_folder() as made:
        yield made


def test_bars_are_as_high_as_what_they_stand_for(tmp_path: Path) -> None:
    memory = [(at / 4, 60_000_000 + at) for at in range(400)]
    times = tuple(0.1 * number for number in range(1, 500))
    levels = {"off": 9_000.0, "signatures": 8_500.0, "full": 8_000.0}
    write(tmp_path / "plots", drawings(Figures({1: 2_000.0, 250: 8_000.0}, levels, {0: 9e3, 9_000_000: 8e3}, memory, times)))
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert names == {"by-batch.svg", "by-verify.svg", "by-size.svg", "memory.svg", "latency.svg"}
    drawn = ElementTree.parse(tmp_path / "plots" / "by-batch.svg").getroot()
    low, high = [float(bar.attrib["height"]) for bar in drawn.iter(RECT)]
    assert high == pytest.approx(4 * low, abs=0.2)
    assert {"2,000", "8,000", "1", "250"} <= {text.text for text in drawn.iter(TEXT)}
    marks = [text.text for text in ElementTree.parse(tmp_path / "plots" / "memory.svg").getroot().iter(TEXT)]
    assert len(marks) < 15, "a long axis is not marked at each point"


def test_every_event_is_in_one_bar_of_the_histogram() -> None:
    shown = histogram([0.1, 0.5, 0.6, 31.9, 32.1, 1_000.0])
    assert sum(shown.values()) == pytest.approx(100)
    assert (shown["0.5"], shown["0.7"], shown["32"], shown["> 32"]) == pytest.approx((200 / 6, 100 / 6, 100 / 6, 200 / 6))


@pytest.mark.long
async def test_a_small_run_gives_something_to_draw(pg18: PostgresServer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "BATCHES", (1, 250))
    monkeypatch.setattr(plots, "PARTS", (1.0,))
    monkeypatch.setattr(plots, "LIVE_RATE", 200)
    found = await measure(pg18, folder, commits=1_200, rows=20_000, proven=0, seconds=1.0, runs=1)
    assert found.wrong == []
    assert list(found.batches) == [1, 250]
    assert [held >= 20_000 for held in found.sizes] == [False, True]
    assert min(*found.batches.values(), *found.sizes.values(), *(size for _, size in found.memory)) > 0
    assert len(found.times) >= 100
    assert all("<svg" in drawing for drawing in drawings(found).values())
