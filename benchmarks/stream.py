"""The frames of a benchmark, made beforehand, and what the database must hold after them.

Traffic is the live network's mix of commits of the five commonest record types; its few messages of other kinds (one in 500)
are left out. There are as many accounts as commits, so that nearly every commit is another account's, as on a public relay.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from relay_simulator.frames_file import write_frames
from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import CommitTruth, Json, OpTruth

TABLES = {
    "app.bsky.feed.post": "posts",
    "app.bsky.feed.like": "likes",
    "app.bsky.feed.repost": "reposts",
    "app.bsky.graph.follow": "follows",
    "app.bsky.actor.profile": "users",
}
SUBJECT_ONCE = {"likes", "reposts", "follows"}  # an account has one row a subject; further records of it wait
LAST = 500  # commits at the end that are looked for to know that a run is over: enough to have some in every lane


@dataclass(slots=True)
class Expected:
    """What the stream leaves in the database. `last`: (did, rev) of the newest commits, the very last one at the end."""

    commits: int = 0
    operations: int = 0
    last: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    _records: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])  # uri -> (table, unique key)
    _revs: dict[str, str] = field(default_factory=dict[str, str])  # by DID
    _users: set[str] = field(default_factory=set[str])

    def add(self, commit: CommitTruth) -> None:
        """Takes down the next commit."""
        self.commits += 1
        self.last.append((commit.did, commit.rev))
        if len(self.last) >= 2 * LAST:
            del self.last[:-LAST]
        if commit.rev <= self._revs.get(commit.did, ""):
            return
        self._revs[commit.did] = commit.rev
        for op in commit.ops:
            table = TABLES.get(op.collection)
            if table is None:
                continue
            self.operations += 1
            uri = f"at://{commit.did}/{op.collection}/{op.rkey}"
            if op.action == "delete":
                self._records.pop(uri, None)
            else:
                self._users.add(commit.did)
                self._records[uri] = (table, f"{commit.did} {_subject(op)}" if table in SUBJECT_ONCE else uri)

    def rows(self) -> dict[str, int]:
        """Rows by table."""
        holders = set(self._records.values())
        counts = Counter(table for table, _ in holders)
        counts["users"] = len(self._users)
        counts["unified_worker.repos"] = len(self._revs)
        counts["unified_worker.duplicate_records"] = len(self._records) - len(holders)
        counts["unified_worker.dead_letters"] = 0
        return dict(sorted(counts.items()))


def _subject(op: OpTruth) -> Json:
    """What a like, repost or follow is of: a record's URI, or a DID."""
    subject = cast("dict[str, Json]", op.record)["subject"]
    return subject["uri"] if isinstance(subject, dict) else subject


def make_stream(path: Path, commits: int, mix: Mix | None = None) -> Expected:
    """Writes so many commits to `path` as frames, of the five types if no other mix is given; returns what they come to."""
    only_commits = replace(mix or Mix.five_types(), identity=0.0, handle_change=0.0, account=0.0, account_deleted=0.0, sync=0.0)
    settings = Settings(cheap=True, accounts=max(commits, 1_000), mix=only_commits)
    expected = Expected()

    def frames() -> Iterator[bytes]:
        for sent in Generator(settings).stream(commits):
            assert isinstance(sent.truth, CommitTruth)
            expected.add(sent.truth)
            yield sent.frame

    write_frames(path, frames())
    return expected
