"""Where the time goes, by what a commit does: PostgreSQL's CPU a commit, with the rows that follow and without.

Commits of one kind are sorted out of a stream and go to the procedure in batches of their own, over one connection whose server
process is watched: first the posts, then what refers to them, deletions last. It is done twice, the second time with functions
that write records alone; the difference is what the derived rows cost. In the stream for this the rare kinds are less rare, so
that there are enough of each; the share that is told is that of real traffic.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil

from benchmarks.bare import BARE_TYPES
from benchmarks.stream import make_stream
from benchmarks.throughput import fresh_database
from relay_simulator.frames_file import read_frames
from relay_simulator.mix import Mix
from unified_indexer.database.connection.sessions import SESSION_SETTINGS, Connection
from unified_indexer.database.write.apply import apply_all
from unified_indexer.database.write.batch import KINDS, OTHER, build
from unified_indexer.embedded.server import PostgresServer
from unified_indexer.pipeline.lanes import MAX_BATCH
from unified_indexer.protocol.events import Commit
from unified_indexer.protocol.frames import decode
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import RecordType

WARM_UP = 20  # commits of each kind that don't count: plans are made
FEWEST = 50  # commits that must be left of a kind for anything to be said of it
DELETION, UPDATE, SEVERAL = "a deletion", "an update", "several operations"
FIRST, LAST = ("posts", "users"), (UPDATE, SEVERAL, DELETION)
OFTEN = replace(
    Mix.realistic(), profile=3, block=3, user_list=3, list_item=3, list_block=3, generator=3, starter_pack=3, labeler=3,
    verification=3, thread_gate=3, post_gate=3, generic=3, delete=4, update=3, several=3,
)  # fmt: skip


class Cost(NamedTuple):
    """µs of PostgreSQL's CPU for a commit of this kind: in all, and of it what the derived rows take. `share`: of all commits
    of real traffic, from 0 to 1. `commits`: how many were measured."""

    kind: str
    share: float
    commits: int
    whole: float
    derived: float


async def costs(server: PostgresServer, frames: Path, commits: int) -> list[Cost]:
    """The costs, dearest for real traffic first. `frames`: such traffic; so many commits are made to measure."""
    shares = Counter(map(kind_of, read_commits(frames)))
    path = frames.with_name("by_type.bin")
    make_stream(path, commits, OFTEN)
    kinds = sorted_out(read_commits(path))
    path.unlink()
    whole = await measure(server, RECORD_TYPES, kinds)
    bare = await measure(server, BARE_TYPES, kinds)
    found = [
        Cost(kind, shares[kind] / shares.total(), len(kinds[kind]) - WARM_UP, cost, cost - bare[kind])
        for kind, cost in whole.items()
    ]
    return sorted(found, key=lambda cost: cost.share * cost.whole, reverse=True)


def read_commits(frames: Path) -> Iterator[Commit]:
    """The commits of a file of frames."""
    for frame in read_frames(frames):
        event = decode(frame)
        assert isinstance(event, Commit)
        yield event


def kind_of(commit: Commit) -> str:
    """What a commit does: the table of the one record that it creates, or one of DELETION, UPDATE, SEVERAL."""
    if len(commit.ops) != 1:
        return SEVERAL
    op = commit.ops[0]
    return {"delete": DELETION, "update": UPDATE}.get(op.action) or KINDS.get(op.collection, OTHER)[1].table


def sorted_out(commits: Iterable[Commit]) -> dict[str, list[Commit]]:
    """The commits by kind, in the order in which they are to be applied, without those that would come too late for that."""
    kinds: defaultdict[str, list[Commit]] = defaultdict(list)
    for commit in commits:
        kinds[kind_of(commit)].append(commit)
    order = [*FIRST, *sorted(kinds.keys() - {*FIRST, *LAST}), *LAST]
    newest: dict[str, str] = {}
    found: dict[str, list[Commit]] = {}
    for kind in order:
        found[kind] = []
        for commit in kinds[kind]:
            if commit.rev > newest.get(commit.repo, ""):
                newest[commit.repo] = commit.rev
                found[kind].append(commit)
    return {kind: chosen for kind, chosen in found.items() if len(chosen) >= FEWEST + WARM_UP}


async def measure(
    server: PostgresServer, record_types: Sequence[RecordType], kinds: Mapping[str, Sequence[Commit]]
) -> dict[str, float]:
    """µs of PostgreSQL's CPU a commit, by kind."""
    found: dict[str, float] = {}
    async with fresh_database(server, record_types) as url:
        connection = await asyncpg.connect(url, server_settings=SESSION_SETTINGS)
        backend = connection.get_server_pid()
        for kind, commits in kinds.items():
            await _apply(connection, commits[:WARM_UP])
            before = _cpu(backend)
            for first in range(WARM_UP, len(commits), MAX_BATCH):
                await _apply(connection, commits[first : first + MAX_BATCH])
            found[kind] = 1e6 * (_cpu(backend) - before) / (len(commits) - WARM_UP)
        await connection.close()
    return found


async def _apply(connection: Connection, commits: Sequence[Commit]) -> None:
    outcomes = await apply_all(connection, 0, "benchmark", build(commits), durable=True, isolate=False)
    if not all(outcome.written for outcome in outcomes):  # a broken chain is no fault: the commit before it is of another type
        raise ValueError(f"not all commits were applied: {Counter(outcomes)}")


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used: to the nanosecond on Linux, else to 10 ms."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except FileNotFoundError:
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system
