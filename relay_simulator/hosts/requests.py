"""How often what was asked, and of whom."""

import asyncio
from collections import Counter


class Requests:
    """Counts of requests by endpoint (as faults.ENDPOINTS names them) and subject: a DID, a handle, or empty."""

    def __init__(self) -> None:
        self.counts = Counter[tuple[str, str]]()
        self._more = asyncio.Event()

    def note(self, endpoint: str, subject: str) -> None:
        """One has come, whatever is answered."""
        self.counts[endpoint, subject] += 1
        self._more.set()
        self._more = asyncio.Event()

    def count(self, endpoint: str | None = None, subject: str | None = None) -> int:
        """How many have come to this endpoint (None: any) about this subject (None: any)."""
        return sum(
            times for (asked, about), times in self.counts.items() if endpoint in (None, asked) and subject in (None, about)
        )

    async def reach(self, times: int, endpoint: str | None = None, subject: str | None = None) -> None:
        """Wait until so many have come."""
        while self.count(endpoint, subject) < times:
            await self._more.wait()
