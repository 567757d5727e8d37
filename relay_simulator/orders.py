"""Changes of identities as the stream shows them: when one is due, the key is changed and some events tell of it."""

from collections import Counter, deque
from collections.abc import Callable, Iterable

from relay_simulator import keys
from relay_simulator.changes import Change
from relay_simulator.mix import AccountStep, IdentityStep, Step, SyncStep
from relay_simulator.network import Network
from relay_simulator.repository import Account


class Orders:
    """The changes to come. `write` gives the commit that an account makes when it has changed."""

    def __init__(self, seed: int, changes: Iterable[Change], network: Network, write: Callable[[Account], Step]) -> None:
        self._seed = seed
        self._changes = deque(changes)
        self._network = network
        self._write = write
        self._generations = Counter[int]()  # of keys, by account
        self._steps: deque[Step] = deque()

    def next(self, seq: int) -> Step | None:
        """The next event, if one is due when this is the lowest seq that it may have."""
        while self._changes and self._changes[0].at_seq <= seq:
            self._steps.extend(self._made(self._changes.popleft()))
        return self._steps.popleft() if self._steps else None

    def before(self, seq: int) -> int:
        """This seq, or a lower one where it would jump over a change."""
        return min(seq, self._changes[0].at_seq - 1) if self._changes else seq

    def _made(self, change: Change) -> list[Step]:
        """Change the account; the events that tell of it."""
        account = self._network.account_of(change.account)
        if change.key:
            self._generations[account.number] += 1
            account.signer = keys.signer(self._seed, account.number, self._generations[account.number])
        account.handle = change.handle or account.handle
        identity: list[Step] = [IdentityStep(account, account.handle)]
        steps: list[Step] = []
        if change.tombstone:
            self._network.let_go(account)
        elif not account.gone:
            if change.pds or not account.active:
                account.active = True
                steps.append(AccountStep(account, active=True))
            if change.pds:
                steps.append(SyncStep(account))
            steps.append(self._write(account))
        match change.identity:
            case "before":
                return identity + steps
            case "after":
                return steps + identity
            case "never":
                return steps
