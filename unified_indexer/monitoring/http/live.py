"""The page's data: the past once, and then a message per second, as server-sent events."""

import asyncio
from collections.abc import Iterable
from itertools import takewhile
from time import time
from typing import Any

import orjson
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError

from unified_indexer.monitoring.fetching import shown
from unified_indexer.monitoring.history import History, Sample
from unified_indexer.monitoring.http.exposition import Exposition, label
from unified_indexer.monitoring.readiness import reasons, state
from unified_indexer.pipeline.recent_posts import Post
from unified_indexer.records import RECORD_TYPES
from unified_indexer.version import VERSION

INTERVAL = 1.0  # seconds between two messages
MOST_STREAMS = 20  # pages that are open at once
PATIENCE = 20.0  # seconds for a page to take a message; one that does not is let go


class Live:
    """The streams to open pages. `run` makes one message per second while any page is open, however many there are."""

    def __init__(self, history: History, exposition: Exposition, relay: str, ready_lag: float) -> None:
        self._history = history
        self._exposition = exposition
        self._relay = relay
        self._ready_lag = ready_lag
        self._streams = 0
        self._closed = False
        self._posts_sent = 0
        self._last_sent = 0.0  # the time of the newest one
        self._tick: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Send a message every second, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL)
            fresh = {"samples": self._new_samples(), "posts": self._new_posts()}
            if self._streams:
                self._send(_event("now", self._now() | fresh))

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        self._send(None)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """GET /live."""
        if self._closed or self._streams >= MOST_STREAMS:
            raise web.HTTPServiceUnavailable(text="too many pages are open\n")
        self._streams += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        response.headers["X-Accel-Buffering"] = "no"  # nginx would keep messages back
        try:
            await response.prepare(request)
            message: bytes | None = _event("past", self._past())
            while message is not None:
                async with asyncio.timeout(PATIENCE):
                    await response.write(message)
                message = await asyncio.shield(self._tick)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ClientConnectionResetError:
            pass  # the page was closed
        finally:
            self._streams -= 1
        return response

    def _send(self, message: bytes | None) -> None:
        tick, self._tick = self._tick, asyncio.get_running_loop().create_future()
        tick.set_result(message)

    def _past(self) -> dict[str, Any]:
        samples = _samples(self._history.samples)
        return {**self._now(), "samples": samples, "posts": _posts(list(self._history.gauges.processor.newest.posts))}

    def _new_samples(self) -> list[tuple[float, float, float | None]]:
        """The samples since the last message: one, as a rule; a page that has just opened may know it."""
        last, samples = self._last_sent, self._history.samples
        self._last_sent = samples[-1].time if samples else last
        return _samples(list(takewhile(lambda sample: sample.time > last, reversed(samples)))[::-1])

    def _new_posts(self) -> list[dict[str, str]]:
        """The posts since the last message, the newest first; a page that has just opened may know them."""
        newest = self._history.gauges.processor.newest
        fresh, self._posts_sent = newest.total - self._posts_sent, newest.total
        return _posts(list(newest.posts)[:fresh])

    def _now(self) -> dict[str, Any]:
        gauges, history = self._history.gauges, self._history
        metrics = gauges.metrics
        amiss = reasons(gauges, self._ready_lag)
        return {
            "time": time(),
            "version": VERSION,
            "relay": self._relay,
            "state": state(amiss, history.rate),
            "reasons": [reason._asdict() for reason in amiss],
            "uptime": gauges.uptime,
            "rate": history.rate,
            "lag": gauges.lag,
            "ready_lag": self._ready_lag,
            "latency": {"p50": history.latency(0.5), "p99": history.latency(0.99)},
            "received_seq": gauges.received_seq,
            "cursor": gauges.cursor,
            "finished": metrics.finished,
            "events": metrics.events,
            "collections": self._collections(),
            "pool": {"busy": gauges.pool.busy, "size": gauges.pool.size},
            "lanes": [{"events": len(lane), "limit": lane.max_events, "bytes": lane.bytes} for lane in gauges.lanes],
            "trust": {
                "verify": gauges.verify,
                "unproven": metrics.unproven,
                "unproven_age": gauges.unproven_age,
                "directory_silence": gauges.directory_silence,
                "bad_signatures": metrics.bad_signatures,
                "deletions_unconfirmed": metrics.deletions_unconfirmed,
                "deletions_denied": metrics.confirmations["deletion_denied"],
                "withheld": metrics.audited["withheld"],
            },
            "share": gauges.share.number,
            "shares": [share._asdict() for share in gauges.shares],
            "backfill": shown(gauges.backfill),
            "publish": {"waiting": metrics.publish_waiting, "failing": gauges.publish_failing} if gauges.publishes else None,
            "refused": metrics.refused,
            "filtered": metrics.filtered,
            "stale": metrics.stale,
            "stale_messages": metrics.stale_messages,
            "rev_forks": metrics.rev_fork,
            "doubts": metrics.doubts,
            "gaps": metrics.gaps,
            "dead_letters": metrics.dead_letters,
            "frames_dropped": metrics.frames_dropped,
            "reconnects": metrics.reconnects,
            "was_connected": metrics.was_connected,
            "last_reconnects": [
                {"time": at.timestamp(), "why": why, "times": times} for at, why, times in reversed(metrics.last_reconnects)
            ],
            "rss": self._exposition.rss(),
        }

    def _collections(self) -> list[dict[str, Any]]:
        rates, total = self._history.operations(), self._history.gauges.metrics.operations
        return [
            {
                "collection": label(t.collection),
                "rate": rates.get(t.kind, 0.0) + rates.get(t.kind + 1, 0.0),
                "put": total[t.kind],
                "deleted": total[t.kind + 1],
            }
            for t in RECORD_TYPES
        ]


def _event(name: str, content: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(content))


def _posts(posts: list[Post]) -> list[dict[str, str]]:
    return [post._asdict() for post in posts]


def _samples(samples: Iterable[Sample]) -> list[tuple[float, float, float | None]]:
    """Time, events per second, lag; to a hundredth, because that is how far a chart's pixels and words go."""
    return [(round(s.time, 2), round(s.rate, 2), None if s.lag is None else round(s.lag, 2)) for s in samples]
