"""A stream in another order, that the relay might as well have sent: only within one repo is there an order to keep."""

from collections import defaultdict, deque
from collections.abc import Sequence
from random import Random
from typing import Any, cast

import libipld

from relay_simulator.encoding import encode
from relay_simulator.truth import Sent


def shuffled(stream: Sequence[Sent], rng: Random, *, within: int) -> list[Sent]:
    """The stream with its repos' events mixed anew, those of so many successive events at a time, and seqs that rise again.

    What was sent again still is: with the seq that it has got.
    """
    mixed: list[Sent] = []
    for first in range(0, len(stream), within):
        mixed += _mixed(stream[first : first + within], rng)
    seqs = iter(sorted({sent.truth.seq for sent in stream}))
    renumbered: dict[int, Sent] = {}
    for sent in mixed:
        if sent.truth.seq not in renumbered:
            renumbered[sent.truth.seq] = numbered(sent, next(seqs))
    return [renumbered[sent.truth.seq] for sent in mixed]


def replayed(stream: Sequence[Sent], rng: Random, *, times: int, longest: int) -> list[Sent]:
    """The stream with so many stretches of it sent a second time, each right after its end."""
    ends = sorted(rng.randrange(len(stream)) for _ in range(times))
    again: list[Sent] = []
    for begin, end in zip([0, *ends], [*ends, len(stream)], strict=True):
        again += stream[begin:end]
        again += stream[max(0, end - rng.randrange(longest)) : end] if end < len(stream) else []
    return again


def _mixed(stretch: Sequence[Sent], rng: Random) -> list[Sent]:
    queues: defaultdict[str, deque[Sent]] = defaultdict(deque)
    for sent in stretch:
        queues[sent.truth.did].append(sent)
    turns = [sent.truth.did for sent in stretch]
    rng.shuffle(turns)
    return [queues[did].popleft() for did in turns]


def numbered(sent: Sent, seq: int) -> Sent:
    """The same message with another seq."""
    header, payload = cast("list[dict[str, Any]]", libipld.decode_dag_cbor_multi(sent.frame))
    return Sent(encode(header) + encode({**payload, "seq": seq}), sent.truth._replace(seq=seq))
