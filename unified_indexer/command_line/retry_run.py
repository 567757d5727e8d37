"""One run of `dead-letters retry`: apply the chosen letters, commit by commit, until none is left or a signal comes."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator

from unified_indexer.command_line.stdout import table
from unified_indexer.config.settings import Config
from unified_indexer.database.background.chosen import choose
from unified_indexer.database.connection.failures import DATABASE_ERRORS, Remedy, remedy, sqlstate
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.dead_letters import queries
from unified_indexer.database.dead_letters.queries import Choice
from unified_indexer.database.dead_letters.retry import Fate, Kept, Verdict, retry
from unified_indexer.database.schema.session import session
from unified_indexer.errors import Stop
from unified_indexer.formatting import printable
from unified_indexer.log.handler import warn_limited
from unified_indexer.selection import Selection
from unified_indexer.trust.letters import judging

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds after a failure that may pass
CLOSED = "closed meanwhile"  # by a later operation, or by another who retries
NO_FRAME = "its frame was dropped, so it cannot be applied again"


class Retrying:
    """One retry run on its own connection. It takes no relay's lock, so a worker may run.

    `chosen`: which letters, or the id of one, with which those of its commit and reason go.
    """

    def __init__(self, config: Config, chosen: Choice | int) -> None:
        self._config = config
        self._chosen = chosen
        self._stopping = False
        self._pool: DatabasePool | None = None
        self._counts: Counter[tuple[str, str, str]] = Counter()  # reason before, fate, why
        self._tried: set[int] = set()  # letters that stayed, and would be met again

    @property
    def all_applied(self) -> bool:
        """Whether none of the chosen letters is left."""
        return not self._stopping and all(fate in (Fate.APPLIED.value, CLOSED) for _, fate, _ in self._counts)

    async def initialize(self) -> None:
        """Do nothing: `run` connects."""

    def stop(self) -> None:
        """End the run after the current commit."""
        self._stopping = True

    def abandon(self) -> None:
        """Close the database connection at once; the current commit is unchanged."""
        if self._pool is not None:
            self._pool.terminate()

    async def run(self) -> None:
        """Try all chosen letters. Raises Stop if the letter with the given id does not exist."""
        publishes = self._config.publish is not None
        async with session(self._config.database_url, "dead-letters", prepares=True, publishes=publishes) as opened:
            self._pool, connection, schema = opened
            selection = Selection(self._config.collections, accounts=self._config.chosen.accounts)
            await choose(connection, schema, selection, self._config.chosen)
            async for kept, ids in self._frames(connection):
                if self._stopping:
                    return
                if not self._tried.issuperset(ids):
                    await self._try(connection, kept, ids, selection)

    def report(self) -> list[str]:
        """The results as lines, by the reason that the letters had."""
        if not self._counts:
            return ["No dead letters to apply."]
        rows = [
            (printable(reason), fate, f"{count:,}", printable(why))
            for (reason, fate, why), count in sorted(self._counts.items())
        ]
        stopped = ["Stopped before the end."] if self._stopping else []
        return [*table([("reason", "result", "letters", "why"), *rows], right=frozenset({2})), *stopped]

    async def _frames(self, connection: Connection) -> AsyncGenerator[tuple[Kept, list[int]]]:
        if isinstance(self._chosen, Choice):
            for reason in await queries.summary(connection, self._chosen):
                if reason.without_frame:
                    self._counts[reason.reason, Fate.SKIPPED.value, NO_FRAME] = reason.without_frame
            async for found in queries.frames(connection, self._chosen):
                yield found
            return
        letter = await queries.one(connection, self._chosen)
        if letter is None:
            raise Stop(f"there is no dead letter {self._chosen}")
        if letter.frame_sha256 is None:
            self._counts[letter.reason, Fate.SKIPPED.value, NO_FRAME] = 1
        else:
            yield Kept(letter.did, letter.rev, letter.reason, letter.frame_sha256), [letter.id]

    async def _try(self, connection: Connection, kept: Kept, ids: list[int], selection: Selection) -> None:
        verdicts = await self._patiently(connection, kept, ids, selection)
        for verdict in verdicts.values():
            self._counts[kept.reason, verdict.fate.value, verdict.why] += 1
        if closed := len(set(ids) - verdicts.keys() - self._tried):
            self._counts[kept.reason, CLOSED, ""] += closed
        self._tried = {letter for letter in (*self._tried, *verdicts) if letter > ids[-1]}

    async def _patiently(self, connection: Connection, kept: Kept, ids: list[int], selection: Selection) -> dict[int, Verdict]:
        """Repeats what failed in a way that may pass, a deadlock or a lock not had in time, while the connection is there.
        What fails in another way, at an application's trigger say, is these letters' own: they stay as they are."""
        while not self._stopping:
            try:
                judge = await judging(connection, kept.did, self._config.verify)
                return await retry(connection, kept, selection, judge)
            except DATABASE_ERRORS as error:
                if connection.is_closed():
                    raise
                if remedy(error) is not Remedy.RETRY:
                    return dict.fromkeys(ids, Verdict(Fate.REFUSED, f"database_{sqlstate(error)}: {error}"))
                warn_limited(log, "retry", "Could not apply a dead letter (%s); trying again", error)
            await asyncio.sleep(PAUSE)
        return {}
