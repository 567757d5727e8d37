"""A message on its way into the stream, and a forged one that was sent."""

from typing import NamedTuple

from relay_simulator.records import Record
from relay_simulator.truth import Truth


class Told(NamedTuple):
    """A message that has no seq yet: that of payload and truth is 0. `truth`: as in Forged."""

    name: str
    payload: Record
    truth: Truth | None
    forged: bool = False


class Forged(NamedTuple):
    """A forged message of the stream. `truth` is what a reader that verifies may take from it; None: nothing.

    `did` is the account that the message names, `kind` the name of the forgery.
    """

    frame: bytes
    seq: int
    did: str
    kind: str
    truth: Truth | None
