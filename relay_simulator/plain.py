"""Ordinary events: records of every type, deletions, updates, commits of several."""

from relay_simulator.dice import Dice
from relay_simulator.gates import POST_GATE, THREAD_GATE
from relay_simulator.graph import BLOCK, LIST, LIST_BLOCK, LIST_ITEM, STARTER_PACK, VERIFICATION
from relay_simulator.mix import CommitStep, Step
from relay_simulator.records import FOLLOW, LIKE, POST, PROFILE, REPOST
from relay_simulator.repository import Account, Draft, written
from relay_simulator.services import GENERATOR, LABELER, PLAY

MULTI_OPS = 12  # most operations in a commit of several, its deletion and profile not counted
UPDATED = (POST, LIST, GENERATOR, STARTER_PACK, THREAD_GATE, POST_GATE, PLAY)


class PlainTraffic(Dice):
    """What an untroubled network does."""

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

    def block(self, account: Account) -> Step:
        return self._create(account, BLOCK)

    def user_list(self, account: Account) -> Step:
        return self._create(account, LIST)

    def list_item(self, account: Account) -> Step:
        found = self._network.writer(LIST)
        return self._create(found[0] if found else account, LIST_ITEM)

    def list_block(self, account: Account) -> Step:
        return self._create(account, LIST_BLOCK)

    def generator(self, account: Account) -> Step:
        return self._create(account, GENERATOR)

    def starter_pack(self, account: Account) -> Step:
        return self._create(account, STARTER_PACK)

    def labeler(self, account: Account) -> Step:
        return self._create(account, LABELER)

    def verification(self, account: Account) -> Step:
        return self._create(account, VERIFICATION)

    def thread_gate(self, account: Account) -> Step:
        return self._gate(account, THREAD_GATE)

    def post_gate(self, account: Account) -> Step:
        return self._gate(account, POST_GATE)

    def _gate(self, account: Account, collection: str) -> Step:
        """With the post in one commit, as clients write it, or for one that is there, where it may be the second."""
        found = self._network.writer(POST)
        if found is not None and self._rng.random() < 0.5:
            return self._create(found[0], collection)
        post = self._composer.create(account, POST)
        record = self._composer.record(account, collection)
        record["post"] = f"at://{account.did}/{post.path}"
        drafts = [post, self._network.write(account, record)]
        self._rng.shuffle(drafts)
        return CommitStep(account, drafts)

    def generic(self, account: Account) -> Step:
        return self._create(account, PLAY)

    def delete(self, account: Account) -> Step:
        if account.singles and self._rng.random() < 0.1:
            collection = self._rng.choice(sorted(account.singles))
            account.singles.remove(collection)
            return CommitStep(account, [Draft("delete", collection, "self")])
        found = self._network.writer()
        if found is None:
            return self._create(account, LIKE)
        writer, record = found
        return CommitStep(writer, [self._network.delete(writer, record)])

    def update(self, account: Account) -> Step:
        found = self._network.writer(*(UPDATED if self._rng.random() < 0.5 else (POST,)))
        if found is None:
            return self._create(account, self._any_of(PROFILE, LABELER))
        writer, record = found
        changed = self._composer.rewritten(writer, record.collection, record.rkey)
        return CommitStep(writer, [written("update", record.collection, record.rkey, changed)])

    def several(self, account: Account) -> Step:
        collections = (LIKE, LIKE, LIKE, POST, POST, FOLLOW, FOLLOW, REPOST, BLOCK, LIST, LIST_ITEM, VERIFICATION, PLAY)
        drafts = [self._composer.create(account, self._any_of(*collections)) for _ in range(self._rng.randint(2, MULTI_OPS))]
        old = [record for record in account.records if all(record.rkey != draft.rkey for draft in drafts)]
        if old and self._rng.random() < 0.5:
            drafts.append(self._network.delete(account, self._rng.choice(old)))
        if self._rng.random() < 0.2 and all(draft.rkey != "self" for draft in drafts):
            drafts.append(self._composer.create(account, PROFILE))
        first = {draft.path: draft for draft in reversed(drafts)}  # a record named 'self' may come twice, a commit has it once
        self._rng.shuffle(drafts)
        return CommitStep(account, [draft for draft in drafts if first[draft.path] is draft])
