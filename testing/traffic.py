"""Frames of the simulator, with the model of what they say."""

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from relay_simulator.generator import Generator, Settings
from relay_simulator.mix import Mix
from relay_simulator.truth import Sent
from testing.model import Model
from testing.model.states import Verify


@dataclass(frozen=True)
class Traffic:
    """Frames of the simulator, and the model after all of them."""

    frames: tuple[bytes, ...]
    model: Model
    last_seq: int


@functools.cache
def traffic(
    events: int, *, awkward: bool = False, cheap: bool = True, seed: int = 1, accounts: int = 1_000, history: int = 50
) -> Traffic:
    """So many events of a kind; equal arguments share one result, which is not to be changed."""
    mix = Mix.awkward() if awkward else Mix.realistic()
    settings = Settings(seed=seed, accounts=accounts, mix=mix, cheap=cheap, history=history)
    return traffic_of(Generator(settings).stream(events))


def traffic_of(stream: Iterable[Sent], verify: Verify = "off") -> Traffic:
    """These frames, and the model of what they say to a worker with this VERIFY."""
    model = Model(verify=verify)
    frames: list[bytes] = []
    last_seq = 0
    for sent in stream:
        frames.append(sent.frame)
        model.apply(sent.truth)
        last_seq = max(last_seq, sent.truth.seq)
    return Traffic(tuple(frames), model, last_seq)
