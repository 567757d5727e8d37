"""--partitions: tables that are divided by their authors hold what whole ones hold, and their number is chosen once."""

import pytest

from relay_simulator.server import RelayServer
from testing.database_side import opened
from testing.databases import connected, differences
from testing.traffic import traffic
from testing.workers import finished, running
from tests.command_line.test_letter_commands import Commands
from unified_indexer.command_line import cli
from unified_indexer.database.background.rebuild import Rebuild
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.schema.ready import make_ready
from unified_indexer.errors import OperatorError
from unified_indexer.records import RECORD_TYPES

DIVIDED = ["blocks", "follows", "likes", "list_blocks", "reposts"]
TABLES = "SELECT relname FROM pg_class WHERE relkind = 'p' ORDER BY 1"
PARTS = "SELECT DISTINCT (SELECT count(*) FROM pg_inherits WHERE inhparent = c.oid) FROM pg_class AS c WHERE relkind = 'p'"
FILLED = "SELECT count(DISTINCT tableoid) FROM likes"


async def prepared(url: str, partitions: int) -> None:
    pool = DatabasePool(url, size=1, name="relay.test", durable=False)
    try:
        await make_ready(pool, RECORD_TYPES, partitions=partitions)
    finally:
        pool.terminate()


async def refused(url: str, partitions: int) -> str:
    with pytest.raises(OperatorError) as caught:
        await prepared(url, partitions)
    (fault,) = caught.value.faults
    return fault


@pytest.mark.long
async def test_divided_tables_hold_what_the_model_says(any_database: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """A stream with everything awkward, a rebuild, and a check of all that follows from records."""
    await prepared(any_database, 4)
    stream = traffic(3_000, awkward=True, accounts=150, seed=41)
    async with RelayServer(stream.frames) as relay, running(any_database, relay.url) as worker:
        await finished(worker, stream.last_seq)
    assert await differences(any_database, stream.model) == []
    async with opened(any_database) as worker:
        assert await worker.column(TABLES) == DIVIDED
        assert await worker.value(FILLED) == 4
        assert "No differences" in await Commands(worker, capfdbinary)("check", "--full")
        await worker.connection.execute("SELECT unified_worker.begin_rebuild(); DELETE FROM post_aggregations")
        assert await Rebuild(worker.pool).run()
    assert await differences(any_database, stream.model) == []


async def test_the_number_is_chosen_at_the_first_start(database: str) -> None:
    await prepared(database, 3)
    async with connected(database) as connection:
        assert [row[0] for row in await connection.fetch(PARTS)] == [3]
    await prepared(database, 3)
    await prepared(database, 0)
    assert "has tables with 3 partitions" in await refused(database, 2)


async def test_whole_tables_stay_whole(application: str) -> None:
    assert "has tables without partitions" in await refused(application, 2)
    await prepared(application, 0)
    assert "has tables without partitions" in await refused(application, 2)


@pytest.mark.parametrize("text", ["1", "33", "-4", "x"])
def test_a_number_that_no_server_likes_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(["--partitions", text])
    assert ended.value.code == 2
    assert "write a whole number from 2 to 32" in capsys.readouterr().err or text.startswith("-")
