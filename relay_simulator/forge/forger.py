"""A generator's stream with forgeries in it.

for sent in Forger(Generator(settings), ["own-key"], every=100).stream(5_000): sent.frame
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import cycle

from relay_simulator.encoding import frame
from relay_simulator.forge.kinds import KINDS
from relay_simulator.forge.scene import NoVictim, Scene
from relay_simulator.forge.told import Forged, Told
from relay_simulator.generator import Generator
from relay_simulator.truth import Sent


class Forger:
    """Forges once after so many events of the generator, the kinds in turn, with honest commits around where a kind needs them.

    `tell` is called with each forged message. What the generator makes stays as it is. A kind for which no account is fit yet
    waits for its next turn. Raises ValueError for a generator without trees, and for a kind that is none.
    """

    def __init__(
        self,
        generator: Generator,
        kinds: Sequence[str],
        every: int = 100,
        tell: Callable[[Forged], object] = lambda forged: None,
    ) -> None:
        if generator.settings.cheap:
            raise ValueError("what has no trees and no signatures can't be forged")
        if unknown := set(kinds) - set(KINDS):
            raise ValueError(f"no such forgeries: {', '.join(sorted(unknown))}")
        self.scene = Scene(generator)
        self._generator = generator
        self._turns = cycle(kinds)
        self._every = every
        self._tell = tell
        self._count = 0
        self._waiting: deque[Sent | Forged] = deque()

    def stream(self, events: int) -> Iterator[Sent | Forged]:
        """The generator's next so many events, and what is forged between them."""
        for sent in self._generator.stream(events):
            yield sent
            yield from self._due()

    def event(self, at: datetime) -> Sent | Forged:
        """The next message, at this moment."""
        if not self._waiting:
            self._waiting.append(self._generator.event(at))
            self._waiting.extend(self._due())
        return self._waiting.popleft()

    def forge(self, kind: str) -> Iterator[Sent | Forged]:
        """One forgery of this kind now, with the honest messages around it."""
        with contextlib.suppress(NoVictim):
            for told in KINDS[kind](self.scene):
                yield self._numbered(told, kind)

    def _due(self) -> Iterator[Sent | Forged]:
        self._count += 1
        if self._count % self._every == 0:
            yield from self.forge(next(self._turns))

    def _numbered(self, told: Told, kind: str) -> Sent | Forged:
        seq = self._generator.next_seq()
        truth = told.truth and told.truth._replace(seq=seq)
        message = frame(told.name, told.payload | {"seq": seq})
        if told.forged or truth is None:
            forged = Forged(message, seq, str(told.payload.get("repo", told.payload.get("did"))), kind, truth)
            self._tell(forged)
            return forged
        return Sent(message, truth)
