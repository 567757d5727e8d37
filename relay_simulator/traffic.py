"""What happens next in the network: the dice fall by the weights of a Mix."""

import heapq
from dataclasses import fields
from itertools import accumulate

from relay_simulator.dice import Kind
from relay_simulator.messages import Messages
from relay_simulator.mix import AccountStep, Mix, Step
from relay_simulator.network import Network
from relay_simulator.plain import PlainTraffic
from relay_simulator.repository import Account
from relay_simulator.threads import Threads
from relay_simulator.troubles import Troubles


class Traffic(PlainTraffic, Threads, Messages, Troubles):
    """All kinds of events: a method for each weight of the Mix."""

    def __init__(self, network: Network, mix: Mix) -> None:
        super().__init__(network, mix)
        weights = {item.name: float(getattr(mix, item.name)) for item in fields(mix)}
        self._kinds: list[Kind] = [getattr(self, name) for name in weights]
        self._cumulative = list(accumulate(weights.values()))

    def next(self, now: int) -> Step:
        """The next event, at this instant (µs since 1970)."""
        self._count += 1
        self._network.now = now
        account, kind, hidden = self._fall()
        if not account.active and not hidden:
            account.active = True
            return AccountStep(account, active=True)  # it comes back before it writes again
        return kind(account)

    def _fall(self) -> tuple[Account, Kind, bool]:
        """Who does what, and whether even while nobody should see it: what is planned for now, else as the dice fall."""
        if self._later and self._later[0].due <= self._count:
            planned = heapq.heappop(self._later)
            if not planned.account.gone:
                return planned.account, planned.kind, planned.hidden
        return self._network.account(), self._rng.choices(self._kinds, cum_weights=self._cumulative)[0], False
