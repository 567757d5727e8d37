"""A million events in one run, by the worker as a process: in the end every table is what the model says. (Takes 15 minutes and
10 GB of memory, for the model and the rows that are compared.)"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.server import RelayServer
from testing.databases import differences, saved
from testing.model import Model
from testing.processes import Process
from testing.workers import settings

EVENTS = 1_000_000
MAX_RSS = 200 * 10**6  # bytes


@pytest.mark.soak
async def test_a_million_events_of_live_traffic(database: str, tmp_path: Path) -> None:
    model, last_seq = Model(), 0
    generator = Generator(Settings(seed=31, accounts=EVENTS, cheap=True, padding=300))

    def frames() -> Iterator[bytes]:
        nonlocal last_seq
        for sent in generator.stream(EVENTS):
            model.apply(sent.truth)
            last_seq = max(last_seq, sent.truth.seq)
            yield sent.frame

    write_frames(tmp_path / "frames", frames())
    async with (
        RelayServer(recorded=tmp_path / "frames") as relay,
        Process(tmp_path, **settings(database, relay.url)) as worker,
    ):
        await saved(database, relay.url, last_seq, seconds=EVENTS / 200)
        assert worker.rss < MAX_RSS
        assert "Traceback" not in worker.output
    assert await differences(database, model) == []
