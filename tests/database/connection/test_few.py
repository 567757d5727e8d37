"""A few connections of a pool: never more of them, and one alone while that is asked for."""

import asyncio
from contextlib import AsyncExitStack

from testing.database_side import Worker
from testing.waiting import until
from unified_indexer.database.connection.few import Few


class Borrowers:
    """Tasks that keep a connection until they are let go; `pids`: of those that have one."""

    def __init__(self, few: Few) -> None:
        self._few = few
        self._go: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.pids: dict[str, int] = {}
        self.most = 0

    async def add(self, names: str) -> None:
        for name in names:
            self._go[name] = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._borrow(name)))
        await asyncio.sleep(0)

    async def _borrow(self, name: str) -> None:
        async with self._few.connection() as connection:
            self.pids[name] = await connection.fetchval("SELECT pg_backend_pid()")
            self.most = max(self.most, len(self.pids))
            await self._go[name].wait()
            del self.pids[name]

    def let_go(self, names: str) -> None:
        for name in names:
            self._go[name].set()

    async def all_ended(self) -> None:
        await asyncio.wait_for(asyncio.gather(*self._tasks), 30)

    async def have(self, names: str) -> None:
        await until(lambda: "".join(sorted(self.pids)) == names, f"{names} have connections", 20)


async def test_never_more_than_they_may_have_and_in_turn(worker: Worker) -> None:
    borrowers = Borrowers(Few(worker.pool, 2))
    await borrowers.add("abcd")
    await borrowers.have("ab")
    assert len(set(borrowers.pids.values())) == 2
    borrowers.let_go("a")
    await borrowers.have("bc")
    borrowers.let_go("bcd")
    await borrowers.all_ended()
    assert borrowers.most == 2


async def test_one_alone_while_it_is_not_calm(worker: Worker) -> None:
    calm = [False]
    borrowers = Borrowers(Few(worker.pool, 2, lambda: calm[0]))
    await borrowers.add("abc")
    await borrowers.have("a")
    borrowers.let_go("a")
    await borrowers.have("b")
    calm[0] = True
    borrowers.let_go("b")
    await borrowers.have("c")
    await borrowers.add("d")
    await borrowers.have("cd")
    borrowers.let_go("cd")
    await borrowers.all_ended()


async def test_who_is_cancelled_while_it_waits_keeps_nobody_waiting(worker: Worker) -> None:
    calm = [False]
    few = Few(worker.pool, 2, lambda: calm[0])
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(few.connection())
        waiting = [asyncio.create_task(few.connection().__aenter__()) for _ in range(2)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    for _ in range(3):
        async with few.connection() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    calm[0] = True
    async with few.connection() as one, few.connection() as other:
        assert one is not other
