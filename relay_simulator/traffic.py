"""What happens next in the network: the dice fall by the weights of a Mix."""

import heapq
from collections.abc import Callable
from dataclasses import fields
from itertools import accumulate, count
from typing import TypeAlias

from relay_simulator import odd
from relay_simulator.mix import AccountStep, CommitStep, IdentityStep, Mix, ResendStep, Step, SyncStep
from relay_simulator.network import Network
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST, Record
from relay_simulator.repository import Account, Draft, Written, written

MULTI_OPS = 12  # most operations in a commit of several, its deletion and profile not counted
SOON = 200  # a planned sequel comes within so many events

_Dice: TypeAlias = Callable[[Account], Step]


class Traffic:
    """Each method named as a weight of the Mix makes an event of that kind for an account."""

    def __init__(self, network: Network, mix: Mix) -> None:
        self._network = network
        self._rng = network.rng
        self._later: list[tuple[int, int, Account, _Dice]] = []
        self._planned = count()  # tells apart what is due together
        self._count = 0
        weights = {item.name: float(getattr(mix, item.name)) for item in fields(mix)}
        self._kinds: list[_Dice] = [getattr(self, name) for name in weights]
        self._cumulative = list(accumulate(weights.values()))

    def next(self, now: int) -> Step:
        """The next event, at this instant (µs since 1970)."""
        self._count += 1
        self._network.now = now
        if self._later and self._later[0][0] <= self._count:
            _, _, account, dice = heapq.heappop(self._later)
        else:
            account, dice = self._network.account(), self._rng.choices(self._kinds, cum_weights=self._cumulative)[0]
        if not account.active:
            return AccountStep(account, None)  # it comes back before it writes again
        return dice(account)

    def _soon(self, account: Account, dice: _Dice) -> None:
        due = self._count + 1 + int(self._rng.random() * SOON)
        heapq.heappush(self._later, (due, next(self._planned), account, dice))

    def _create(self, account: Account, collection: str) -> Step:
        return CommitStep(account, [self._network.create(account, collection)])

    def like(self, account: Account) -> Step:
        return self._create(account, LIKE)

    def repost(self, account: Account) -> Step:
        return self._create(account, REPOST)

    def post(self, account: Account) -> Step:
        return self._create(account, POST)

    def follow(self, account: Account) -> Step:
        return self._create(account, FOLLOW)

    def profile(self, account: Account) -> Step:
        return self._create(account, PROFILE)

    def other(self, account: Account) -> Step:
        return self._create(account, "other")

    def delete(self, account: Account) -> Step:
        found = self._network.writer()
        if found is None:
            return self.unknown_delete(account)
        writer, record = found
        return CommitStep(writer, [self._network.delete(writer, record)])

    def update(self, account: Account) -> Step:
        found = self._network.writer(POST)
        if found is None:
            return self.profile(account)
        writer, record = found
        return CommitStep(writer, [written("update", POST, record.rkey, self._network.record(POST))])

    def several(self, account: Account) -> Step:
        drafts = [
            self._network.create(account, self._rng.choice((LIKE, LIKE, POST, FOLLOW, REPOST, "other")))
            for _ in range(self._rng.randint(2, MULTI_OPS))
        ]
        old = [record for record in account.records if all(record.rkey != draft.rkey for draft in drafts)]
        if old and self._rng.random() < 0.5:
            drafts.append(self._network.delete(account, self._rng.choice(old)))
        if self._rng.random() < 0.2:
            drafts.append(self._network.create(account, PROFILE))
        self._rng.shuffle(drafts)
        return CommitStep(account, drafts)

    def identity(self, account: Account) -> Step:
        return IdentityStep(account)

    def account(self, account: Account) -> Step:
        if self._rng.random() < 0.5:
            return AccountStep(account, None)
        self._soon(account, self.account)
        return AccountStep(account, self._rng.choice(("deactivated", "suspended", "takendown")))

    def sync(self, account: Account) -> Step:
        return SyncStep(account)

    def toggle(self, account: Account) -> Step:
        """Create a like, repost or follow; soon delete it, soon create it again under the same key."""
        record = self._network.record(self._rng.choice((LIKE, REPOST, FOLLOW)))
        draft = written("create", str(record["$type"]), self._network.rkey(account), record)

        def again(account: Account) -> Step:
            return CommitStep(account, [draft])

        def gone(account: Account) -> Step:
            self._soon(account, again)
            return CommitStep(account, [Draft("delete", draft.collection, draft.rkey)])

        self._soon(account, gone)
        return CommitStep(account, [draft])

    def early_update(self, account: Account) -> Step:
        collection = self._rng.choice((LIKE, REPOST, FOLLOW, POST, PROFILE))
        record = self._network.record(collection)
        rkey = "self" if collection == PROFILE else self._network.rkey(account)
        draft = written("update", collection, rkey, record)
        if self._rng.random() < 0.5:

            def late(account: Account) -> Step:
                return CommitStep(account, [draft._replace(action="create")])

            self._soon(account, late)
        return CommitStep(account, [draft])

    def duplicate(self, account: Account) -> Step:
        found = self._network.writer(LIKE, REPOST, FOLLOW)
        if found is None:
            return self.like(account)
        writer, record = found
        twin = self._network.record(record.collection)
        twin["subject"] = record.subject
        when = self._rng.random()
        if when < 0.3:
            twin["createdAt"] = "2023-01-01T00:00:00.000Z"  # older than the first, and than other twins or equal to them
        elif when < 0.5:
            del twin["createdAt"]
        return CommitStep(writer, [self._network.write(writer, twin)])

    def move(self, account: Account) -> Step:
        found = self._network.writer(LIKE, REPOST, FOLLOW)
        if found is None:
            return self.like(account)
        writer, old = found
        record = self._network.record(old.collection)
        peers = [peer.subject for peer in writer.records if peer.collection == old.collection]
        if self._rng.random() < 0.4:
            record["subject"] = self._rng.choice(peers)  # perhaps onto a subject that another record of theirs has
        writer.records[writer.records.index(old)] = Written(old.collection, old.rkey, record["subject"])
        return CommitStep(writer, [written("update", old.collection, old.rkey, record)])

    def profile_cycle(self, account: Account) -> Step:
        if not account.has_profile:
            self._soon(account, self.profile_cycle)
            return self.profile(account)
        account.has_profile = False
        if self._rng.random() < 0.7:
            self._soon(account, self.profile)
        return CommitStep(account, [Draft("delete", PROFILE, "self")])

    def unknown_delete(self, account: Account) -> Step:
        if account.history:
            collection, rkey = self._rng.choice(account.history).split("/")
            return CommitStep(account, [Draft("delete", collection, rkey)])
        return CommitStep(account, [Draft("delete", self._rng.choice((LIKE, POST, FOLLOW)), self._network.rkey(account))])

    def resend(self, account: Account) -> Step:
        return ResendStep(int(self._rng.random() * SOON))

    def stale(self, account: Account) -> Step:
        found = self._network.writer()
        writer = found[0] if found else account
        return CommitStep(writer, [self._unnoted(writer)], "stale")

    def future(self, account: Account) -> Step:
        return CommitStep(account, [self._unnoted(account)], "future")

    def too_big(self, account: Account) -> Step:
        return CommitStep(account, [], "too_big")

    def missing_block(self, account: Account) -> Step:
        drafts = [self._unnoted(account) for _ in range(self._rng.randint(1, 3))]
        drafts[0] = drafts[0]._replace(fault="block_missing", record=None, block=None)
        return CommitStep(account, drafts)

    def odd(self, account: Account) -> Step:
        """A strange record alone, or an update of an older one, or beside good ones."""
        chance = self._rng.random()
        if chance < 0.1:
            return CommitStep(account, [odd.bad_block(self._rng, LIKE, self._network.rkey(account)), self._unnoted(account)])
        record = self._network.record(self._rng.choice((LIKE, REPOST, POST, POST, FOLLOW, PROFILE)))
        collection = str(record["$type"])
        odd.change(self._rng, record)
        if collection == PROFILE:
            rkey = "self" if self._rng.random() < 0.9 else self._network.rkey(account)
            return CommitStep(account, [written("update", PROFILE, rkey, record)])
        found = self._network.writer(collection) if chance < 0.4 else None
        if found is not None:
            return CommitStep(found[0], [written("update", collection, found[1].rkey, record)])
        drafts = [written("create", collection, self._network.rkey(account), record)]
        if chance > 0.8:
            drafts.append(self._unnoted(account))
        return CommitStep(account, drafts)

    def huge(self, account: Account) -> Step:
        return CommitStep(account, [odd.huge(self._rng, self._network.record(POST), self._network.rkey(account))])

    def _unnoted(self, account: Account) -> Draft:
        """A good record that nothing later refers to."""
        record: Record = self._network.record(self._rng.choice((LIKE, REPOST, FOLLOW, POST)))
        return written("create", str(record["$type"]), self._network.rkey(account), record)
