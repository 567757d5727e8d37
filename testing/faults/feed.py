"""The stream of a run: given to the relay at a pace, and only as far as the run has come."""

import asyncio
import time
from collections.abc import Sequence

from relay_simulator.server import RelayServer
from relay_simulator.truth import Sent

TICK = 0.02  # seconds
RESERVED = 0.1  # of the stream, for the time after all faults
LULL = 0.4  # seconds between two bursts


class Feed:
    """`sent` is the whole stream; `position` how far the relay has it; `allow` lets it have more."""

    def __init__(self, relay: RelayServer, sent: Sequence[Sent], rate: float) -> None:
        """`rate`: messages a second."""
        self.sent = sent
        self.position = 0
        self._relay = relay
        self._limit = 0
        self._flowed = 0.0  # when the relay last got something
        self._per_tick = max(1, int(rate * TICK))

    def allow(self, share: float) -> None:
        """Let it flow up to this share of the stream."""
        self._limit = max(self._limit, round(share * len(self.sent)))

    def more(self, messages: int, reserved: float = RESERVED) -> None:
        """Let so many more flow, whatever was allowed: for a fault that comes about by what goes by."""
        self._limit = max(self._limit, min(self.position + messages, round((1 - reserved) * len(self.sent))))

    def burst(self, messages: int, reserved: float = RESERVED) -> None:
        """The same, if nothing has flowed for a while: for who asks again and again."""
        if self.position >= self._limit and time.monotonic() - self._flowed >= LULL:
            self.more(messages, reserved)

    async def run(self) -> None:
        """Give the relay what it may have, until cancelled."""
        while True:
            for _ in range(min(self._per_tick, self._limit - self.position)):
                self._relay.append(self.sent[self.position].frame)
                self.position += 1
                self._flowed = time.monotonic()
            await asyncio.sleep(TICK)
