"""What all kinds of events are made with: the network, its dice, a plan of what comes later."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import NamedTuple, TypeAlias

from relay_simulator.composer import Composer
from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, STARTER_PACK, VERIFICATION
from relay_simulator.mix import CommitStep, Mix, Step
from relay_simulator.network import Network
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST
from relay_simulator.repository import Account, Draft, written
from relay_simulator.services import GENERATOR, LABELER, PLAY

SOON = 200  # a planned sequel comes within so many events
COLLECTIONS = {
    "like": LIKE,
    "repost": REPOST,
    "post": POST,
    "follow": FOLLOW,
    "profile": PROFILE,
    "block": BLOCK,
    "user_list": LIST,
    "list_item": LIST_ITEM,
    "list_block": LIST_BLOCK,
    "generator": GENERATOR,
    "starter_pack": STARTER_PACK,
    "labeler": LABELER,
    "verification": VERIFICATION,
    "thread_gate": THREAD_GATE,
    "post_gate": POST_GATE,
    "generic": PLAY,
}
"""By the weight of the Mix that makes such records."""

Kind: TypeAlias = Callable[[Account], Step]


class Planned(NamedTuple):
    """An event that comes when the count of events is `due`. `number` tells apart what is due together.

    `hidden`: it comes also while the account is inactive.
    """

    due: int
    number: int
    account: Account
    kind: Kind
    hidden: bool


class Dice:
    """The base of those classes whose methods, each named as a weight of the Mix, make an event of that kind for an account."""

    def __init__(self, network: Network, mix: Mix) -> None:
        self._network = network
        self._rng = network.rng
        self._composer = Composer(network)
        self._later: list[Planned] = []
        self._planned = count()
        self._count: int = 0
        self._collections = [collection for weight, collection in COLLECTIONS.items() if getattr(mix, weight)]

    def _soon(self, account: Account, kind: Kind, *, hidden: bool = False) -> None:
        due = self._count + 1 + int(self._rng.random() * SOON)
        heapq.heappush(self._later, Planned(due, next(self._planned), account, kind, hidden))

    def _any_of(self, *collections: str) -> str:
        """One of those of these collections that the Mix has; a name that stands twice has twice the chance."""
        return self._rng.choice([collection for collection in collections if collection in self._collections] or [LIKE])

    def _create(self, account: Account, collection: str) -> Step:
        return CommitStep(account, [self._composer.create(account, collection)])

    def _unnoted(self, account: Account) -> Draft:
        """A good record that nothing later refers to."""
        record = self._composer.record(account, self._any_of(LIKE, LIKE, REPOST, FOLLOW, POST, POST, BLOCK, LIST_ITEM, PLAY))
        return written("create", str(record["$type"]), self._network.key(account, record), record)
