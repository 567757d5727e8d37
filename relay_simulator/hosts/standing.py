"""One account as its hosts see it."""

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(slots=True)
class Standing:
    """One account. `rev` and `commit` (CID text) are None until the stream has shown a commit; `pds` is its host's number.

    `collections` are those that the stream has shown records of.

    `generation` counts its keys; `tombstone`: its DID has ended.
    """

    number: int
    did: str
    handle: str
    generation: int = 0
    pds: int = 0
    rev: str | None = None
    commit: str | None = None
    active: bool = True
    status: str | None = None
    tombstone: bool = False
    named_seq: int = -1  # of the last #identity that counted
    seen_seq: int = -1  # the same of #account
    collections: set[str] = field(default_factory=set[str])


class Head(NamedTuple):
    """Where a repository stands: its newest commit's rev and CID text."""

    rev: str
    commit: str


class Shift(NamedTuple):
    """What the directory is told: the account as it stands from then on, and when (as the stream writes times)."""

    standing: Standing
    time: str
