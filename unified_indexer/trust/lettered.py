"""Accounts with letters that wait for a key. When the key comes, these go before what the account has written since: applied
after it they would be out of date, and what they wrote would be missing."""

from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.dead_letters import unproven
from unified_indexer.identity.recent import Recent

MOST = 10_000  # accounts, some 200 bytes each
INTERVAL = 60.0  # seconds until the letters of an account go first again: its own forged ones may be among them


class Lettered:
    """What one session knows of them."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._dids: set[str] = set()
        self._taken = Recent(MOST)
        self._loaded = False

    async def load(self) -> None:
        """Read from the database which accounts these are, once."""
        after = ""
        while not self._loaded and len(self._dids) < MOST:
            async with self._pool.connection() as connection:
                dids = await unproven.accounts_of_letters(connection, after)
            self._dids.update(dids)
            if not dids:
                break
            after = dids[-1]
        self._loaded = True

    def __contains__(self, did: str) -> bool:
        """Whether letters of this account wait."""
        return did in self._dids

    def note(self, did: str) -> None:
        """A letter of this account waits from now on."""
        if len(self._dids) < MOST:
            self._dids.add(did)

    def take(self, did: str) -> bool:
        """Whether letters of this account are to go first now; then they are none of these any more."""
        if did not in self._dids or did in self._taken:
            return False
        self._dids.remove(did)
        self._taken.note(did, INTERVAL)
        return True
