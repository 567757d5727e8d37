"""Wait for a condition with a deadline; the failure says what did not come about."""

import asyncio
import time
from collections.abc import Awaitable, Callable

DEADLINE = 90.0  # seconds: what takes longer has failed; ordinary waits are far below
POLL = 0.02  # seconds


async def until(
    condition: Callable[[], bool | Awaitable[object]], what: str, seconds: float = DEADLINE, poll: float = POLL
) -> None:
    """Wait until the condition is true; `what` names it in the failure. A condition may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        held = condition()
        if held if isinstance(held, bool) else await held:
            return
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(poll)
