"""Small repos are written together: all that were fetched while the last ones were written."""

import asyncio

from unified_indexer.database.repair.writing import Ended, Job, Writing

SMALL = 500  # records: a slice; a larger repo is written alone
MOST_REPOS, MOST_RECORDS = 200, 1_000  # of a group: commits of its accounts wait while it is written


class Together:
    """Hands repos to `writing`, in groups."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._turn = asyncio.Lock()
        self._waiting: dict[str, Job] = {}
        self._ended: dict[str, Ended] = {}

    async def write(self, job: Job) -> Ended:
        """Write one repo, with others if it is small. Raises Stop if only an operator can help."""
        if job.repo.records > SMALL:
            (ended,) = await self._writing.write([job])
            return ended
        did = job.claim.did
        self._waiting[did] = job
        try:
            async with self._turn:
                if did not in self._ended:
                    group = self._group(job)
                    # Whoever fails has the others try again, each for itself and those behind.
                    for one, ended in zip(group, await self._writing.write(group), strict=True):
                        if one.claim.did in self._waiting:
                            self._ended[one.claim.did] = ended
                            del self._waiting[one.claim.did]
            return self._ended[did]
        finally:
            self._waiting.pop(did, None)
            self._ended.pop(did, None)

    def _group(self, first: Job) -> list[Job]:
        """It, and as many of those that wait as are written at once."""
        group, records = [first], first.repo.records
        for job in self._waiting.values():
            if len(group) == MOST_REPOS or records + job.repo.records > MOST_RECORDS:
                break
            if job is not first:
                group.append(job)
                records += job.repo.records
        return group
