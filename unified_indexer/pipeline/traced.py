"""A lane's batch as a trace: how long its events waited, how long they took to prove and to write. Only where asked for."""

import time
from collections.abc import Callable, Coroutine, Sequence

from unified_indexer.config.settings import Config
from unified_indexer.pipeline.lanes import Placed
from unified_indexer.pipeline.session import Session
from unified_indexer.protocol.events import Event
from unified_indexer.tracing.spans import Spans, Value

DECODED = 500  # frames in a span: one each would cost more than the frame


class Traces:
    """A worker's traces; `spans` is None where nobody asked for any, and then all of this does nothing."""

    def __init__(self, config: Config) -> None:
        self.spans = None if config.otlp_endpoint is None else Spans()
        self._endpoint = config.otlp_endpoint or ""
        self._relay = config.relay_host

    def begin(self, session: Session) -> None:
        """Trace what a new session decodes."""
        if self.spans is not None:
            session.decode = TracedDecode(self.spans, session.decode)

    def batch(self, lane: int, batch: Sequence[Placed]) -> "Untraced":
        """Trace a batch that a lane has just taken."""
        return UNTRACED if self.spans is None else TracedBatch(self.spans, lane, batch)

    def work(self) -> list[Coroutine[None, None, None]]:
        """What sends them, until cancelled."""
        if self.spans is None:
            return []
        from unified_indexer.tracing.sending import Sending

        return [Sending(self.spans, self._endpoint, self._relay).run()]


class Untraced:
    """A batch of which nobody wants to know."""

    def verified(self) -> None:
        """Its commits are proven, or set aside."""

    def written(self, written: int) -> None:
        """This number of its events is in the database, or kept as letters; the others wait for keys."""


UNTRACED = Untraced()


class TracedBatch(Untraced):
    """The spans of one batch; made when a lane has taken it."""

    def __init__(self, spans: Spans, lane: int, batch: Sequence[Placed]) -> None:
        self._spans = spans
        self._began = self._verified = time.time_ns()
        self._waited = int((time.monotonic() - batch[0].ticket.arrived_at) * 1e9)
        self._attributes: dict[str, Value] = {"lane": lane, "events": len(batch)}
        if seqs := [placed.ticket.seq for placed in batch if placed.ticket.seq is not None]:
            self._attributes |= {"seq.first": min(seqs), "seq.last": max(seqs)}

    def verified(self) -> None:
        self._verified = time.time_ns()

    def written(self, written: int) -> None:
        now = time.time_ns()
        attributes = self._attributes | {"written": written}
        batch = self._spans.root("batch", self._began - self._waited, attributes, ended=now)
        self._spans.child(batch, "wait", batch.began, self._began, {})
        self._spans.child(batch, "verify", self._began, self._verified, {})
        self._spans.child(batch, "write", self._verified, now, {"events": written})


class TracedDecode:
    """`decode` with a span for each DECODED frames: from the first to the last of them, and how much of that it took."""

    def __init__(self, spans: Spans, decode: Callable[[bytes], Event]) -> None:
        self._spans = spans
        self._decode = decode
        self._began = 0
        self._taken = self._frames = self._bytes = 0

    def __call__(self, frame: bytes) -> Event:
        """Decode the frame, and count its time."""
        if not self._frames:
            self._began = time.time_ns()
        before = time.perf_counter_ns()
        event = self._decode(frame)
        self._taken += time.perf_counter_ns() - before
        self._frames += 1
        self._bytes += len(frame)
        if self._frames == DECODED:
            attributes: dict[str, Value] = {"frames": self._frames, "bytes": self._bytes, "seconds": self._taken / 1e9}
            self._spans.root("decode", self._began, attributes)
            self._taken = self._frames = self._bytes = 0
        return event
