"""Repairs repos for as long as the worker runs: takes what is wanted, fetches it, brings it into the tables.

What is wanted stands in `unified_worker.repairs`; repos in which something is missing come there by themselves. The stream has
priority: nothing is begun or written while it is behind. What was under way when a worker ended is started again.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import libipld

from unified_indexer.accounts.crew import Crew
from unified_indexer.backfill.allowance import Allowance
from unified_indexer.backfill.calm import Calm
from unified_indexer.backfill.fetch import BEHIND, Fetcher, Stop
from unified_indexer.backfill.files import NoRoom, in_thread
from unified_indexer.backfill.outcome import Failed, Kind
from unified_indexer.backfill.retries import ATTEMPTS, DAY, pause
from unified_indexer.backfill.together import Together
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.few import Few
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.connection.sessions import Connection
from unified_indexer.database.repair import queue, steps
from unified_indexer.database.repair.bringing import Refused, Tables
from unified_indexer.database.repair.queue import Claimed
from unified_indexer.database.repair.steps import Done, Marked, Word
from unified_indexer.database.repair.writing import Ended, Job, Writing
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.protocol.repo import Head, Repo
from unified_indexer.selection import Selection
from unified_indexer.shares import WHOLE, Share

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks at what is wanted
MISSED_INTERVAL = 5.0  # seconds between two looks at a part of the repos in which something is missing
SLICE = 500  # records, as they are compared
CALLS = 2  # at one time: a single one leaves a core without work for half of the time
LEAST_POOL = 12  # connections of a pool that repairs may have CALLS of; of a smaller one they have one
KEEP_INTERVAL = 60.0  # seconds, while nothing may be begun, between two words of what is in hand
PART = 1_000  # repos looked at in a turn
BUSY = 1.0  # seconds until a host is asked again that is parked for an unknown time
AGAIN = 10.0  # seconds until a repo is fetched again that was overtaken by commits
NO_ROOM = 60.0  # seconds
WIPING = 60.0  # seconds: the rows of a deleted account take their time


class Repairs:
    """`notify`: how old a missing record may be that still notifies others. `stream_first`: waits while the stream has much to
    write. `most`: repos at once; how many of a host is up to the fetcher. `share`: whose repos.

    `seconds`: spent on writing, all repos together.
    """

    def __init__(
        self,
        pool: DatabasePool,
        metrics: Metrics,
        selection: Selection,
        fetcher: Fetcher,
        *,
        notify: timedelta,
        stream_first: Callable[[], Awaitable[None]],
        allowance: Allowance | None = None,
        most: int = 1,
        share: Share = WHOLE,
    ) -> None:
        self.seconds = 0.0
        self._pool = pool
        self._connections = Few(pool, CALLS if pool.size >= LEAST_POOL else 1, Calm(metrics.latency))
        self._metrics = metrics
        self._selection = selection
        self._fetcher = fetcher
        writing = Writing(Tables(self._connections), selection, notify=notify)
        self._together = Together(writing, self._connections.size)
        self._stream_first = stream_first
        self._allowance = allowance or Allowance(0)
        self._most = most
        self._share = share
        self._holder = share.service(pool.name)
        self._hosts: dict[str, int] = {}  # ids by origin
        self._after = ""  # up to which DID missing repos were looked for
        self._next_look = 0.0  # of the loop's clock

    async def keep_repairing(self) -> None:
        """Repair what is wanted, until cancelled."""
        started = False
        async with Crew(self._most) as crew:
            while True:
                try:
                    if not await self._may_begin():
                        async with self._pool.connection() as connection:
                            await self._keep(connection, crew)
                        continue
                    if not started:
                        async with self._pool.connection() as connection:
                            await steps.reset(connection, self._holder)
                        started = True
                    await self.turn(crew)
                except DATABASE_ERRORS as error:
                    warn_limited(log, "repairs", "Could not read which repos are to be repaired (%s); trying again", error)
                await asyncio.sleep(INTERVAL)

    async def _may_begin(self) -> bool:
        """Whether nothing is in the way any more, within a time after which those in hand need a word again."""
        try:
            async with asyncio.timeout(KEEP_INTERVAL):
                await self._stream_first()
        except TimeoutError:
            return False
        return True

    async def _keep(self, connection: Connection, crew: Crew) -> None:
        """Say that those in hand are: nobody else takes them then."""
        await steps.keep(connection, self._holder, crew.under_way)

    async def turn(self, crew: Crew) -> None:
        """Look for repos in which something is missing, and start as many repairs as there is room for.

        What nobody works at any more is started again: its worker ended, or the database failed it.
        """
        now = asyncio.get_running_loop().time()
        async with self._pool.connection() as connection:
            if now >= self._next_look:
                self._next_look = now + MISSED_INTERVAL
                await self._keep(connection, crew)
                self._after = await queue.want_missed(connection, self._after, PART)
                await steps.expire(connection, crew.under_way)
            for host, url in (await queue.hosts(connection)).items():
                room = min(crew.room, self._fetcher.room(url))
                if room > 0:
                    self._start(crew, await queue.claim_at(connection, self._holder, room, host, self._share), url)
            if crew.room:
                self._start(crew, await queue.claim(connection, self._holder, crew.room, self._share))

    def _start(self, crew: Crew, claimed: Sequence[Claimed], host: str | None = None) -> None:
        for one in claimed:
            crew.start(one.did, self._repair(one, host))

    async def _repair(self, claimed: Claimed, host: str | None) -> None:
        try:
            await self.repair(claimed, host)
        except DATABASE_ERRORS as error:
            # Its lease ends by itself, and then it is started again (`turn`).
            warn_limited(log, "repair", "Could not repair %s (%s); trying again later", claimed.did, error)

    async def repair(self, claimed: Claimed, host: str | None = None) -> str:
        """Repair one repo; return what became of it, a fixed word. `host`: the origin that listed it."""
        if not self._selection.takes_account(claimed.did):
            return await self._left(claimed, "opted_out")
        async with self._connections.connection() as connection:
            before = await steps.mark(connection, claimed.claim)
        if before.word is not Word.OK:
            return await self._left(claimed, before.word)
        try:
            return await self._fetched(claimed, host, before)
        except NoRoom as error:
            warn_limited(log, "no room", "There is no room on disk for a repo (%s)", error)
            return await self._not_fetched(claimed, Failed("no_room", Kind.LATER, NO_ROOM))
        except Refused as error:
            warn_limited(
                log, "repair refused whole", "The database refuses a step of the repair of %s (%s)", claimed.did, error
            )
            await self._leave(claimed, "failed", "database", DAY, failed=True)
            self._metrics.repairs["database"] += 1
            return "database"

    async def _fetched(self, claimed: Claimed, host: str | None, before: Marked) -> str:
        fetched = await self._fetcher.fetch(claimed.did, host, _needless(before))
        if isinstance(fetched, Failed):
            return await self._not_fetched(claimed, fetched)
        with fetched as repo:
            began = time.monotonic()
            aside = in_thread if repo.in_file else None
            job = Job(claimed.claim, repo, repo.signed, await self._host(claimed), aside, self._turn(repo))
            ended = await self._together.write(job)
            self.seconds += time.monotonic() - began
        return await self._ended(claimed, ended)

    def _turn(self, repo: Repo) -> Callable[[], Awaitable[None]]:
        """What waits before each slice of a repo: the stream has priority, and there may be a limit."""
        left = repo.records

        async def turn() -> None:
            nonlocal left
            await self._stream_first()
            records, left = min(left, SLICE), max(left - SLICE, 0)
            await self._allowance.take(records)

        return turn

    async def _host(self, claimed: Claimed) -> int | None:
        """The id of the host that gave out the repo."""
        url = self._fetcher.host(claimed.did)
        if claimed.host is not None or url is None:
            return claimed.host
        if url not in self._hosts:
            async with self._connections.connection() as connection:
                self._hosts[url] = await queue.host_id(connection, url)
        return self._hosts[url]

    async def _not_fetched(self, claimed: Claimed, failed: Failed) -> str:
        """What follows where there is no repo."""
        reason, failures = failed.reason, claimed.failures + 1
        match failed.kind:
            case Kind.UNAVAILABLE:
                await self._leave(claimed, "unavailable", reason)
            case Kind.LATER:
                await self._leave(claimed, "wanted", reason, failed.after or BUSY)
                return reason
            case Kind.STOPPED if reason == BEHIND:
                return await self._left(claimed, Word.BEHIND)
            case Kind.STOPPED:
                host = await self._host(claimed)
                async with self._connections.connection() as connection:
                    (word,) = await steps.settle(connection, [Done(claimed.claim, filtered=False, host=host)])
                return await self._ended(claimed, Ended(Word.SAME if word is Word.OK else word, Counter()))
            case Kind.REFUSED:
                await self._leave(claimed, "failed", reason, DAY, failed=True)
                warn_limited(log, f"repair {reason}", "The repo of %s is not what its account signed (%s)", claimed.did, reason)
            case Kind.RETRY | Kind.INCOMPLETE:
                after = failed.after or pause(failures, random.random(), incomplete=failed.kind is Kind.INCOMPLETE)
                await self._leave(claimed, "failed" if failures >= ATTEMPTS else "wanted", reason, after, failed=True)
        self._metrics.repairs[reason] += 1
        return reason

    async def _ended(self, claimed: Claimed, ended: Ended) -> str:
        self._metrics.repaired_records.update(ended.counts)
        if ended.word not in (Word.OK, Word.SAME):
            return await self._left(claimed, ended.word)
        self._metrics.repairs["done"] += 1
        self._metrics.repair_ends["done"] += 1
        return ended.word

    async def _left(self, claimed: Claimed, word: str) -> str:
        """What follows where a repair may not be done, or may not be finished."""
        match word:
            case Word.LOST:
                pass
            case Word.INACTIVE:
                await self._leave(claimed, "unavailable", word)
            case Word.WIPING:
                await self._leave(claimed, "wanted", word, WIPING)
            case Word.AGAIN:
                await self._leave(claimed, "wanted", word, AGAIN)
            case Word.BEHIND:
                await self._leave(claimed, "wanted", word, pause(claimed.failures + 1, random.random()), failed=True)
            case _:  # the account forbids indexing; it may allow it again
                await self._leave(claimed, "failed", word, DAY)
        self._metrics.repairs[word] += 1
        return word

    async def _leave(
        self, claimed: Claimed, state: str | None, reason: str, after: float = 0.0, *, failed: bool = False
    ) -> None:
        self._metrics.repair_ends["failed" if failed else "unavailable" if state == "unavailable" else "put_off"] += 1
        async with self._connections.connection() as connection:
            await steps.leave(connection, claimed.claim, state, reason, timedelta(seconds=after), failed=failed)


def _needless(before: Marked) -> Stop:
    """What says, as soon as the commit is known, that the rest of a repo is of no use: that is older than what is there, or all
    of it is there."""

    def stop(head: Head) -> str | None:
        if head.rev < before.rev:
            return BEHIND
        return "same" if before.data is not None and libipld.encode_cid(head.data) == before.data else None

    return stop
