"""How a proven commit fits what is stored of its repo, by the rules of the protocol: what the database's own words are held to.

Source: https://atproto.com/specs/sync: `since` and `prevData` must be the rev and the tree of the commit before.
"""

from typing import NamedTuple

from unified_indexer.protocol.events import Verdict
from unified_indexer.protocol.failures import Failure


class Stored(NamedTuple):
    """What is stored of a repo. `rev` and `data` are None where nothing is known yet; `inductive` is the ratchet."""

    rev: str | None
    data: bytes | None
    inductive: bool


def commit_failure(stored: Stored, rev: str, since: str | None, proven: Verdict) -> Failure | None:
    """What is wrong with a proven commit where the repo stands, the first in this order: age, downgrade, tree, chain."""
    if _is_stale(stored, rev):
        return Failure.STALE
    if proven.doubt is Failure.LEGACY_COMMIT:
        return Failure.DOWNGRADED_COMMIT if stored.inductive else Failure.LEGACY_COMMIT
    if proven.doubt is not None:
        return proven.doubt
    if stored.rev is not None and since != stored.rev:
        return Failure.CHAIN_BROKEN
    if stored.data is not None and proven.before not in (None, stored.data):
        return Failure.CHAIN_BROKEN
    return None


def sync_failure(stored: Stored, rev: str, data: bytes) -> Failure | None:
    """What is wrong with a proven #sync where the repo stands. None: its rev is the repo's from now on."""
    if _is_stale(stored, rev):
        return Failure.STALE
    return None if stored.data is None or data == stored.data else Failure.SYNC_DIFFERS


def _is_stale(stored: Stored, rev: str) -> bool:
    return stored.rev is not None and rev <= stored.rev
