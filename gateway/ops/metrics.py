"""Prometheus metrics."""

import os
from collections import Counter as Tally
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from gateway.errors import TooManyAttemptsError
from gateway.messages import RequestRecord
from gateway.ops.readings import process
from gateway.ops.readings.read_metrics import METRICS, Reading, ReadMetrics

# Set before the workers are started: the directory of the files in which they share their metrics.
MULTIPROCESS_DIR = "PROMETHEUS_MULTIPROC_DIR"
# Servers choose their codes: more than S3 has, or a code for each answer, would be series without end.
_MOST_CODES = 100
_OTHER = "other"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})
_TTFB_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

# prometheus_client asks the environment, which may be meant for another program: a single process counts for itself.
values.ValueClass = values.MutexValue


def count_as(slot: int) -> None:
    """Names the files of this process by `slot` instead of its process id: a worker continues the files of the dead one
    whose slot it has, and there are never more files than workers. Call before creating Metrics."""
    values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


class Metrics:
    """The gateway's metrics. With several workers, each of them reports the sum of all.

    Requests are counted in plain numbers, which `settle` adds to prometheus_client's counters: each of those takes a
    lock, and with several workers writes to a file. What the parts hold is read by `settle` too (see read_metrics.py).
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would be a second series for each metric
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "gateway_requests",
            "Requests by method, route and status",
            ["mount", "method", "route", "status"],
            registry=registry,
        )
        self._bytes = Counter("gateway_response_body_bytes", "Body bytes sent to clients", ["mount"], registry=registry)
        self._ttfb = Histogram(
            "gateway_time_to_first_byte_seconds",
            "From the request's head to the first byte of the answer's body",
            ["mount", "route"],
            buckets=_TTFB_BUCKETS_SECONDS,
            registry=registry,
        )
        self._upstream_errors = Counter(
            "gateway_upstream_errors",
            "Error answers of the storage, retried ones included",
            ["mount", "code"],
            registry=registry,
        )
        self._in_flight = Gauge(
            "gateway_requests_in_flight",
            "Requests being answered",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._cached = Counter(
            "gateway_cache_hits",
            "Answers from memory, from disk, or from a fetch shared with other clients",
            ["mount", "source"],
            registry=registry,
        )
        self._fetched = {
            "miss": Counter(
                "gateway_cache_misses",
                "Answers with an object that no cache had, so that the storage was asked for it",
                ["mount"],
                registry=registry,
            ),
            "revalidated": Counter(
                "gateway_cache_revalidations",
                "Answers with a cached object for which the storage was asked whether it is still the newest",
                ["mount"],
                registry=registry,
            ),
        }
        self._stale = Counter(
            "gateway_stale_answers",
            "Answers with something older than it should be, because the storage or the other index can't be asked",
            ["mount"],
            registry=registry,
        )
        self._log_lines_dropped = Counter(
            "gateway_log_lines_dropped", "Lines of the logs that could not be written", registry=registry
        )
        self._beacon_failures = Counter(
            "gateway_beacon_failures",
            "Failed requests by which gateways tell each other what is published",
            ["mount", "operation"],
            registry=registry,
        )
        self._auth = Counter(
            "gateway_auth",
            "Requests with access control, by the authenticator that knew their credentials, and by result",
            ["method", "result"],
            registry=registry,
        )
        # What `settle` has not yet added of the requests that have ended, and how many requests are in flight.
        self._ended: Tally[tuple[str, str, str, int]] = Tally()
        self._ended_cached: Tally[tuple[str, str]] = Tally()
        self._ended_bytes: Tally[str] = Tally()
        self._ended_fetched: Tally[tuple[str, str]] = Tally()
        self._ended_stale: Tally[str] = Tally()
        self.in_flight = 0
        # What became of requests with access control, by authenticator and result.
        self.auth_outcomes: Tally[tuple[str, str]] = Tally()
        self._mounts: dict[str, MountMetrics] = {}
        self._ttfb_histograms: dict[tuple[str, str], Histogram] = {}
        self._several = values.ValueClass is not values.MutexValue
        self._read = ReadMetrics(registry, METRICS | process.METRICS if self._several else METRICS)
        if self._several:
            self.read_from(process.process_readings)
        else:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)

    def read_from(self, source: Callable[[], Iterable[Reading]]) -> None:
        """Has `settle` read the series of `source`, of metrics that are in METRICS."""
        self._read.sources.append(source)

    def of(self, mount: str) -> "MountMetrics":
        """Those that one mount counts itself."""
        found = self._mounts.get(mount)
        if found is None:
            for source in ("memory", "disk", "shared"):
                self._cached.labels(mount, source)
            for counter in (*self._fetched.values(), self._stale):
                counter.labels(mount)
            found = self._mounts[mount] = MountMetrics(mount, self._upstream_errors, self._beacon_failures)
        return found

    def observe_fetched(self, record: RequestRecord) -> None:
        """Counts what a finished request took, unless it has been answered with a cached reply. `observe` comes too."""
        if record.fetched:
            self._ended_fetched[record.mount, record.fetched] += 1
        if record.usage is not None and record.usage.stale:
            self._ended_stale[record.mount] += 1

    def observe(self, record: RequestRecord) -> None:
        """Counts a finished request."""
        method = record.method if record.method in _METHODS else _OTHER
        mount, route = record.mount, record.route
        self._ended[mount, method, route, record.status] += 1
        self._ended_bytes[mount] += record.sent_bytes
        if record.cache:
            self._ended_cached[mount, record.cache] += 1
        if record.first_byte is not None and record.status != TooManyAttemptsError.status:  # that waits on purpose
            histogram = self._ttfb_histograms.get((mount, route))
            if histogram is None:
                histogram = self._ttfb_histograms[mount, route] = self._ttfb.labels(mount, route)
            histogram.observe(record.first_byte - record.started)

    def settle(self) -> None:
        """Brings the metrics up to date; with several workers, the others then see them. `render` calls it."""
        for (mount, method, route, status), count in self._ended.items():
            self._requests.labels(mount, method, route, str(status)).inc(count)
        for (mount, source), count in self._ended_cached.items():
            self._cached.labels(mount, source).inc(count)
        for mount, count in self._ended_bytes.items():
            self._bytes.labels(mount).inc(count)
        for (mount, fetched), count in self._ended_fetched.items():
            self._fetched[fetched].labels(mount).inc(count)
        for mount, count in self._ended_stale.items():
            self._stale.labels(mount).inc(count)
        self._in_flight.set(self.in_flight)
        self._read.settle()
        for (method, result), count in self.auth_outcomes.items():
            self._auth.labels(method, result).inc(count)
        self.auth_outcomes.clear()
        self._ended.clear()
        self._ended_cached.clear()
        self._ended_bytes.clear()
        self._ended_fetched.clear()
        self._ended_stale.clear()

    def log_lines_dropped(self, lines: int) -> None:
        self._log_lines_dropped.inc(lines)

    def render(self) -> bytes:
        """The text exposition format, up to date."""
        self.settle()
        return self.text()

    def text(self) -> bytes:
        """The same as of the last `settle`. For a thread: many mounts and workers have thousands of series."""
        registry = self._registry
        if self._several:
            registry = CollectorRegistry()
            _OfAllWorkers(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


class _OfAllWorkers(MultiProcessCollector):
    """What the files of all workers say, but for those that a worker is just creating, which are empty."""

    def collect(self) -> Iterable[Metric]:
        files = (file for file in Path(os.environ[MULTIPROCESS_DIR]).glob("*.db") if _has_content(file))
        return self.merge(map(str, files))  # type: ignore[no-untyped-call,no-any-return]


def _has_content(file: Path) -> bool:
    with suppress(FileNotFoundError):  # its worker is dead
        return file.stat().st_size > 0
    return False


class MountMetrics:
    """What one mount counts."""

    def __init__(self, mount: str, upstream_errors: Counter, beacon_failures: Counter) -> None:
        self._mount = mount
        self._codes: set[str] = set()
        self._upstream_errors = upstream_errors
        self._beacon_failures = beacon_failures

    def upstream_fault(self, code: str) -> None:
        if code not in self._codes and len(self._codes) >= _MOST_CODES:
            code = _OTHER
        self._codes.add(code)
        self._upstream_errors.labels(self._mount, code).inc()

    def beacon_failed(self, operation: str) -> None:
        """`operation` is `read` or `write`."""
        self._beacon_failures.labels(self._mount, operation).inc()
