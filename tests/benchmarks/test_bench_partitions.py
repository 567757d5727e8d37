"""What partitions cost: whole and divided tables take turns, and the ratios follow."""

import pytest

from benchmarks import partitions


@pytest.mark.long
async def test_whole_and_divided_tables_take_turns(capsys: pytest.CaptureFixture[str]) -> None:
    assert await partitions.compare(500, 2, 2)
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[:4]] == ["0", "2", "2", "0"]
    assert [line.split(":")[0] for line in told[4:]] == ["rate", "PostgreSQL's CPU", "log"]
