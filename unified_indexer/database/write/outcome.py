"""What became of a commit or message, as the database reports it: only this file reads the database's words."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from unified_indexer.errors import Stop


class Result(StrEnum):
    """What became of a commit, or of a message about an account (the last two, or APPLIED)."""

    APPLIED = "applied"
    CHAIN_BROKEN = "chain_broken"  # applied, although the commit that it follows never came; so are those of the next five
    MISSING_TREE_BLOCK = "missing_tree_block"  # names and meanings of all six: protocol/failures.py
    TREE_MISMATCH = "tree_mismatch"
    DOWNGRADED_COMMIT = "downgraded_commit"
    LEGACY_COMMIT = "legacy_commit"
    SYNC_DIFFERS = "sync_differs"
    STALE = "stale"  # the repo's rev is not older
    REV_FORK = "rev_fork"  # the repo has this rev, with other contents
    INACTIVE = "inactive"  # left out, because the account is not active
    KEPT = "kept"  # as dead letters, while the account is being wiped
    REFUSED = "refused"  # by the database, and kept as dead letters
    STALE_MESSAGE = "stale_message"  # something newer is known
    NO_NEWS = "no_news"  # it says nothing that is indexed


SKIPPED = frozenset({Result.STALE, Result.REV_FORK, Result.INACTIVE})
WRITTEN = frozenset(
    {
        Result.APPLIED,
        Result.CHAIN_BROKEN,
        Result.MISSING_TREE_BLOCK,
        Result.TREE_MISMATCH,
        Result.DOWNGRADED_COMMIT,
        Result.LEGACY_COMMIT,
        Result.SYNC_DIFFERS,
    }
)
WAITING = {"23503": "foreign_key", "23001": "referenced"}  # SQLSTATEs of what is sound and waits for another row: the reasons
FRAME_DROPPED = "frame_dropped"
REFUSAL = re.compile(rf"{Result.REFUSED}:([0-9A-Z]{{5}})(:{FRAME_DROPPED})?")


class Outcome(NamedTuple):
    """`sqlstate`: why the database refused it, otherwise empty. `frame_dropped`: some of it is a dead letter without its frame,
    because there are too many."""

    result: Result
    sqlstate: str = ""
    frame_dropped: bool = False

    def __str__(self) -> str:
        """The database's word for it."""
        if self.frame_dropped and self.result is Result.APPLIED:
            return FRAME_DROPPED
        parts = (self.result, self.sqlstate, FRAME_DROPPED if self.frame_dropped else "")
        return ":".join(part for part in parts if part)

    @property
    def written(self) -> bool:
        """Whether the operations were written, except those that were refused one by one."""
        return self.result in WRITTEN

    @property
    def skipped(self) -> bool:
        """Whether the operations were not examined at all."""
        return self.result in SKIPPED

    @property
    def at_fault(self) -> bool:
        """Whether the database refused it, and not only because it must wait for another row."""
        return self.result is Result.REFUSED and self.sqlstate not in WAITING

    @property
    def reason(self) -> str:
        """The dead letters' reason if the database refused it."""
        return WAITING.get(self.sqlstate) or f"database_{self.sqlstate}"


APPLIED = Outcome(Result.APPLIED)
STALE = Outcome(Result.STALE)
KEEPS = (*WRITTEN, Result.KEPT)  # what may leave dead letters, so that their frames may be dropped
OUTCOMES = (
    APPLIED,
    *(Outcome(result) for result in Result if result not in (Result.APPLIED, Result.REFUSED)),
    *(Outcome(result, frame_dropped=True) for result in KEEPS),
)
BY_WORD = {str(one): one for one in OUTCOMES}


def parse(word: str) -> Outcome:
    """The outcome that the database's word means; Stop if this version does not know it."""
    if known := BY_WORD.get(word):
        return known
    if refusal := REFUSAL.fullmatch(word):
        return Outcome(Result.REFUSED, refusal[1], refusal[2] is not None)
    raise Stop(f"the database's functions are of another version (outcome {word!r}): restart this worker")


def parse_all(words: Sequence[str]) -> list[Outcome]:
    """The outcomes of a call, in its order."""
    try:
        return [BY_WORD[word] for word in words]  # nearly always
    except KeyError:
        return list(map(parse, words))
