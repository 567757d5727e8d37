"""How far a repo is complete and proven, by the protocol's rules alone."""

from dataclasses import dataclass
from typing import Literal

from relay_simulator.truth import CommitTruth

Verify = Literal["off", "signatures", "full"]
UNSEEN, COMPLETE, MISSING = 0, 1, 2
MORE_TELLING_FIRST = (
    "bad_signature",
    "no_identity",
    "downgraded_commit",
    "tree_mismatch",
    "wiped",
    "chain_broken",
    "sync_differs",
    "missing_tree_block",
    "refused",
    "inactive",
    "legacy_commit",
    "unfinished",
)


@dataclass
class Completeness:
    """What is known of a repo's completeness. `filtered`: some of it was left out on purpose."""

    state: int = UNSEEN
    reason: str | None = None
    filtered: bool = False
    inductive: bool = False  # it has been seen to prove what it starts from

    def lose(self, reason: str) -> None:
        """Something of the repo is missing or wrong."""
        known = (reason,) if self.reason is None else (reason, self.reason)
        self.state, self.reason = MISSING, min(known, key=MORE_TELLING_FIRST.index)


def doubt(
    known: Completeness, rev: str, data: str | None, refused: str | None, commit: CommitTruth, verify: Verify
) -> str | None:
    """What is wrong with a newer commit of a repo that stands at `rev` and `data`; `refused`: the rev of what came between."""
    follows = not rev or (refused is not None and commit.since == refused)
    if verify == "off":
        return None if follows or commit.since in (None, rev) else "chain_broken"
    if commit.prev_data is None and (commit.since is not None or (verify == "full" and not commit.sound)):
        return "downgraded_commit" if known.inductive else "legacy_commit"
    if verify == "full" and not commit.sound:
        return "tree_mismatch"
    return None if follows or (commit.since, commit.prev_data) == (rev, data) else "chain_broken"
