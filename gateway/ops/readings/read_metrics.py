"""The metrics that are read from the gateway's parts when somebody asks: what they hold, and what they have counted.

Nothing is counted here while a request is answered. A part has a plain number, and `ReadMetrics.settle` reads it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge

# What becomes of the values of several workers. A `count` has grown since the start, and goes on when a worker is
# replaced; of the others, only workers that run count. `newest` is the value that was set last.
Kind: TypeAlias = Literal["count", "sum", "most", "least", "newest"]
_MODES: Mapping[str, Literal["livesum", "livemax", "livemin", "livemostrecent"]] = {
    "sum": "livesum",
    "most": "livemax",
    "least": "livemin",
    "newest": "livemostrecent",
}


class Reading(NamedTuple):
    """The value of one series: `labels` are the values of the metric's labels."""

    metric: str
    labels: tuple[str, ...]
    value: float


class MetricKind(NamedTuple):
    kind: Kind
    labels: str
    help: str


METRICS = {
    "gateway_build_info": MetricKind("most", "version python", "1, with the versions of the gateway and of Python"),
    "gateway_workers": MetricKind("sum", "", "Processes that serve"),
    "gateway_credentials_expiry_seconds": MetricKind(
        "least", "mount", "Seconds until the credentials expire, negative once they have; +Inf if they don't"
    ),
    "gateway_circuits_open": MetricKind(
        "sum",
        "mount upstream",
        "Servers that are known to be down: requests to them fail at once, except for a probe now and then",
    ),
    "gateway_upstream_connections": MetricKind("sum", "mount upstream state", "Connections to a server that are open"),
    "gateway_upstream_connections_max": MetricKind("sum", "mount upstream", "Most connections that may be busy"),
    "gateway_upstream_requests_waiting": MetricKind("sum", "mount upstream", "Requests that wait for a connection"),
    "gateway_upstream_retries": MetricKind("count", "mount upstream", "Requests that were sent again"),
    "gateway_policy_refusals": MetricKind(
        "count", "mount verdict", "Requests for files of the other index that the policy withholds"
    ),
    "gateway_policy_advisories_age_seconds": MetricKind(
        "most", "mount", "Age of the advisories that the policy heeds; +Inf while there are none"
    ),
    "gateway_policy_exceptions": MetricKind("most", "mount", "Exceptions from the policy that are known"),
    "gateway_memory_cache_bytes": MetricKind("sum", "pool cache", "Memory that a cache holds"),
    "gateway_memory_cache_entries": MetricKind("sum", "pool cache", "Entries that a cache in memory holds"),
    "gateway_memory_cache_max_bytes": MetricKind("sum", "pool", "Most memory that the caches of a pool hold together"),
    "gateway_disk_cache_bytes": MetricKind("newest", "", "Bytes that the disk cache holds, by the last count"),
    "gateway_disk_cache_entries": MetricKind("newest", "", "Entries that the disk cache holds, by the last count"),
    "gateway_disk_cache_max_bytes": MetricKind("most", "", "Most bytes that the disk cache holds"),
    "gateway_disk_cache_off": MetricKind("most", "mount", "1 while the disk cache is off, because the disk has failed"),
    "gateway_cache_fills": MetricKind("sum", "mount", "Fetches that fill the cache"),
    "gateway_cache_fill_readers": MetricKind("sum", "mount", "Requests that are answered from them"),
    "gateway_transfer_memory_bytes": MetricKind("sum", "", "Memory that bodies on their way hold"),
    "gateway_transfer_memory_max_bytes": MetricKind("sum", "", "Most memory that they hold"),
    "gateway_listing_age_seconds": MetricKind(
        "most", "mount", "Age of the oldest listing that a page was made from in the last one to two minutes"
    ),
    "gateway_downloads": MetricKind("sum", "mount", "Files of the other index that are being fetched or kept"),
    "gateway_downloads_temp_bytes": MetricKind("sum", "mount", "Disk that they take meanwhile"),
    "gateway_uploads_running": MetricKind("sum", "memory", "Uploads that have memory"),
    "gateway_uploads_waiting": MetricKind("sum", "memory", "Uploads that wait for memory"),
    "gateway_upload_memory_bytes": MetricKind("sum", "memory", "Memory that uploads have"),
    "gateway_upload_memory_max_bytes": MetricKind("sum", "memory", "Most memory that uploads have"),
    "gateway_client_connections": MetricKind("sum", "", "Connections of clients that are open"),
    "gateway_client_connections_max": MetricKind("sum", "", "Most connections of clients that may be open"),
    "gateway_client_connections_refused": MetricKind("count", "", "Connections of clients that were refused"),
    "gateway_executor_threads": MetricKind("sum", "executor", "Threads for a kind of work"),
    "gateway_executor_threads_max": MetricKind("sum", "executor", "Most threads for a kind of work"),
    "gateway_executor_queue_length": MetricKind("sum", "executor", "Work that waits for a thread"),
    "gateway_event_loop_lag_seconds": MetricKind(
        "most", "", "How late the event loop was at most in the last one to two minutes"
    ),
}


class ReadMetrics:
    """Brings the metrics of METRICS up to date. Series that are no longer read, as of a mount that is gone, become 0,
    or +Inf where the least of all counts."""

    def __init__(self, registry: CollectorRegistry, metrics: Mapping[str, MetricKind] = METRICS) -> None:
        self.sources: list[Callable[[], Iterable[Reading]]] = []
        self._metrics: dict[str, Counter | Gauge] = {}
        self._kinds = {name: metric.kind for name, metric in metrics.items()}
        for name, (kind, labels, text) in metrics.items():
            if kind == "count":
                self._metrics[name] = Counter(name, text, labels.split(), registry=registry)
            else:
                mode = _MODES[kind]
                self._metrics[name] = Gauge(name, text, labels.split(), registry=registry, multiprocess_mode=mode)
        self._last: dict[tuple[str, tuple[str, ...]], float] = {}

    def settle(self) -> None:
        """Reads all sources. What has not changed costs next to nothing."""
        before, self._last = self._last, {}
        for source in self.sources:
            for metric, labels, value in source():
                series = metric, labels
                last = before.pop(series, None)
                self._last[series] = value
                if value != last:
                    self._set(metric, labels, value, last)
        for (metric, labels), last in before.items():
            if self._kinds[metric] != "count":
                self._set(metric, labels, float("inf") if self._kinds[metric] == "least" else 0.0, last)

    def _set(self, metric: str, labels: tuple[str, ...], value: float, last: float | None) -> None:
        found = self._metrics[metric]
        series = found.labels(*labels) if labels else found
        if isinstance(series, Gauge):
            series.set(value)
        else:  # a part that has taken another's place counts from 0 again
            series.inc(value - last if last is not None and last <= value else value)
