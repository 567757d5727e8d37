"""The first minute of `--embedded`: what happens now, how to look at it and how to end it, and when the first event is in."""

import asyncio
import logging
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from indexer.config.addresses import on_this_machine
from indexer.formatting import duration
from indexer.metrics import Metrics

PATIENCE = 10.0  # seconds until it is told why nothing has come
LOOK = 0.1  # seconds between two looks
NEWEST = "SELECT indexed_at, author_did, left(text, 60) AS text FROM posts ORDER BY indexed_at DESC LIMIT 5"

log = logging.getLogger(__name__)


def greet(relay_url: str, directory: Path) -> None:
    """Says what this is. `directory` is where the data are."""
    log.info("Indexing what %s sends (posts, likes, follows, …) into the PostgreSQL in %s", relay_url, directory)
    log.info("Ctrl-C stops the worker; the data stays, and the next start resumes where this one stopped")


async def first_events(metrics: Metrics, *, connected: Callable[[], bool], relay_url: str, psql: str, began: float) -> None:
    """Says once that the first events are in the database; before that, and once, why not, if it takes over ten seconds.

    `connected` says whether there is a connection to the relay now, `psql` is the shell command that opens the database,
    `began` the start by time.monotonic(). Returns with the first event.
    """
    asked = time.monotonic()
    told = False
    while not metrics.finished:
        if not told and time.monotonic() - asked >= PATIENCE:
            told = True
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
