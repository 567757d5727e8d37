"""What operators grep for: the lines of a real run."""

import asyncio
import logging
import re
import signal
from datetime import datetime
from pathlib import Path

import pytest

from relay_simulator.server import RelayServer
from testing.databases import saved
from testing.processes import Process
from testing.traffic import traffic
from testing.workers import finished, running, settings

TIME = r"\[[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\]"
LINE = TIME + r" \[(DEBUG|INFO|WARNING|ERROR)\] .+"
PROGRESS = "^" + TIME + r" \[INFO\] Processed ([0-9]{1,3}(?:,[0-9]{3})*) events \(~([0-9]+) events/sec\)$"
STATUS = (
    r"Lag [0-9,]+\.[0-9] s; pool [0-9]+/3 busy; queue [0-9,]+ events; "
    r"since start: refused [0-9,]+ \([a-z_]+ [0-9,]+(, [a-z_]+ [0-9,]+)*\), stale [0-9,]+(, .+)?"
)


@pytest.mark.long
async def test_the_lines_of_a_run(database: str, tmp_path: Path) -> None:
    """Start, connection, progress every 1,000 events but once a second at most, stop; all in one format."""
    stream = traffic(3_000, awkward=True)
    async with RelayServer(stream.frames, rate=1_500) as relay, Process(tmp_path, **settings(database, relay.url)) as worker:
        await saved(database, relay.url, stream.last_seq)
        worker.signal(signal.SIGTERM)
        assert await worker.ends() == 0
    lines = worker.output.splitlines()
    assert [line for line in lines if not re.fullmatch(LINE, line)] == []
    found = re.findall(PROGRESS, worker.output, re.MULTILINE)
    counts = [int(count.replace(",", "")) for count, _ in found]
    assert len(found) >= 2
    assert all(count % 1_000 == 0 for count in counts)
    assert counts == sorted(set(counts))
    # The fastest stretch is as fast as the whole at least; the lines' times are of whole seconds.
    first, last = (datetime.fromisoformat(lines[at][1:20]) for at in (0, -1))
    whole = counts[-1] / ((last - first).total_seconds() + 1)
    assert whole <= max(int(rate) for _, rate in found) < 25_000
    for pattern in ("starts: ws://127", "starting from CURSOR=oldest", "Connected to ws://", "SIGTERM: stopping", "Stopped"):
        assert sum(pattern in line and "[INFO]" in line for line in lines) == 1, pattern


async def test_the_line_of_every_minute(
    database: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unified_indexer.monitoring.progress.STATUS_INTERVAL", 0.5)
    caplog.set_level(logging.INFO)
    stream = traffic(1_000, awkward=True)
    async with RelayServer(stream.frames) as relay, running(database, relay.url, DB_POOL_SIZE="3") as worker:
        await finished(worker, stream.last_seq)
        async with asyncio.timeout(5):
            while not any(re.fullmatch(STATUS, record.getMessage()) for record in caplog.records):
                await asyncio.sleep(0.05)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
