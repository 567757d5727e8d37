"""Samples in Prometheus's format, and those of what fetches whole repos."""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from time import monotonic

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from unified_indexer.backfill.backfill import Backfill
from unified_indexer.backfill.eta import eta
from unified_indexer.metrics import Histogram, Metrics
from unified_indexer.monitoring.fetching import hindrance
from unified_indexer.monitoring.gauges import Gauges
from unified_indexer.stream.partitions import Partitions

PREFIX = "unified_worker"
HINDRANCES = ("paused", "stream", "disk", "size")


def counter(name: str, meaning: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", meaning, value=value)


def gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", meaning, value=value)


def labelled(name: str, meaning: str, by: str, counts: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", meaning, labels=(by,))
    for key, count in sorted(counts.items()):
        family.add_metric((key,), count)
    return family


def labelled_gauge(name: str, meaning: str, by: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", meaning, labels=(by,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def histogram(name: str, meaning: str, values: Histogram) -> Metric:
    bounds = (*(str(bound) for bound in values.bounds), "+Inf")
    counts = accumulate(values.counts)  # Prometheus counts what lies below a bound, all of it
    return HistogramMetricFamily(
        f"{PREFIX}_{name}", meaning, buckets=list(zip(bounds, counts, strict=True)), sum_value=values.sum
    )


def of_backfill(backfill: Backfill, metrics: Metrics) -> Iterator[Metric]:
    """What is fetched, and how far that is."""
    yield labelled("repairs", "Repos that were to be fetched whole, by result", "result", metrics.repairs)
    yield labelled("repaired_records", "Records of fetched repos, by what was done", "what", metrics.repaired_records)
    yield labelled("backfill_ended", "Attempts to fetch a repo and write it, by how they ended", "end", metrics.repair_ends)
    yield labelled("backfill_seconds", "Time spent on whole repos, all of them together", "phase", backfill.seconds)
    yield counter("backfill_bytes", "Bytes of whole repos that came, decoded", backfill.fetcher.received)
    yield gauge("backfill_in_flight", "Requests for whole repos and pages of lists", backfill.paces.in_flight)
    states = backfill.paces.states(monotonic())
    yield labelled_gauge("backfill_hosts", "Hosts that were asked, by how they are asked now", "state", states)
    standing, why = backfill.standing, hindrance(backfill)
    held = {name: float(name == why) for name in HINDRANCES}
    yield labelled_gauge("backfill_held", "1 for the reason why no repo is fetched now", "reason", held)
    if standing is None:
        return
    repos = {name: getattr(standing, name) for name in ("wanted", "due", "under_way", "failed", "unavailable")}
    yield labelled_gauge("backfill_repos", "Repos that are to be fetched, by state", "state", repos)
    jobs = {"reading": standing.reading, "waiting": standing.waiting, "paused": standing.paused_jobs}
    yield labelled_gauge("backfill_jobs", "Backfills whose lists are not read to their end, by state", "state", jobs)
    yield gauge("backfill_lists", "Lists of repos that are not read to their end", standing.lists)
    yield gauge("backfill_left", "Repos that are to be fetched, also those not found yet, as far as is known", standing.left)
    if (known := eta(standing)) is not None:
        yield labelled_gauge("backfill_eta_seconds", "When all is fetched, at least and at most", "bound", known._asdict())


def of_stream(stream: Partitions) -> Iterator[Metric]:
    """The stream's server, and this worker's part of it."""
    yield gauge("stream_partitions", "Partitions that this worker reads", len(stream.parts))
    yield gauge("stream_workers", "Workers that share the partitions", stream.workers)
    if stream.memory is not None:
        yield gauge(
            "stream_memory_ratio", "Memory of the stream's server that is in use, as a share of its limit", stream.memory
        )
    yield gauge("stream_full", "1 while the relay is not read, because that server is nearly full", stream.full)


def of_publishing(gauges: Gauges) -> Iterator[Metric]:
    """What other services can follow."""
    metrics = gauges.metrics
    yield counter("published", "Entries that the server of PUBLISH has taken from this worker", metrics.published)
    yield gauge("publish_waiting", "Entries of all workers that wait for that server", metrics.publish_waiting)
    yield gauge("publish_failing_seconds", "Time for which it has taken nothing, 0 while it does", gauges.publish_failing)
