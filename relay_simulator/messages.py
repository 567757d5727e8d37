"""Messages about accounts: #identity, #account, #sync, and what an account writes while nobody should see it."""

from relay_simulator.dice import Dice
from relay_simulator.mix import AccountStep, CommitStep, IdentityStep, Step, SyncStep
from relay_simulator.records import LIKE
from relay_simulator.repository import Account

HIDING = ("deactivated", "suspended", "takendown")
VISIBLE = ("throttled", "desynchronized", "sleeping")  # the last is none that a reader knows


class Messages(Dice):
    """Everything that is no commit."""

    def identity(self, account: Account) -> Step:
        return IdentityStep(account, account.handle)

    def handle_change(self, account: Account) -> Step:
        account.handle = f"user{account.number}-{self._rng.randrange(100)}.simulator.test"
        return IdentityStep(account, account.handle.upper() if self._rng.random() < 0.2 else account.handle)

    def handle_lost(self, account: Account) -> Step:
        if self._rng.random() < 0.5:
            self._soon(account, self.identity)
        return IdentityStep(account, self._rng.choice(("handle.invalid", "Handle.Invalid", "not a handle", "")))

    def handle_taken(self, account: Account) -> Step:
        """The handle of another, who may get it back."""
        found = self._network.writer()
        other = found[0] if found else self._network.account()
        if self._rng.random() < 0.5:
            self._soon(other, self.identity)
        account.handle = other.handle
        return IdentityStep(account, account.handle)

    def handle_missing(self, account: Account) -> Step:
        return IdentityStep(account, None)

    def account(self, account: Account) -> Step:
        if self._rng.random() < 0.5:
            return self._seen(account)
        self._soon(account, self._seen)
        return self._unseen(account, self._rng.choice(HIDING))

    def account_deleted(self, account: Account) -> Step:
        """Gone with all that it wrote."""
        account = self._any_writer(account)
        return self._delete(account) if self._network.let_go(account) else self._seen(account)

    def account_returned(self, account: Account) -> Step:
        """Gone with all that it wrote; but soon it comes back, and writes again."""
        account = self._any_writer(account)
        self._soon(account, self._seen)
        for _ in range(3):
            self._soon(account, lambda author: self._create(author, self._any_of(*self._collections)))
        return self._delete(account)

    def _any_writer(self, account: Account) -> Account:
        """One that has written something lately; this one if there is none."""
        found = self._network.writer()
        return found[0] if found else account

    def _delete(self, account: Account) -> Step:
        account.records.clear()
        account.singles.clear()
        return self._unseen(account, "deleted")

    def account_odd(self, account: Account) -> Step:
        if self._rng.random() < 0.2:
            self._soon(account, self._seen)
            account.active = False
            return AccountStep(account, active=False)
        return AccountStep(account, self._rng.random() < 0.3, self._rng.choice(VISIBLE))

    def inactive_commit(self, account: Account) -> Step:
        """Now nobody sees it; soon it writes nevertheless, and soon somebody may see it again."""
        account = self._any_writer(account)
        for _ in range(3):
            self._soon(account, self._write_unseen, hidden=True)
        self._soon(account, self._seen)
        return self._unseen(account, self._rng.choice(HIDING))

    def _write_unseen(self, account: Account) -> Step:
        if self._rng.random() < 0.2:
            return SyncStep(account)
        if account.records and self._rng.random() < 0.4:
            return CommitStep(account, [self._network.delete(account, self._rng.choice(account.records))])
        return self._create(account, self._any_of(*self._collections) if self._rng.random() < 0.7 else LIKE)

    def sync(self, account: Account) -> Step:
        return SyncStep(account)

    def _seen(self, account: Account) -> Step:
        account.active = True
        return AccountStep(account, active=True)

    def _unseen(self, account: Account, status: str) -> Step:
        account.active = False
        return AccountStep(account, active=False, status=status)
