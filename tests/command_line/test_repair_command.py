"""`repair`, as it is called and what it leaves behind."""

import pytest

from testing.commits import did
from testing.database_side import Worker
from tests.command_line.test_letter_commands import Commands
from unified_indexer.command_line.repair_run import FOR_CHECKING, HOLDER
from unified_indexer.database.repair import asked, queue, steps
from unified_indexer.database.repair.steps import Word

ROWS = "SELECT did, state, check_only FROM unified_worker.repairs ORDER BY did"


@pytest.fixture
def run(worker: Worker, capfdbinary: pytest.CaptureFixture[bytes]) -> Commands:
    return Commands(worker, capfdbinary)


async def rows(worker: Worker) -> list[tuple[str, str, bool]]:
    return [tuple(row) for row in await worker.connection.fetch(ROWS)]


@pytest.mark.promise(6)
async def test_a_comparison_that_may_not_begin_is_not_in_the_way_of_repairs(worker: Worker, run: Commands) -> None:
    await asked.pause(worker.connection, None, True)
    said = await run("repair", did("a"), "--check-only", code=1)
    assert said == f"{did('a')}: a worker is repairing it, or all fetching is paused\n"
    assert await rows(worker) == []
    await queue.want(worker.connection, [did("a")], "missed", queue.MISSING)
    await run("repair", did("a"), "--check-only", code=1)
    assert await rows(worker) == [(did("a"), "wanted", False)], "what a worker is to repair stays"
    assert await run("repair", did("b"), "--now", code=1)
    assert (did("b"), "wanted", False) in await rows(worker)


@pytest.mark.parametrize("by_command", [True, False])
async def test_a_comparison_whose_command_was_killed_leaves_nothing(worker: Worker, by_command: bool) -> None:
    """The next command says so, or a worker sees that its lease has ended."""
    claimed = await queue.take_one(worker.connection, HOLDER, did("a"), FOR_CHECKING, check_only=True)
    assert claimed is not None
    assert (await steps.mark(worker.connection, claimed.claim)).word is Word.OK
    if by_command:
        assert await steps.reset(worker.connection, HOLDER) == 1
    else:
        await worker.connection.execute("UPDATE unified_worker.repairs SET lease_until = now() - interval '1 second'")
        assert await steps.expire(worker.connection, []) == 1
    assert await rows(worker) == []
    assert await worker.value("SELECT fetching FROM unified_worker.repos") is False


async def test_whoever_asks_for_all_gets_those_that_were_only_to_be_compared(worker: Worker) -> None:
    await worker.connection.execute("INSERT INTO unified_worker.repos (did, rev, sync) VALUES ($1, '3k', 2)", did("a"))
    await queue.want(worker.connection, [did("a")], FOR_CHECKING, queue.ASKED, check_only=True)
    assert await queue.hurry(worker.connection) == 1
    assert await rows(worker) == [(did("a"), "wanted", False)]
