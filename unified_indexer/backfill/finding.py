"""Finds the repos that operators asked for: reads lists page by page, and notes what is not complete yet as wanted.

A list is read no further than what was found on it is fetched: of a server at most 5,000 repos are wanted at once. The stream
has priority. What stands in the database is all that counts: a worker that is killed continues with the page it was at.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from unified_indexer.accounts.crew import Crew
from unified_indexer.accounts.documents import Documents
from unified_indexer.backfill import outcome
from unified_indexer.backfill.lists import Lists, Page, origin
from unified_indexer.backfill.outcome import Failed
from unified_indexer.backfill.retries import ATTEMPTS, pause
from unified_indexer.backfill.walks import End, Walk
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.database.repair import listings, queue
from unified_indexer.database.repair.listings import Job, Kind, Listing, Phase, Wish
from unified_indexer.identity.document import Identity
from unified_indexer.log.handler import warn_limited
from unified_indexer.protocol.syntax import first_tid
from unified_indexer.selection import Selection

log = logging.getLogger(__name__)

INTERVAL = 1.0  # seconds between two looks
AT_ONCE = 64  # pages, all servers together
BEFORE_A_GAP = timedelta(minutes=5)  # that a rev may be older than the event that tells of it
LAST_TID = "jzzzzzzzzzzzz"
NETWORK = Wish("network", queue.NETWORK)
CHOSEN = Wish("chosen", queue.CHOSEN)


class Finding:
    """`relay`: the origin of the relay, whose lists of servers and collections are asked for."""

    def __init__(
        self,
        pool: DatabasePool,
        selection: Selection,
        lists: Lists,
        documents: Documents,
        *,
        relay: str,
        allow_private: bool,
        stream_first: Callable[[], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._selection = selection
        self._lists = lists
        self._documents = documents
        self._relay = relay
        self._allow_private = allow_private
        self._stream_first = stream_first
        self._walks: dict[tuple[int, int], Walk] = {}
        self._since: dict[int, str] = {}  # by job, of a gap
        self._waits: dict[int, tuple[float, int]] = {}  # by job: until when, of the loop's clock; failures in a row

    async def keep_finding(self) -> None:
        """Read what is to be read, until cancelled."""
        async with Crew(AT_ONCE) as crew:
            while True:
                await self._stream_first()
                try:
                    await self.turn(crew)
                except DATABASE_ERRORS as error:
                    warn_limited(log, "finding", "Could not read which repos are to be found (%s); trying again", error)
                await asyncio.sleep(INTERVAL)

    async def turn(self, crew: Crew) -> None:
        """Take a step of every job, and start as many pages as there is room for."""
        async with self._pool.connection() as connection:
            jobs = await listings.hold(connection, self._pool.name)
        self._forget({job.id for job in jobs})
        now, under_way = asyncio.get_running_loop().time(), set(crew.under_way)
        for job in jobs:
            if crew.room and self._waits.get(job.id, (0.0, 0))[0] <= now and str(job.id) not in under_way:
                crew.start(str(job.id), self._guarded(self._step(job)))
        if not jobs or not crew.room:
            return
        async with self._pool.connection() as connection:
            found = await listings.pick(connection, [job.id for job in jobs], crew.room)
        for listing in found:
            name = f"{listing.job} {listing.host}"
            if name not in under_way:
                crew.start(name, self._guarded(self._read(listing)))

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except DATABASE_ERRORS as error:
            warn_limited(log, "found", "Could not store what was found (%s); trying again", error)

    async def _step(self, job: Job) -> None:
        match job.phase, job.kind:
            case Phase.REPOS, kind:
                await self._repos(job, kind)
            case Phase.BEGIN, Kind.GAP if await self._began(job) is None:
                async with self._pool.connection() as connection:
                    await listings.end(connection, job, "no_such_gap")
            case _, Kind.NETWORK | Kind.GAP:
                await self._hosts(job)
            case _, Kind.HOSTS:
                urls = [origin(name, allow_private=self._allow_private) for name in job.argument.split()]
                await self._begin(job, [url for url in urls if url is not None])
            case _, Kind.COLLECTION:
                _, _, via = job.argument.partition(" ")
                await self._begin(job, [via or self._relay])
            case _, Kind.FOLLOWS:
                await self._follows(job)

    async def _repos(self, job: Job, kind: Kind) -> None:
        """Ends the job, where all its lists have ended."""
        async with self._pool.connection() as connection:
            if await listings.is_open(connection, job):
                return
            if kind in (Kind.NETWORK, Kind.GAP):
                await listings.step(connection, job, Phase.AGAIN)
                return
            await listings.end(connection, job)
        log.info("The lists of backfill %d (%s %s) are read to their end", job.id, job.kind, job.argument)

    async def _begin(self, job: Job, urls: list[str]) -> None:
        hosts = [(url, None) for url in dict.fromkeys(urls)]
        async with self._pool.connection() as connection:
            await listings.add_hosts(connection, job, hosts, "operator", Phase.REPOS, None)

    async def _follows(self, job: Job) -> None:
        """Asks for the account itself, and for the list of those whom it follows."""
        document = await self._documents.fresh(job.argument)
        if not isinstance(document, Identity) or document.pds is None:
            await self._wait(job, "no_document" if document is None else "no_pds")
            return
        async with self._pool.connection() as connection:
            await queue.want(connection, [job.argument], CHOSEN.why, CHOSEN.priority)
        await self._begin(job, [document.pds])

    async def _hosts(self, job: Job) -> None:
        """Reads a page of the relay's list of servers."""
        page = await self._lists.hosts(self._relay, job.cursor)
        if isinstance(page, Failed):
            await self._wait(job, page.reason, page.after)
            return
        walk = self._walks.setdefault((job.id, 0), Walk())
        end = walk.take([host.url for host in page.hosts], job.cursor, page.cursor)
        hosts = list({host.url: (host.url, host.accounts) for host in page.hosts}.values())
        self._waits.pop(job.id, None)
        again = job.phase is Phase.AGAIN
        phase = Phase.REPOS if end is not None else Phase.AGAIN if again else Phase.HOSTS
        async with self._pool.connection() as connection:
            await listings.add_hosts(connection, job, hosts, "relay", phase, None if end is not None else page.cursor)
            if end is not None:
                del self._walks[job.id, 0]
                if again and not await listings.is_open(connection, job):
                    await listings.end(connection, job)
                    log.info("The lists of backfill %d (%s) are read to their end", job.id, job.kind)

    async def _wait(self, job: Job, reason: str, after: float | None = None) -> None:
        """The job continues later."""
        failures = self._waits.get(job.id, (0.0, 0))[1] + 1
        seconds = after or pause(failures, random.random(), incomplete=False)
        self._waits[job.id] = asyncio.get_running_loop().time() + seconds, failures
        async with self._pool.connection() as connection:
            await listings.tell(connection, job, reason)
        warn_limited(log, f"job {reason}", "Backfill %d (%s %s) waits: %s", job.id, job.kind, job.argument, reason)

    async def _read(self, listing: Listing) -> None:
        """Reads one page."""
        page = await self._page(listing)
        if isinstance(page, Failed):
            await self._failed(listing, page)
        else:
            await self._took(listing, page)

    async def _page(self, listing: Listing) -> Page | Failed:
        match listing.kind:
            case Kind.COLLECTION:
                collection = listing.argument.partition(" ")[0]
                return await self._lists.of_collection(listing.url, collection, listing.cursor)
            case Kind.FOLLOWS:
                return await self._lists.follows(listing.url, listing.argument, listing.cursor)
            case _:
                return await self._lists.repos(listing.url, listing.cursor)

    async def _took(self, listing: Listing, page: Page) -> None:
        walk = self._walks.setdefault((listing.job, listing.host), Walk(listing.accounts))
        end = walk.take([repo.did for repo in page.repos], listing.cursor, page.cursor)
        wish = await self._wish(listing)
        repos = {repo.did: repo for repo in page.repos if self._selection.takes_account(repo.did)}
        async with self._pool.connection() as connection:
            await listings.store(connection, listing, list(repos.values()), page.cursor, end, wish)
        if end is not None:
            del self._walks[listing.job, listing.host]
            if end is not End.COMPLETE:
                warn_limited(log, f"list {end}", "The list of %s has no end (%s): it is read no further", listing.url, end)

    async def _wish(self, listing: Listing) -> Wish:
        if listing.kind is Kind.NETWORK:
            return NETWORK
        if listing.kind is not Kind.GAP:
            return CHOSEN
        return Wish("gap", queue.MISSING, await self._began(listing) or LAST_TID)

    async def _began(self, of: Job | Listing) -> str | None:
        """The lowest rev that a commit in a job's gap may have; None if there is no such gap."""
        job = of.id if isinstance(of, Job) else of.job
        if job not in self._since and of.argument.isdecimal() and len(of.argument) < 19:
            async with self._pool.connection() as connection:
                began = await listings.gap_began(connection, int(of.argument))
            if began is not None:
                self._since[job] = first_tid(began - BEFORE_A_GAP)
        return self._since.get(job)

    async def _failed(self, listing: Listing, failed: Failed) -> None:
        later, failures = failed.kind is outcome.Kind.LATER, listing.failures + 1
        ends = not later and (failed.kind is outcome.Kind.UNAVAILABLE or failures >= ATTEMPTS)
        after = timedelta(seconds=failed.after or pause(failures, random.random(), incomplete=False))
        async with self._pool.connection() as connection:
            await listings.fail(connection, listing, failed.reason, after, counts=not later, ends=ends)
        if ends:
            warn_limited(log, f"list {failed.reason}", "The list of %s can't be read: %s", listing.url, failed.reason)

    def _forget(self, jobs: set[int]) -> None:
        """What is known of jobs that are done."""
        for place in [place for place in self._walks if place[0] not in jobs]:
            del self._walks[place]
        for known in (self._since, self._waits):
            for job in known.keys() - jobs:
                del known[job]
