"""Small repos are written together: all that were fetched while the last ones were written."""

import asyncio

from unified_indexer.database.repair.writing import Ended, Job, Writing

SMALL = 500  # records: a slice; a larger repo is written alone
MOST_REPOS, MOST_RECORDS = 200, 1_000  # of a group: commits of its accounts wait while it is written


class Waiting:
    """A small repo that waits for its end. `group`: set once the group that it is in was tried; None while it is in none."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.ended: Ended | None = None
        self.group: asyncio.Event | None = None


class Together:
    """Hands repos to `writing`, in groups; `at_once` groups are written at one time."""

    def __init__(self, writing: Writing, at_once: int = 1) -> None:
        self._writing = writing
        self._turns = asyncio.Semaphore(at_once)
        self._waiting: dict[str, Waiting] = {}

    async def write(self, job: Job) -> Ended:
        """Write one repo, with others if it is small. Raises Stop if only an operator can help."""
        if job.repo.records > SMALL:
            (ended,) = await self._writing.write([job])
            return ended
        one = Waiting(job)
        self._waiting[job.claim.did] = one
        try:
            while one.ended is None:
                if one.group is not None:
                    await one.group.wait()
                    continue
                async with self._turns:
                    if one.group is None:
                        await self._write(self._group(one))
            return one.ended
        finally:
            self._waiting.pop(job.claim.did, None)

    async def _write(self, group: list[Waiting]) -> None:
        """Writes these. If that fails, only the first of them hears of it; the others try again, each for itself and others."""
        tried = asyncio.Event()
        for one in group:
            one.group = tried
        try:
            for one, ended in zip(group, await self._writing.write([one.job for one in group]), strict=True):
                one.ended = ended
        finally:
            for one in group:
                if one.ended is None:
                    one.group = None
            tried.set()

    def _group(self, first: Waiting) -> list[Waiting]:
        """It, and as many of those that wait as are written at once."""
        group, records = [first], first.job.repo.records
        for one in self._waiting.values():
            if one is first or one.group is not None:
                continue
            if len(group) == MOST_REPOS or records + one.job.repo.records > MOST_RECORDS:
                break
            group.append(one)
            records += one.job.repo.records
        return group
