"""How much may be asked of each host now. Pure: the time is handed in, as seconds of any clock.

A host that says that it is asked too much is not asked for a while: that is no failure, and costs no repo an attempt. One that
fails is asked less at once, one that answers again is asked more, step by step.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple
from weakref import WeakValueDictionary

from unified_indexer.backfill.rates import Rate

MOST_AT_ONCE = 64  # fetches, all hosts together
MOST_AT_A_HOST = 10
STARTS_A_SECOND = 8.0  # at a host; a PDS allows 20
MOST_AT_AN_ADDRESS = 20  # of however many names: who has a domain can make a hundred thousand hosts of one server
STARTS_AT_AN_ADDRESS = 20.0  # a second
GOOD_IN_A_ROW = 50  # until one more at once
BAD_IN_A_ROW = 2  # until half as many
FIRST_PARK = 60.0  # seconds, where a host does not say how long
MOST_PARK = 330.0  # seconds at first: a PDS counts over 300
LONGEST_PARK = 3600.0  # seconds: it doubles up to this while nothing else is heard
FEW_LEFT = 0.1  # of the limit: then the rest is spread over the time until there is more
MOST_HOSTS = 20_000  # of which is known how they fare


class Outcome(Enum):
    """How a fetch ended, as far as the host's pace is concerned."""

    ANSWERED = "an answer, whatever it said"
    OVERLOADED = "5xx, time-out, no connection"
    LIMITED = "asked too much, it says"


class Parked(NamedTuple):
    """For how many seconds a host is not asked, and whether that is because it said so (`limited`) or failed (`overloaded`)."""

    seconds: float
    why: str


@dataclass(slots=True, weakref_slot=True)
class _Address:
    """What all hosts at an address have under way."""

    in_flight: int = 0
    next_start: float = 0.0


@dataclass(slots=True)
class _Host:
    most: int
    address: _Address
    located: bool = False
    in_flight: int = 0
    good: int = 0
    bad: int = 0
    parks: int = 0  # in a row
    parked_until: float = 0.0
    limited: bool = False  # it is parked because it said so
    next_start: float = 0.0

    @property
    def starts(self) -> float:
        """When the next fetch may begin."""
        return max(self.next_start, self.address.next_start)


class Paces:
    """All hosts. `most_at_a_host`: fetches at once. `sharers`: workers that fetch side by side; all together they ask a host no
    more than one would, but each has one fetch at least."""

    def __init__(self, most_at_a_host: int = MOST_AT_A_HOST, most_at_once: int = MOST_AT_ONCE, *, sharers: int = 1) -> None:
        self._hosts: dict[str, _Host] = {}
        self._addresses: WeakValueDictionary[str, _Address] = WeakValueDictionary()
        self._sharers = sharers
        self._most_at_a_host = max(1, most_at_a_host // sharers)
        self._most_at_once = most_at_once
        self._in_flight = 0
        self._last = ""

    @property
    def in_flight(self) -> int:
        """How many fetches are under way."""
        return self._in_flight

    def room(self, host: str, now: float) -> int:
        """How many fetches may be begun at a host, soon at least: none while it is parked."""
        known = self._hosts.get(host)
        if known is None:
            return min(self._most_at_a_host, self._most_at_once - self._in_flight)
        if known.parked_until > now:
            return 0
        here = max(1, MOST_AT_AN_ADDRESS // self._sharers) - known.address.in_flight
        return max(0, min(known.most - known.in_flight, here, self._most_at_once - self._in_flight))

    def parked(self, host: str, now: float) -> float:
        """For how many seconds a host is not asked; 0 if it may be."""
        known = self._hosts.get(host)
        return 0.0 if known is None else max(0.0, known.parked_until - now)

    def parked_hosts(self, now: float) -> dict[str, Parked]:
        """All that are not asked."""
        return {
            name: Parked(host.parked_until - now, "limited" if host.limited else "overloaded")
            for name, host in self._hosts.items()
            if host.parked_until > now
        }

    def states(self, now: float) -> dict[str, int]:
        """How many hosts are asked as usual (`free`), less at once because they failed (`slowed`), or not at all (`parked`)."""
        found = {"free": 0, "slowed": 0, "parked": 0}
        for host in self._hosts.values():
            found["parked" if host.parked_until > now else "slowed" if host.most < self._most_at_a_host else "free"] += 1
        return found

    def is_located(self, host: str) -> bool:
        """Whether it is known at which address a host is."""
        known = self._hosts.get(host)
        return known is not None and known.located

    def lies_at(self, host: str, address: str | None) -> None:
        """A host is at this address, and shares its pace with the others there. None: it is asked at its own."""
        known = self._host(host)
        if known.located or known.in_flight:
            return
        known.located = True
        if address is not None:
            known.address = self._addresses.setdefault(address, known.address)

    def choose(self, hosts: Collection[str], now: float) -> str | None:
        """The host of these whose turn it is: each in its turn, in the order of their names. None if none may be asked now."""
        ready = [host for host in hosts if self.room(host, now) and self._host(host).starts <= now]
        return min(ready, key=lambda host: (host <= self._last, host), default=None)

    def soonest(self, hosts: Collection[str], now: float) -> float | None:
        """In how many seconds one of these may be asked, as far as time alone holds it back; None if others must end first."""
        times = [self._host(host).starts - now for host in hosts if self.room(host, now)]
        return max(0.0, min(times)) if times else None

    def begin(self, host: str, now: float) -> None:
        """A fetch begins."""
        known = self._host(host)
        known.in_flight += 1
        known.next_start = max(known.next_start, now + self._sharers / STARTS_A_SECOND)
        known.address.in_flight += 1
        known.address.next_start = max(known.address.next_start, now + self._sharers / STARTS_AT_AN_ADDRESS)
        self._in_flight += 1
        self._last = host

    def end(self, host: str) -> None:
        """A fetch is over, and its turn free."""
        known = self._hosts[host]
        known.in_flight -= 1
        known.address.in_flight -= 1
        self._in_flight -= 1

    def heard(self, host: str, outcome: Outcome, now: float, rate: Rate | None = None) -> None:
        """What came of a fetch. `rate`: what the host's headers said."""
        known, rate = self._host(host), rate or Rate()
        if outcome is Outcome.LIMITED:
            if known.parked_until <= now:  # those that were under way already tell nothing new
                self._park(known, now, rate.wait if rate.wait is not None else rate.reset, limited=True)
            return
        if outcome is Outcome.OVERLOADED:
            known.good, known.bad = 0, known.bad + 1
            if known.bad % BAD_IN_A_ROW == 0:
                if known.most == 1 and known.parked_until <= now:
                    self._park(known, now, None, limited=False)
                known.most = max(1, known.most // 2)
            return
        known.bad, known.parks, known.good = 0, 0, known.good + 1
        if known.good % GOOD_IN_A_ROW == 0:
            known.most = min(self._most_at_a_host, known.most + 1)
        if rate.left is not None and rate.reset is not None and rate.left <= max(known.in_flight, FEW_LEFT * (rate.limit or 0)):
            known.next_start = max(known.next_start, now + min(rate.reset, MOST_PARK) / (rate.left + 1))

    def _park(self, host: _Host, now: float, asked: float | None, *, limited: bool) -> None:
        host.limited = limited
        longest = min(LONGEST_PARK, MOST_PARK * 2**host.parks)
        host.parked_until = now + min(longest, max(1.0, FIRST_PARK * 2**host.parks if asked is None else asked))
        host.parks = min(host.parks + 1, 10)

    def _host(self, name: str) -> _Host:
        known = self._hosts.get(name)
        if known is None:
            if len(self._hosts) >= MOST_HOSTS:
                self._forget()
            known = self._hosts[name] = _Host(self._most_at_a_host, _Address())
        return known

    def _forget(self) -> None:
        """Drops the older half of those at which nothing is under way."""
        for name in [name for name, host in self._hosts.items() if not host.in_flight][: MOST_HOSTS // 2]:
            del self._hosts[name]
