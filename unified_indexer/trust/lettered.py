"""Accounts with letters that wait for a key. When the key comes, these go before what the account has written since: applied
after it they would be out of date, and what they wrote would be missing."""

from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.dead_letters import unproven
from unified_indexer.identity.recent import Recent
from unified_indexer.protocol.failures import Failure

MOST = 10_000  # accounts, some 300 bytes each; beyond that the oldest go
INTERVAL = 60.0  # seconds until the letters of an account go first again: its own forged ones may be among them


class Lettered:
    """What one session knows of them."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._waiting = Recent(MOST)
        self._taken = Recent(MOST)
        self._loaded = False

    async def load(self) -> None:
        """Read from the database which accounts these are, once.

        Those that had no identity count as the oldest: their letters stay for ever, and anybody can make such accounts up.
        """
        if self._loaded:
            return
        found = [did for reason in (Failure.NO_IDENTITY, Failure.UNPROVEN) for did in await self._read(reason)]
        if self._loaded:
            return  # by another lane, which may have taken some since
        for did in found:
            self.note(did)
        self._loaded = True

    async def _read(self, reason: Failure) -> list[str]:
        found: list[str] = []
        while len(found) < MOST:
            async with self._pool.connection() as connection:
                dids = await unproven.accounts_of_letters(connection, found[-1] if found else "", [reason])
            if not dids:
                break
            found += dids
        return found

    def __contains__(self, did: str) -> bool:
        """Whether letters of this account wait."""
        return did in self._waiting

    def note(self, did: str) -> None:
        """A letter of this account waits from now on."""
        self._waiting.note(did)

    def take(self, did: str) -> bool:
        """Whether letters of this account are to go first now; then they are none of these any more."""
        if did not in self._waiting or did in self._taken:
            return False
        self._waiting.forget(did)
        self._taken.note(did, INTERVAL)
        return True
