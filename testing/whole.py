"""A whole repo as it comes from its host, and the repair of one, step by step."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from relay_simulator.encoding import cid_of, encode
from testing.commits import did
from testing.database_side import Worker
from unified_indexer.database.connection.few import Few
from unified_indexer.database.repair import queue, steps
from unified_indexer.database.repair.bringing import Tables
from unified_indexer.database.repair.steps import Claim, Word
from unified_indexer.database.repair.writing import Ended, Job, Writing
from unified_indexer.selection import EVERYTHING, Selection

WEEK = timedelta(days=7)


class Stored(NamedTuple):
    """A record of it."""

    path: str
    cid: bytes
    block: bytes


class Whole:
    """The repo at a rev, with these records by path, in slices of `size`."""

    def __init__(self, rev: str, records: Mapping[str, Any], size: int = 500) -> None:
        self._size = size
        blocks = {path: encode(record) for path, record in records.items()}
        self.rev = rev
        self.data = cid_of(f"{rev} {sorted(records)}".encode())
        self._stored = [Stored(path, cid_of(blocks[path]), blocks[path]) for path in sorted(blocks)]

    @property
    def records(self) -> int:
        return len(self._stored)

    @property
    def size(self) -> int:
        return sum(len(record.block) for record in self._stored)

    def slices(self, size: int = 500) -> Iterator[Sequence[Stored]]:
        for at in range(0, len(self._stored), min(size, self._size)):
            yield self._stored[at : at + min(size, self._size)]


async def marked(worker: Worker, name: str, why: str = "missed") -> Claim:
    """The repo of this account, claimed and marked: its host may be asked now."""
    await queue.want(worker.connection, [did(name)], why, queue.MISSING)
    (found,) = [one for one in await queue.claim(worker.connection, "relay.test", 100) if one.did == did(name)]
    assert (await steps.mark(worker.connection, found.claim)).word is Word.OK
    return found.claim


async def written(worker: Worker, claim: Claim, whole: Whole, selection: Selection = EVERYTHING, **more: Any) -> Ended:
    """What became of it, once it is written."""
    job = Job(claim, whole, proven=True, **more)
    (ended,) = await Writing(Tables(Few(worker.pool, 1)), selection, notify=WEEK).write([job])
    return ended


async def repaired(worker: Worker, name: str, whole: Whole, selection: Selection = EVERYTHING) -> Ended:
    """Repair the account's repo with what its host has."""
    return await written(worker, await marked(worker, name), whole, selection)
