"""The counters and gauges in Prometheus's format. Nothing is counted twice: samples are made on request."""

from collections.abc import Callable, Iterator
from time import monotonic

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from unified_indexer.monitoring.history import History
from unified_indexer.monitoring.http.families import (
    PREFIX,
    counter,
    gauge,
    histogram,
    labelled,
    of_backfill,
    of_publishing,
    of_stream,
)
from unified_indexer.monitoring.readiness import NAMES, reasons
from unified_indexer.records import RECORD_TYPES
from unified_indexer.records.base.record_type import EVERY_OTHER
from unified_indexer.version import VERSION

# The two formats, as one would ask for them: what else a client asks for (a version, an escape) makes no text of its own.
PLAIN = "text/plain"
OPENMETRICS = "application/openmetrics-text"
KEPT_FOR = 1.0  # seconds: whoever asks more often gets the same again, so that asking can't take the loop's time


class Exposition(Collector):
    """The metrics of one worker. `relay`: its host. `ready_lag`: seconds (`unified_indexer/monitoring/readiness.py`)."""

    def __init__(self, history: History, relay: str, ready_lag: float, clock: Callable[[], float] = monotonic) -> None:
        self._history = history
        self._gauges = history.gauges
        self._relay = relay
        self._ready_lag = ready_lag
        self._clock = clock
        self._made: dict[str, tuple[float, bytes]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self, accept: str) -> tuple[bytes, str]:
        """The exposition, in OpenMetrics where `accept` (a request's header) names it; and its content type."""
        encode, content_type = choose_encoder(OPENMETRICS if OPENMETRICS in accept else PLAIN)
        made_at, text = self._made.get(content_type, (-KEPT_FOR, b""))
        if self._clock() - made_at >= KEPT_FOR:
            text = encode(self._registry)
            self._made[content_type] = (self._clock(), text)
        return text, content_type

    def rss(self) -> float | None:
        """The resident memory in bytes; None if the system does not say."""
        return self._registry.get_sample_value("process_resident_memory_bytes")

    def collect(self) -> Iterator[Metric]:
        """All metrics; prometheus-client calls it."""
        yield InfoMetricFamily(PREFIX, "The version, and the relay", {"version": VERSION, "relay": self._relay})
        yield from self._counters()
        yield from self._state()
        yield from self._stages()
        reads = self._gauges.session is not None
        yield from (metric for metric in self._work() if reads or metric.type == "counter")
        metrics = self._gauges.metrics
        yield histogram("commit_latency_seconds", "Time from a frame's arrival to its durable commit", metrics.latency)
        yield histogram("batch_events", "Events that a lane writes in one database call", metrics.batches)

    def _counters(self) -> Iterator[Metric]:
        metrics = self._gauges.metrics
        yield labelled("events", "Events received, by type", "type", metrics.events)
        yield counter("events_finished", "Events that were written, were stale, or were refused and kept", metrics.finished)
        yield self._operations()
        yield labelled("refused", "What could not be used, by reason", "reason", metrics.refused)
        yield labelled("filtered", "Events left out, in whole or in part, by reason", "reason", metrics.filtered)
        yield labelled("verified", "Commits and #syncs that were to be proven, by result", "result", metrics.verified)
        yield labelled(
            "bad_signatures",
            "Commits that their account did not sign, by its host",
            "host",
            metrics.bad_signatures,
        )
        yield counter("key_refreshes", "Keys asked for again, because one did not fit or had changed", metrics.refreshes)
        yield labelled("settled", "Unproven repos whose key came, by what it proved", "result", metrics.settled)
        yield counter("stale", "Commits that were not newer than what is stored", metrics.stale)
        yield counter(
            "stale_messages", "#account and #identity that were not newer than what is stored", metrics.stale_messages
        )
        yield counter("rev_forks", "Commits with the stored rev but other content", metrics.rev_fork)
        yield labelled(
            "doubts", "Commits that were applied, though something of their repo is missing", "reason", metrics.doubts
        )
        yield labelled("identity_lookups", "Look-ups of identities, by result", "result", dict(self._gauges.lookups))
        yield labelled(
            "confirmations", "What accounts' own servers said of a relay's word, by answer", "answer", metrics.confirmations
        )
        yield labelled("audited", "Random repos held against their own servers, by result", "result", metrics.audited)
        yield counter("reconnects", "Attempts to connect to the relay after the first", metrics.reconnects)
        yield counter("gaps", "Missing ranges of the stream", metrics.gaps)
        yield counter("dead_letters", "Operations and frames that were kept as dead letters", metrics.dead_letters)
        yield counter(
            "frames_dropped", "Dead letters kept without their frame, because there is no more room", metrics.frames_dropped
        )

    def _operations(self) -> Metric:
        family = CounterMetricFamily(
            f"{PREFIX}_operations", "Operations written, by collection and action", labels=("collection", "action")
        )
        operations = self._gauges.metrics.operations
        for record_type in RECORD_TYPES:
            collection = label(record_type.collection)
            family.add_metric((collection, "put"), operations[record_type.kind])
            family.add_metric((collection, "delete"), operations[record_type.kind + 1])
        return family

    def _work(self) -> Iterator[Metric]:
        """How far the work is: what the gauges among them said last is not so any more once this worker no longer does it."""
        yield from self._now()
        if (stream := self._gauges.stream) is not None:
            yield from of_stream(stream)
        if self._gauges.publishes:
            yield from of_publishing(self._gauges)
        yield from of_backfill(self._gauges.backfill, self._gauges.metrics)

    def _now(self) -> Iterator[Metric]:
        gauges = self._gauges
        yield gauge("events_per_second", "Events finished per second, over the last ten seconds", self._history.rate)
        if gauges.lag is not None:
            yield gauge("lag_seconds", "Age of the newest event up to which everything is written", gauges.lag)
        if gauges.received_seq is not None:
            yield gauge("received_seq", "The highest seq received", gauges.received_seq)
        if gauges.cursor is not None:
            yield gauge("cursor_seq", "The highest seq up to which everything is written", gauges.cursor)
        yield gauge("stuck_wipes", "Deleted accounts whose rows the database refuses to delete", gauges.metrics.stuck_wipes)
        yield gauge(
            "stuck_letters", "Waiting dead letters that failed again when they were retried", gauges.metrics.stuck_letters
        )
        yield gauge("unproven_repos", "Repos that wait for their account's key", gauges.metrics.unproven)
        if gauges.unproven_age is not None:
            yield gauge("unproven_seconds", "How long the first of the unproven repos has waited", gauges.unproven_age)
        yield gauge("identity_lookups_waiting", "Look-ups of identities that wait for their turn", gauges.lookups_waiting)
        silence = gauges.directory_silence or 0.0
        yield gauge("directory_silent_seconds", "Time since the directory of DIDs stopped answering, 0 while it does", silence)
        yield gauge(
            "deletions_unconfirmed", "Deletions that only the relay has reported so far", gauges.metrics.deletions_unconfirmed
        )
        yield gauge(
            "oldest_deletion_seconds", "Age of the oldest deletion that is not confirmed", gauges.metrics.oldest_deletion
        )
        yield gauge("connected", "1 while there is a connection to the relay", gauges.connected)

    def _state(self) -> Iterator[Metric]:
        found = {reason.name for reason in reasons(self._gauges, self._ready_lag)}
        if "decision" not in found:  # then nobody asks it
            yield gauge("database_answering", "1 while the database answers", not found & {"starting", "database"})
        yield gauge("ready", "1 while /readyz answers 200", not found)
        family = GaugeMetricFamily(f"{PREFIX}_not_ready", "1 for each reason that applies", labels=("reason",))
        for name in NAMES:
            family.add_metric((name,), name in found)
        yield family

    def _stages(self) -> Iterator[Metric]:
        gauges = self._gauges
        events = GaugeMetricFamily(f"{PREFIX}_lane_events", "Waiting events in a lane", labels=("lane",))
        size = GaugeMetricFamily(f"{PREFIX}_lane_bytes", "Bytes of waiting frames in a lane", labels=("lane",))
        for lane in gauges.lanes:
            events.add_metric((str(lane.number),), len(lane))
            size.add_metric((str(lane.number),), lane.bytes)
        yield from (events, size)
        yield gauge("lane_events_limit", "The largest number of events in a lane", gauges.lanes[0].max_events)
        yield gauge("pool_busy_connections", "Database connections in use", gauges.pool.busy)
        yield gauge("pool_size_connections", "The largest number of database connections (DB_POOL_SIZE)", gauges.pool.size)


def label(collection: str) -> str:
    """A record type's collection as a label; `other` for those without a table of their own."""
    return "other" if collection == EVERY_OTHER else collection
