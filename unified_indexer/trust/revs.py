"""The proven revs that repos are known to have in the database: what is not newer is stale, and needs no proof."""

from collections.abc import Collection

from unified_indexer.database.connection.pool import DatabasePool

MOST = 50_000  # repos, some 250 bytes each
DROPPED = MOST // 4  # at once, the longest known first

# A rev that nobody has proven, or that was refuted, may go back: a repair sets that of the account.
STORED = """
SELECT did, rev FROM unified_worker.repos
WHERE did = ANY ($1) AND unproven IS NULL AND rev IS DISTINCT FROM refuted_rev
"""


class Revs:
    """What one session has read, or written and got confirmed. The database may have a newer rev, never an older one.

    A proven rev only goes up; and a server that lost rows lost the lock too, so that another session begins, with other revs.
    """

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool
        self._known: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._known)

    def includes(self, did: str, rev: str) -> bool:
        """Whether the repo has this rev or a newer one."""
        return rev <= self._known.get(did, "")

    async def load(self, dids: Collection[str]) -> None:
        """Read those that are not known, with one query. A repo that has no row has the rev ''."""
        unknown = [did for did in dids if did not in self._known]
        if not unknown:
            return
        async with self._pool.connection() as connection:
            rows = await connection.fetch(STORED, unknown)
        self._known |= dict.fromkeys(unknown, "") | {row["did"]: row["rev"] for row in rows}
        if len(self._known) > MOST:
            for did in list(self._known)[:DROPPED]:
                del self._known[did]

    def written(self, did: str, rev: str) -> None:
        """Note that the database has this rev of the repo, or a newer one."""
        if rev > self._known.get(did, ""):
            self._known.pop(did, None)  # to the end
            self._known[did] = rev
