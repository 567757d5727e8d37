"""The frames of a benchmark, made beforehand, and what the database must hold after them.

Traffic is the live network's mix of commits; its few messages of other kinds (one in 500) are left out. There are as many
accounts as commits, so that nearly every commit is another account's, as on a public relay.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.expected import Expected
from relay_simulator import keys
from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import CommitTruth

SEED = 1
# Weights of a Mix that are not of commits.
MESSAGES = (
    "identity", "handle_change", "handle_lost", "handle_taken", "handle_missing",
    "account", "account_deleted", "account_returned", "account_odd", "sync",
)  # fmt: skip


def accounts(commits: int) -> int:
    """How many accounts write a stream of so many commits."""
    return max(commits, 1_000)


def dids(commits: int) -> list[str]:
    """The accounts that may write in such a stream."""
    return [keys.did(SEED, number) for number in range(accounts(commits))]


def make_stream(path: Path, commits: int, mix: Mix | None = None) -> Expected:
    """Writes so many commits to `path` as frames, of the live network's mix if no other is given; returns what they come to."""
    only_commits = replace(mix or Mix.realistic(), **dict.fromkeys(MESSAGES, 0.0))
    settings = Settings(seed=SEED, cheap=True, accounts=accounts(commits), mix=only_commits)
    expected = Expected()

    def frames() -> Iterator[bytes]:
        for sent in Generator(settings).stream(commits):
            assert isinstance(sent.truth, CommitTruth)
            expected.add(sent.truth)
            yield sent.frame

    write_frames(path, frames())
    return expected
