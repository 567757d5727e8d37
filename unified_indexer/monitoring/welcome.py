"""The first minute of `--embedded`: say what happens, how to see it and how to stop, and when the first events are stored."""

import asyncio
import logging
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from unified_indexer.config.addresses import on_this_machine
from unified_indexer.formatting import duration
from unified_indexer.metrics import Metrics

PATIENCE = 10.0  # seconds until the log says why no event has arrived
LOOK = 0.1  # seconds between two looks
NEWEST = "SELECT indexed_at, author_did, left(text, 60) AS text FROM posts ORDER BY indexed_at DESC LIMIT 5"

log = logging.getLogger(__name__)


def greet(relay_url: str, directory: Path) -> None:
    """Log what happens now. `directory` is where the data is."""
    log.info("Indexing what %s sends (posts, likes, follows, …) into the PostgreSQL in %s", relay_url, directory)
    log.info("Ctrl-C stops the worker; the data stays, and the next start resumes where this one stopped")


async def first_events(metrics: Metrics, *, connected: Callable[[], bool], relay_url: str, psql: str, began: float) -> None:
    """Log once that the first events are in the database. If that takes over ten seconds, first log once why.

    `connected` says whether there is a connection to the relay now, `psql` is the shell command that opens the database,
    `began` the start by time.monotonic(). Returns with the first event.
    """
    asked = time.monotonic()
    warned = False
    while not metrics.finished:
        if not warned and time.monotonic() - asked >= PATIENCE:
            warned = True
            log.warning("No event is in the database after %.0f s: %s", PATIENCE, _why(metrics, connected(), relay_url))
        await asyncio.sleep(LOOK)
    count = metrics.finished
    what = "The first event is" if count == 1 else f"The first {count:,} events are"
    log.info("%s in the database, %s after the start", what, duration(time.monotonic() - began))
    log.info("The newest posts: %s -c %s", psql, shlex.quote(NEWEST))


def _why(metrics: Metrics, connected: bool, relay_url: str) -> str:
    if metrics.events:
        return "the relay sends events, but the database has not stored any yet"
    if connected:
        return f"{relay_url} is connected but silent; set RELAY_URL to use another relay"
    failed = f"cannot be reached (failed attempts: {metrics.reconnects})" if metrics.reconnects else "has not answered yet"
    if on_this_machine(relay_url):
        return f"{relay_url} {failed}. Is that relay running (`make relay`)? The worker keeps trying"
    return f"{relay_url} {failed}. Is this machine on the internet? The worker keeps trying; `make demo` needs no network"
