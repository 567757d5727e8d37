"""Events that a reader must survive: repetitions, lost order, duplicates, broken records."""

from relay_simulator import odd
from relay_simulator.dice import Dice
from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, STARTER_PACK, VERIFICATION
from relay_simulator.mix import CommitStep, ResendStep, Step
from relay_simulator.network import SINGLE, UNIQUE_FIELDS
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST, mention
from relay_simulator.repository import Account, Draft, Written, written
from relay_simulator.services import GENERATOR, LABELER, PLAY

RESENT_WITHIN = 200  # events
LONGEST_URI = 512  # characters that a column for URIs takes
_EARLY = (LIKE, REPOST, FOLLOW, POST, PROFILE, BLOCK, LIST, LIST_ITEM, GENERATOR, LABELER, VERIFICATION, THREAD_GATE, POST_GATE)
_ODD = (
    LIKE,
    LIKE,
    REPOST,
    REPOST,
    POST,
    POST,
    POST,
    POST,
    FOLLOW,
    FOLLOW,
    PROFILE,
    PROFILE,
    BLOCK,
    LIST,
    LIST_ITEM,
    LIST_BLOCK,
)


class Troubles(Dice):
    """What goes wrong, or looks as if it did."""

    def toggle(self, account: Account) -> Step:
        """Create a record with a unique key; soon delete it, soon create it again under the same key."""
        record = self._composer.record(account, self._any_of(LIKE, REPOST, FOLLOW, BLOCK, LIST_ITEM, VERIFICATION))
        draft = written("create", str(record["$type"]), self._network.rkey(account), record)

        def again(account: Account) -> Step:
            return CommitStep(account, [draft])

        def gone(account: Account) -> Step:
            self._soon(account, again)
            return CommitStep(account, [Draft("delete", draft.collection, draft.rkey)])

        self._soon(account, gone)
        return CommitStep(account, [draft])

    def early_update(self, account: Account) -> Step:
        record = self._composer.record(account, self._any_of(*_EARLY))
        draft = written("update", str(record["$type"]), self._network.key(account, record), record)
        if self._rng.random() < 0.5:

            def late(account: Account) -> Step:
                return CommitStep(account, [draft._replace(action="create")])

            self._soon(account, late)
        return CommitStep(account, [draft])

    def duplicate(self, account: Account) -> Step:
        found = self._network.writer(*UNIQUE_FIELDS)
        if found is None:
            return self._create(account, LIKE)
        writer, record = found
        twin = {**self._composer.record(writer, record.collection), **record.key}
        when = self._rng.random()
        if when < 0.3:
            twin["createdAt"] = "2023-01-01T00:00:00.000Z"  # older than the first, and than other twins or equal to them
        elif when < 0.5:
            del twin["createdAt"]
        return CommitStep(writer, [self._network.write(writer, twin)])

    def move(self, account: Account) -> Step:
        found = self._network.writer(*UNIQUE_FIELDS)
        if found is None:
            return self._create(account, LIKE)
        writer, old = found
        record = self._composer.record(writer, old.collection)
        if self._rng.random() < 0.4:
            record.update(self._rng.choice(writer.own(old.collection)).key)  # perhaps one that another record of theirs has
        key = {name: record[name] for name in old.key}
        writer.records[writer.records.index(old)] = Written(old.collection, old.rkey, key)
        return CommitStep(writer, [written("update", old.collection, old.rkey, record)])

    def profile_cycle(self, account: Account) -> Step:
        if PROFILE not in account.singles:
            self._soon(account, self.profile_cycle)
            return self._create(account, PROFILE)
        account.singles.remove(PROFILE)
        if self._rng.random() < 0.7:
            self._soon(account, lambda account: self._create(account, PROFILE))
        return CommitStep(account, [Draft("delete", PROFILE, "self")])

    def unknown_delete(self, account: Account) -> Step:
        if account.history:
            collection, rkey = self._rng.choice(account.history).split("/")
            return CommitStep(account, [Draft("delete", collection, rkey)])
        collection = self._any_of(*_EARLY, PLAY)
        rkey = "self" if collection in SINGLE and self._rng.random() < 0.5 else self._network.rkey(account)
        return CommitStep(account, [Draft("delete", collection, rkey)])

    def old_delete(self, account: Account) -> Step:
        if not account.history:
            return self._create(account, LIKE)
        place = self._rng.randrange(len(account.history))
        collection, rkey = account.history[place].split("/")
        account.history = (*account.history[:place], *account.history[place + 1 :])
        return CommitStep(account, [Draft("delete", collection, rkey)])

    def resend(self, account: Account) -> Step:
        return ResendStep(int(self._rng.random() * RESENT_WITHIN))

    def stale(self, account: Account) -> Step:
        found = self._network.writer()
        writer = found[0] if found else account
        return CommitStep(writer, [self._unnoted(writer)], "stale")

    def future(self, account: Account) -> Step:
        return CommitStep(account, [self._unnoted(account)], "future")

    def too_big(self, account: Account) -> Step:
        return CommitStep(account, [], "too_big")

    def missing_block(self, account: Account) -> Step:
        first, *others = [self._unnoted(account) for _ in range(self._rng.randint(1, 3))]
        missing = first._replace(fault="block_missing", record=None)
        # A record named 'self' may come twice, and an equal one brings the block along.
        others = [draft for draft in others if draft.path != first.path and draft.cid != first.cid]
        return CommitStep(account, [missing, *others])

    def odd(self, account: Account) -> Step:
        """A strange record alone, or an update of an older one, or beside good ones."""
        chance = self._rng.random()
        if chance < 0.1:
            return CommitStep(account, [odd.bad_block(self._rng, LIKE, self._network.rkey(account)), self._unnoted(account)])
        if chance < 0.15:
            return CommitStep(account, [self._long(account)])
        collection = self._any_of(*_ODD, GENERATOR, STARTER_PACK, LABELER, VERIFICATION, THREAD_GATE, POST_GATE, PLAY)
        found = self._network.writer(collection) if chance < 0.4 else None
        if found is not None:
            writer, old = found
            record = self._composer.rewritten(writer, collection, old.rkey)
            odd.change(self._rng, record)
            return CommitStep(writer, [written("update", collection, old.rkey, record)])
        record = self._composer.record(account, collection)
        collection, rkey = str(record["$type"]), self._network.key(account, record)
        odd.change(self._rng, record)
        if collection in SINGLE:
            rkey = rkey if chance < 0.9 else self._network.rkey(account)
            return CommitStep(account, [written("update", collection, rkey, record)])
        drafts = [written("create", collection, rkey, record)]
        if chance > 0.8:
            drafts.append(self._unnoted(account))
        return CommitStep(account, drafts)

    def _long(self, account: Account) -> Draft:
        """A record whose URI fills its column, or nearly, so that those of what follows have no room; or is too long."""
        known = self._network.known()
        answer = self._composer.answer(known, known.ref)
        mention(answer, self._network.any_did())
        like = self._composer.like(account, known.ref, self._network.seen(REPOST))
        record = self._rng.choice(
            (answer, answer, like, self._composer.repost(account), self._composer.record(account, FOLLOW))
        )
        collection = str(record["$type"])
        rkey = self._network.rkey(account)
        room = LONGEST_URI - len(f"at://{account.did}/{collection}/{rkey}") - self._rng.randrange(-2, 80)
        return written("create", collection, rkey + "r" * room, record)

    def huge(self, account: Account) -> Step:
        return CommitStep(account, [odd.huge(self._rng, self._composer.record(account, POST), self._network.rkey(account))])
