"""What a forger works with: accounts, their next honest commits, a key of its own."""

from collections.abc import Callable
from random import Random

from relay_simulator import keys, tree
from relay_simulator.commit_message import commit_message
from relay_simulator.encoding import time_text
from relay_simulator.forge.told import Told
from relay_simulator.generator import Generator
from relay_simulator.records import POST
from relay_simulator.repository import Account, Draft, written


class NoVictim(Exception):
    """No account is there with which this could be done."""


NOBODY = 1_000_000_000  # numbers from here on are of no account in the network
_POSTED_WITHIN = 1_000_000  # µs


class Scene:
    """A generator's network, seen by a forger, whose dice are its own. The account of each `victim` call is a new one,
    as long as there is one.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.seed = generator.settings.seed
        self.rng = Random(f"forger {self.seed}")
        self.own_key = keys.signer(self.seed, NOBODY)
        self._victims: set[str] = set()
        self._posts = 0
        self._strangers = NOBODY

    @property
    def now(self) -> int:
        """The time of the newest event, µs since 1970."""
        return self.generator.network.now

    def victim(self, suits: Callable[[Account], bool] = lambda account: True) -> Account:
        """An account that has acted and that others see. Raises NoVictim if none suits."""
        there = [account for account in self.generator.network.known_accounts() if _seen(account) and suits(account)]
        if not there:
            raise NoVictim
        account = self.rng.choice([account for account in there if account.did not in self._victims] or there)
        self._victims.add(account.did)
        return account

    def stranger(self) -> Account:
        """An account that no directory knows, with a key and a repository."""
        self._strangers += 1
        account = Account(self._strangers, keys.did(self.seed, self._strangers), self.rng.randrange(1024))
        self.generator.repositories.open(account)
        return account

    def post(self, account: Account, rkey: str | None = None, action: str = "create") -> Draft:
        """A post that the account may write."""
        self._posts += 1
        created = time_text(self.now - self.rng.randrange(_POSTED_WITHIN))
        rkey = rkey or account.next_tid(self.now - self.rng.randrange(_POSTED_WITHIN))
        return written(action, POST, rkey, {"$type": POST, "text": f"Post number {self._posts}", "createdAt": created})

    def rev(self, account: Account) -> str:
        """The account's next rev."""
        return account.next_tid(self.now - self.rng.randrange(50_000, 300_000))

    def commit(self, account: Account, *drafts: Draft) -> Told:
        """The account's next commit, an honest one."""
        rev = self.rev(account)
        packed = self.generator.repositories.pack(account, list(drafts), rev, keep=True)
        payload, truth = commit_message(account, drafts, rev, packed, seq=0, now=self.now)
        account.rev, account.data = rev, packed.data
        return Told("#commit", payload, truth)


def tree_of(account: Account) -> tree.Node:
    """The account's tree. Raises ValueError in cheap mode, where there is none."""
    if account.root is None:
        raise ValueError(f"{account.did} has no tree")
    return account.root


def _seen(account: Account) -> bool:
    return account.active and not account.gone
