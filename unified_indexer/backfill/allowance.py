"""How many records of whole repos may be compared and written a second."""

import asyncio
import time


class Allowance:
    """`rate`: records a second; 0: any number."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._next = 0.0

    async def take(self, records: int) -> None:
        """Wait until these may be written. In the long run it is exactly the rate, whatever is taken at once."""
        if not self._rate:
            return
        now = time.monotonic()
        start = max(self._next, now)
        self._next = start + records / self._rate
        if start > now:
            await asyncio.sleep(start - now)
