"""Forged commits of every kind at full speed, to the worker as a process: its tables hold what the honest ones come to."""

from pathlib import Path

import pytest

from benchmarks.forged import KINDS, forged, report
from unified_indexer.embedded.server import PostgresServer


@pytest.mark.long
async def test_the_rows_are_those_of_the_honest_commits(pg18: PostgresServer, tmp_path: Path) -> None:
    result = await forged(pg18, tmp_path, 3_000, one_in=50)
    assert result.wrong == []
    assert set(result.forged) == set(KINDS)
    assert report(result)[-1] == "the rows are those of the honest commits"
