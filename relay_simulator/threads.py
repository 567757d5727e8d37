"""What people do among themselves: authors who like the answers, gates and those they admit, acts upon oneself."""

from collections.abc import Sequence

from relay_simulator import graph, records
from relay_simulator.dice import Dice
from relay_simulator.graph import LIST, LIST_ITEM
from relay_simulator.mix import CommitStep, Step
from relay_simulator.records import LIKE, POST, Record, mention
from relay_simulator.repository import Account, Written

_A_YEAR_AGO = "2025-07-01T00:00:00.000Z"


class Threads(Dice):
    """Events in which several accounts meet."""

    def author_like(self, account: Account) -> Step:
        """Where the luck is: a reply that is being looked at, by someone else, of whose thread the author has acted."""
        for _ in range(20):
            known = self._network.known()
            author = self._network.named(known.root.uri.split("/")[2])
            if known.root != known.ref and author is not None and author.active:
                return self._write(author, self._composer.like(author, known.ref))
        return self._create(account, LIKE)

    def self_act(self, account: Account) -> Step:
        found = self._network.writer(POST)
        if found is None:
            return self._create(account, POST)
        author, post = found
        known = self._network.known_of(author.did, post.rkey)
        if known is None:
            return self._create(account, POST)
        record = self._rng.choice(
            (
                self._composer.like(author, known.ref),
                self._composer.repost(author, known.ref),
                self._composer.answer(known, None),
                self._composer.answer(None, known.ref),
            )
        )
        return self._write(author, record)

    def foreign_item(self, account: Account) -> Step:
        other = self._network.seen(LIST)
        if other is None:
            return self._create(account, LIST)
        record = graph.list_item(self._network.created(), other.uri, self._network.any_did())
        return self._write(account, record)

    def gated_thread(self, account: Account) -> Step:
        """A post; soon, in any order, its gates, perhaps twice, whom they let in, replies and quotes by these and others."""
        record = self._composer.post(account)
        guests = [self._network.account() for _ in range(4)]
        if self._rng.random() < 0.5:
            mention(record, guests[0].did)
        draft = self._network.write(account, record)
        post = self._network.known_of(account.did, draft.rkey)
        if post is None:
            raise ValueError("a post that was written just now is known")
        self._admit(account, guests[1:3])
        for _ in range(self._rng.choice((1, 1, 2))):
            self._soon(account, lambda author: self._write(author, self._composer.thread_gate(author, post.ref.uri)))
        if self._rng.random() < 0.6:
            self._soon(account, lambda author: self._write(author, self._composer.post_gate(post.ref.uri)))
        for guest in (*guests, account):
            self._soon(guest, lambda replier: self._write(replier, self._composer.answer(post, None)))
            if self._rng.random() < 0.4:
                self._soon(guest, lambda quoter: self._write(quoter, self._composer.answer(None, post.ref)))
        return CommitStep(account, [draft])

    def _admit(self, account: Account, guests: Sequence[Account]) -> None:
        """The account follows one of them soon, or lists him, and perhaps thinks better of it later."""

        def follow(author: Account) -> Step:
            return self._write(author, records.follow(self._when(), self._rng.choice(guests).did))

        def enlist(author: Account) -> Step:
            uri = self._composer.own_list(author)
            return self._write(author, graph.list_item(self._when(), uri, self._rng.choice(guests).did))

        def regret(author: Account) -> Step:
            admitted: list[Written] = author.own(records.FOLLOW) + author.own(LIST_ITEM)
            if not admitted:
                return self._create(author, LIKE)
            return CommitStep(author, [self._network.delete(author, self._rng.choice(admitted))])

        self._soon(account, follow)
        self._soon(account, enlist)
        if self._rng.random() < 0.3:
            self._soon(account, regret)

    def _when(self) -> str:
        """Now, or long before the replies."""
        return self._network.created() if self._rng.random() < 0.5 else _A_YEAR_AGO

    def _write(self, account: Account, record: Record) -> Step:
        return CommitStep(account, [self._network.write(account, record)])
