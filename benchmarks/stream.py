"""The frames of a benchmark, made beforehand, and what the database must hold after them.

Traffic is the live network's mix of commits; its few messages of other kinds (one in 500) are left out.
There are as many accounts as commits, so that nearly every commit is another account's, as on a public relay.
The rows are those of the tests' model, which keeps every record: 6 kB of memory per commit while a stream is made.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from relay_simulator import keys
from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import CommitTruth
from testing.model import Model
from testing.model.expected import DERIVED_TABLES

SEED = 1
# Weights of a Mix that are not of commits.
MESSAGES = (
    "identity", "handle_change", "handle_lost", "handle_taken", "handle_missing",
    "account", "account_deleted", "account_returned", "account_odd", "sync",
)  # fmt: skip
DUPLICATES, LETTERS = "unified_worker.duplicate_records", "unified_worker.dead_letters"
TABLES = (*Model().rows(), DUPLICATES, LETTERS)
COMMITS_EACH = 4  # of an account, in a signed stream
EDGE = 500  # commits at either end that are looked for to know that a run has begun, or is over: some are in every lane


@dataclass(slots=True)
class Load:
    """What a benchmark sends, and the rows that it leaves.

    `first`, `last`: (did, rev) of the commits at either end, the very last one at the end. `marks`: that of each
    `mark_every`-th one, by how many there were then. `operations`: by collection. `rows`: by table, without the notifications
    in `undetermined`, which may be there or not, because the order between repos decides. `documents`: of the accounts of a
    signed stream, by DID.
    """

    commits: int = 0
    accounts: int = 0
    operations: Counter[str] = field(default_factory=Counter[str])
    first: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    last: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    mark_every: int = 1_000
    marks: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    rows: dict[str, int] = field(default_factory=dict[str, int])
    undetermined: list[str] = field(default_factory=list[str])
    documents: dict[str, dict[str, object]] = field(default_factory=dict[str, dict[str, object]])

    def add(self, commit: CommitTruth) -> None:
        """Notes the next commit."""
        end = (commit.did, commit.rev)
        self.commits += 1
        if len(self.first) < EDGE:
            self.first.append(end)
        self.last.append(end)
        if len(self.last) >= 2 * EDGE:
            del self.last[:-EDGE]
        if self.commits % self.mark_every == 0:
            self.marks[self.commits] = end

    def end(self, model: Model) -> None:
        """Notes what all commits come to."""
        expected = model.expected()
        self.accounts = len(model.repos)
        self.rows = {table: len(rows) for table, rows in expected.rows.items()}
        self.rows |= {DUPLICATES: len(expected.waiting), LETTERS: len(model.refused)}
        self.undetermined = sorted(expected.optional["notifications"])
        self.rows["notifications"] -= len(self.undetermined)

    def bare_rows(self) -> dict[str, int]:
        """The rows where nothing follows from a record."""
        return {table: 0 if table in DERIVED_TABLES else count for table, count in self.rows.items()}


def accounts(commits: int) -> int:
    """How many accounts write a stream of so many commits."""
    return max(commits, 1_000)


def dids(commits: int) -> list[str]:
    """The accounts that may write in such a stream."""
    return [keys.did(SEED, number) for number in range(accounts(commits))]


def make_stream(path: Path, commits: int, mix: Mix | None = None, *, signed: bool = False) -> Load:
    """Writes so many commits to `path` as frames, of the live network's mix if no other is given; returns what they come to.

    With `signed` they have real trees and signatures, which takes 1 ms each, and every account writes a few.
    """
    only_commits = replace(mix or Mix.realistic(), **dict.fromkeys(MESSAGES, 0.0))
    writers = accounts(commits // COMMITS_EACH if signed else commits)
    generator = Generator(Settings(seed=SEED, cheap=not signed, accounts=writers, mix=only_commits))
    load, model = Load(), Model()

    def frames() -> Iterator[bytes]:
        for sent in generator.stream(commits):
            assert isinstance(sent.truth, CommitTruth)
            load.add(sent.truth)
            stale = model.stale
            model.apply(sent.truth)
            if model.stale == stale:
                load.operations.update(op.collection for op in sent.truth.ops)
            yield sent.frame

    write_frames(path, frames())
    load.end(model)
    if signed:
        load.documents = generator.did_documents()
    return load
