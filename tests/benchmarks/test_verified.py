"""What proof costs, measured over signed commits: every run leaves the right rows, and each way of verifying is told."""

from pathlib import Path

import pytest

from benchmarks.verified import compare, lines, wrong
from unified_indexer.embedded.server import PostgresServer


@pytest.mark.soak
async def test_each_way_of_verifying_leaves_the_rows_of_its_stream(pg18: PostgresServer, tmp_path: Path) -> None:
    found = await compare(pg18, tmp_path, 1_000, 1, seconds=1.0, rate=200)
    assert wrong(found) == []
    told = "\n".join(lines(found))
    for mode in ("off", "signatures", "full"):
        assert f"full indexing, VERIFY={mode}" in told
    assert "VERIFY=full: Full indexing at 200 events/s" in told
    assert min(replay.rate for replays in found.replays.values() for replay in replays) > 0
