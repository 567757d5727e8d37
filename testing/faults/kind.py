"""What a kind of fault is, and what it may do with a run."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, TypeAlias

from relay_simulator.truth import Sent
from testing.faults.scene import Scene

Family: TypeAlias = Literal["account", "relay", "network", "database", "process", "trust", "failover", "several"]
Need: TypeAlias = Literal["small disk", "pipe", "clock", "second server", "standby", "directory", "new keys", "stream"]
Strike: TypeAlias = Callable[[Scene, Random], Awaitable[None]]
Prepare: TypeAlias = Callable[[Scene, Random], None]
Shape: TypeAlias = Callable[[list[Sent], Random], list[Sent]]


def unshaped(sent: list[Sent], _: Random) -> list[Sent]:
    """The stream as it is."""
    return sent


def unprepared(_scene: Scene, _rng: Random) -> None:
    """Nothing beforehand."""


def possible() -> str | None:
    """Nothing is in the way."""
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """`strike` begins the fault, lets it last, and ends it: what comes afterwards is recovery."""

    name: str
    family: Family
    what: str  # in the table
    strike: Strike
    codes: frozenset[int] = frozenset()  # with which the worker may end because of it, besides 0
    shape: Shape = unshaped  # what it does to the stream beforehand
    slack: int = 0  # by how many seqs that puts the stream out of order
    prepare: Prepare = unprepared  # before the worker is first started
    needs: frozenset[Need] = frozenset()
    env: Mapping[str, str] = field(default_factory=dict[str, str])  # settings of the worker
    group: str | None = None  # of which one may be in a run
    missing: Callable[[], str | None] = possible  # why it can't be had on this machine
