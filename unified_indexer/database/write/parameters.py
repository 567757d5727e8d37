"""The parameters of `unified_worker.apply_commit` and `apply_commits`, listed once, for Python and for SQL.

A parameter `x` is `p_x` in SQL. `apply_commits` takes each as an array. It hands `apply_commit` one element of those with an
element per commit, and the others whole: a commit knows its part of them by `lo..hi`, or `bucket_lo..bucket_hi` (1-based,
inclusive).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import IntEnum
from itertools import zip_longest
from operator import attrgetter
from typing import Any, NamedTuple

EMPTY: type[list[Any]] = list  # `list[Any]` itself takes 1 µs more to call, and a batch has 22
A_LINE = 6  # parameters on a line of the SQL texts


class Mode(IntEnum):
    """What `apply_commit` does about the guard and about dead letters."""

    LIVE = 0  # the rev guard decides
    RETRY = 1  # an operation that was kept: no guard, but only while its dead letter is open
    DIRECT = 2  # rows from a caller of `process_*`: no guard, no commit
    WIPE = 3  # rows that go with their account: no guard, and letters stay, because they came later


def per_commit(sql_type: str, *, rare: bool = False) -> Any:
    """An array with one element per commit. `rare`: nearly always NULL in all of them, and then NULL is sent as a whole, since
    the server walks along the elements to find one (0.3 µs)."""
    return field(default_factory=EMPTY, metadata={"type": sql_type, "per_commit": True, "rare": rare})


def whole(sql_type: str) -> Any:
    """An array of which each commit has a part."""
    return field(default_factory=EMPTY, metadata={"type": sql_type, "per_commit": False, "rare": False})


@dataclass(slots=True)
class Arrays:
    """The arrays themselves, in SQL's order."""

    did: list[str] = per_commit("text")
    rev: list[str | None] = per_commit("text")  # NULL: not a commit but a message about the account
    since: list[str | None] = per_commit("text")
    data: list[str | None] = per_commit("text")
    before: list[str | None] = per_commit("text", rare=True)  # the tree that it starts from ('': none); NULL: nobody asked
    doubt: list[str | None] = per_commit("text", rare=True)  # what its proof lacks, or why it is refused
    inductive: list[bool] = per_commit("boolean")  # whether prevData is proven, so that the repo must always have it
    unproven: list[bytes | None] = per_commit("bytea", rare=True)  # its commit block, where the key is not known yet
    seq: list[int | None] = per_commit("bigint")
    at: list[datetime | None] = per_commit("timestamptz")
    user: list[bool | None] = per_commit("boolean")  # whether the account needs its row; NULL for a #sync
    filtered: list[bool] = per_commit("boolean")  # whether operations were left out before
    frame: list[bytes | None] = per_commit("bytea", rare=True)
    buckets: list[int] = whole("int")  # the locks of the places where a commit meets others
    bucket_lo: list[int] = per_commit("int")
    bucket_hi: list[int] = per_commit("int")
    lo: list[int] = per_commit("int")
    hi: list[int] = per_commit("int")
    long: list[bool] = per_commit("boolean")  # whether a record is long: what is slow is made of it before the locks
    kind: list[int] = whole("smallint")  # from here on: one element per operation
    uri: list[str | None] = whole("text")
    cid: list[str | None] = whole("text")
    subject: list[str | None] = whole("text")
    subject_cid: list[str | None] = whole("text")
    created_at: list[datetime | None] = whole("timestamptz")
    rest: list[str | None] = whole("jsonb")

    def arguments(self) -> list[list[Any] | None]:
        """The arguments of `apply_commits` that hold its commits."""
        arrays: list[list[Any] | None] = [*_all(self)]
        for place, array in zip(RARE, _rare(self), strict=True):
            if array.count(None) == len(array):
                arrays[place] = None
        return arrays

    def first(self) -> list[Any]:
        """The arguments of `apply_commit`, after the mode, for the first commit."""
        return [array[0] if one.per_commit else array for one, array in zip(PARAMETERS, _all(self), strict=True)]


class Parameter(NamedTuple):
    """`type`: of one element, in SQL."""

    name: str
    type: str
    per_commit: bool

    @property
    def type_of_one(self) -> str:
        """Its type in `apply_commit`."""
        return self.type if self.per_commit else f"{self.type}[]"


PARAMETERS = tuple(Parameter(one.name, one.metadata["type"], one.metadata["per_commit"]) for one in fields(Arrays))
RARE = tuple(place for place, one in enumerate(fields(Arrays)) if one.metadata["rare"])
_all: Callable[[Arrays], tuple[list[Any], ...]] = attrgetter(*(one.name for one in PARAMETERS))
_rare: Callable[[Arrays], tuple[list[Any], ...]] = attrgetter(*(PARAMETERS[place].name for place in RARE))


def of_one() -> str:
    """The parameters of `apply_commit`, after the mode."""
    return _lines(f"p_{one.name} {one.type_of_one}" for one in PARAMETERS)


def of_all() -> str:
    """The parameters of `apply_commits` that hold its commits."""
    return _lines(f"p_{one.name} {one.type}[]" for one in PARAMETERS)


def call_in_loop(mode: Mode) -> str:
    """The call of `apply_commit` inside of `apply_commits`, for commit number `i`."""
    return _call(mode, (f"p_{one.name}[i]" if one.per_commit else f"p_{one.name}" for one in PARAMETERS))


def call_with(mode: Mode, given: Mapping[str, str]) -> str:
    """A call of `apply_commit` with an SQL expression for each of these parameters, and NULL for the others."""
    if unknown := given.keys() - {one.name for one in PARAMETERS}:
        raise ValueError(f"no such parameters: {sorted(unknown)}")
    return _call(mode, (given.get(one.name, f"NULL::{one.type_of_one}") for one in PARAMETERS))


def _call(mode: Mode, arguments: Iterable[str]) -> str:
    return f"unified_worker.apply_commit({int(mode)},\n            {_lines(arguments, 12)})"


def _lines(parts: Iterable[str], indent: int = 2) -> str:
    lines = (", ".join(line) for line in zip_longest(*[iter(parts)] * A_LINE, fillvalue=""))
    return f",\n{' ' * indent}".join(lines).rstrip(", ")
