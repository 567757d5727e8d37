"""Is what a repo's own server has here too? Random repos are asked about, at a pace: a relay that withholds a whole repo cannot
be found in its stream.

The newest commit of a repo may still be on its way: it counts as withheld when it is an hour old and the stream has passed that
time. Until then it is remembered, and looked for here again. A PDS says a commit's CID, the worker keeps the tree's: so two
commits of one rev are told apart in the stream alone (rev_fork).
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple

from unified_indexer.accounts.audit_rows import Held, is_missing, random_repo
from unified_indexer.accounts.documents import Documents
from unified_indexer.accounts.pds import Http, latest_rev
from unified_indexer.database.connection.failures import DATABASE_ERRORS
from unified_indexer.database.connection.pool import DatabasePool
from unified_indexer.identity.errors import FetchError
from unified_indexer.identity.key_cache import NoIdentity
from unified_indexer.log.handler import warn_limited
from unified_indexer.metrics import Metrics
from unified_indexer.protocol.syntax import tid_time

log = logging.getLogger(__name__)

GRACE = timedelta(hours=1)
MOST_FRESH = 10_000  # commits that may still come; the newest

Result = Literal["current", "fresh", "withheld", "rolled_back", "not_shown", "unanswered"]
FINDINGS: tuple[Result, ...] = ("withheld", "rolled_back")


class Audited(NamedTuple):
    """What was found of a repo. `theirs`: the newest rev of its PDS, where that was asked; `why` it was not, in a word."""

    did: str
    ours: str
    result: Result
    theirs: str = ""
    why: str = ""


def judged(held: Held, theirs: str, upto: datetime) -> Result:
    """What it means that the PDS has this rev. `upto`: the stream's time up to which everything is written."""
    if theirs == held.rev:
        return "current"
    if theirs < held.rev:
        return "rolled_back"
    return "withheld" if upto - tid_time(theirs) > GRACE else "fresh"


class Audit:
    """Asks about random repos. `upto`: the stream's time up to which everything is written, None while that is not known."""

    def __init__(
        self,
        pool: DatabasePool,
        metrics: Metrics,
        documents: Documents,
        http: Http,
        upto: Callable[[], datetime | None],
    ) -> None:
        self._pool = pool
        self._counts = metrics.audited
        self._documents = documents
        self._http = http
        self._upto = upto
        self._fresh: dict[str, str] = {}  # by DID, the rev that may still come

    async def keep_asking(self, rate: float) -> None:
        """Ask about `rate` repos per minute, until cancelled."""
        while True:
            await asyncio.sleep(60 / rate)
            try:
                for found in [*await self.late(), await self.one()]:
                    if found is not None and found.result in FINDINGS:
                        warn_limited(log, found.result, "%s: %s", found.did, in_words(found))
            except DATABASE_ERRORS as error:
                warn_limited(log, "audit", "Could not audit a repo (%s)", error)

    async def one(self) -> Audited | None:
        """Ask about one random repo; None if there is none, or the worker is only starting."""
        async with self._pool.connection() as connection:
            held = await random_repo(connection)
        if held is None or self._upto() is None:
            return None
        found = await self._ask(held)
        if found.result == "withheld":
            async with self._pool.connection() as connection:
                if not await is_missing(connection, held.did, found.theirs):  # it came, or was refused
                    found = found._replace(result="current")
        self._counts[found.result] += 1
        if found.result == "fresh":
            self._fresh[held.did] = found.theirs
            if len(self._fresh) > MOST_FRESH:
                del self._fresh[next(iter(self._fresh))]
        return found

    async def late(self) -> list[Audited]:
        """Those whose newest commit could still come when they were asked about, and has not come within the hour."""
        upto = self._upto()
        due = [] if upto is None else [(did, rev) for did, rev in self._fresh.items() if upto - tid_time(rev) > GRACE]
        found: list[Audited] = []
        for did, rev in due:
            async with self._pool.connection() as connection:
                missing = await is_missing(connection, did, rev)
            del self._fresh[did]
            if missing:
                self._counts["withheld"] += 1
                found.append(Audited(did, "", "withheld", rev))
        return found

    async def _ask(self, held: Held) -> Audited:
        document = await self._documents.fresh(held.did)
        if document is None:
            return Audited(held.did, held.rev, "unanswered", why="no_document")
        if isinstance(document, NoIdentity) or document.pds is None:
            why = document.reason if isinstance(document, NoIdentity) else "no_pds"
            return Audited(held.did, held.rev, "not_shown", why=why)
        try:
            theirs = await latest_rev(self._http, document.pds, held.did)
        except FetchError as error:
            return Audited(held.did, held.rev, "unanswered", why=str(error))
        if theirs is None:
            return Audited(held.did, held.rev, "not_shown", why="by its PDS")
        return Audited(held.did, held.rev, judged(held, theirs, self._upto() or datetime.now(UTC)), theirs)


def in_words(found: Audited) -> str:
    """The result in words."""
    match found.result:
        case "withheld":
            return f"withheld: its PDS has {found.theirs}, over an hour old, and the relay has not sent it"
        case "rolled_back":
            return f"rolled_back: its PDS has {found.theirs}, and the relay sent {found.ours} before"
        case "not_shown" | "unanswered":
            return f"{found.result}: {found.why}"
        case _:
            return f"{found.result}"
