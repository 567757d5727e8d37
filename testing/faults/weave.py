"""Messages of accounts of our own, woven into a stream: each with a seq and a time that fit where it stands."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from relay_simulator.shuffle import numbered
from relay_simulator.truth import Sent
from testing.authors import SECOND, START
from testing.model.protocol import instant

Made: TypeAlias = Callable[[int, float], Sent]  # out of a seq, and the seconds since the stream's beginning
A_MOMENT = 0.001  # seconds


def woven(sent: Sequence[Sent], messages: Iterable[tuple[float, Made]]) -> list[Sent]:
    """The stream with each message at its share of it. All others keep their order, and their seqs make room."""
    places = sorted(((round(share * len(sent)), make) for share, make in messages), key=lambda place: place[0])
    before = _highest(sent, [at for at, _ in places])
    out: list[Sent] = []
    done, second = 0, 0.0
    for number, ((at, make), seq) in enumerate(zip(places, before, strict=True)):
        out += [_moved(one, before) for one in sent[done:at]]
        second = max([second, *(_second(one) for one in sent[done:at])]) + A_MOMENT
        out.append(make(seq + number + 1, second))
        done = at
    return out + [_moved(one, before) for one in sent[done:]]


def _highest(sent: Sequence[Sent], places: Sequence[int]) -> list[int]:
    """The highest seq before each place."""
    found: list[int] = []
    done, highest = 0, sent[0].truth.seq - 1
    for at in places:
        highest = max([highest, *(one.truth.seq for one in sent[done:at])])
        found.append(highest)
        done = at
    return found


def _moved(sent: Sent, before: Sequence[int]) -> Sent:
    ahead = bisect_left(before, sent.truth.seq)
    return numbered(sent, sent.truth.seq + ahead) if ahead else sent


def _second(sent: Sent) -> float:
    at = instant(sent.truth.time)
    return 0.0 if at is None else at.timestamp() - START / SECOND
