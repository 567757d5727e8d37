"""Judge the replies or quotes of a changed gate, step by step on its own connection, while the stream continues.

What is left to do stands in `unified_worker.judgements`, so a worker that was stopped goes on where it was. Where the gate
changes meanwhile, its judgement begins again; whatever comes meanwhile is judged as it is written.
"""

import asyncio
import logging

from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.log.handler import warn_limited

log = logging.getLogger(__name__)

INTERVAL = 0.5  # seconds
POSTS_PER_STEP = 200  # one transaction: commits in that thread wait for it
POSTS_PER_LOOK = 10_000  # each look goes through the whole thread

ASKED = "SELECT kind, uri, asked, after FROM unified_worker.judgements WHERE asked > $1 ORDER BY asked LIMIT 1"
FOUND = "SELECT array_agg(u) FROM unified_worker.to_judge($1, $2, $3, $4) AS u"
STEP = "SELECT unified_worker.judge_part($1, $2, $3, $4, $5)"


class Judge:
    """Judges gates for as long as the worker runs."""

    def __init__(self, pool: DatabasePool) -> None:
        self._pool = pool

    async def keep_judging(self) -> None:
        """Look for work twice per second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.turn()
            except DATABASE_ERRORS as error:
                warn_limited(log, "judge", "Could not judge replies and quotes (%s); trying again", error)

    async def turn(self) -> None:
        """Advance each requested judgement by one step. An error of one does not stop the others."""
        asked, refusal = -1, None
        while True:
            async with self._pool.connection() as connection:
                job = await connection.fetchrow(ASKED, asked)
            if job is None:
                break
            asked = job["asked"]
            try:
                await self._look(job["kind"], job["uri"], asked, job["after"])
            except DATABASE_ERRORS as error:
                refusal = error
        if refusal is not None:
            raise refusal

    async def _look(self, kind: str, uri: str, asked: int, after: str) -> None:
        """Judges the next posts, a few in each transaction, until the gate changes again."""
        async with self._pool.connection() as connection:
            posts: list[str] = await connection.fetchval(FOUND, kind, uri, after, POSTS_PER_LOOK) or []
        for first in range(0, max(len(posts), 1), POSTS_PER_STEP):
            part = posts[first : first + POSTS_PER_STEP]
            last = len(posts) < POSTS_PER_LOOK and first + POSTS_PER_STEP >= len(posts)
            # A connection a step: where there is one alone, the lanes get theirs in between.
            async with self._pool.connection() as connection:
                if not await connection.fetchval(STEP, kind, uri, asked, part, last):
                    return
