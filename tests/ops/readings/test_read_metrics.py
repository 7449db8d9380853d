"""Metrics that are read: alone, and of several workers."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client import values as of_processes
from prometheus_client.multiprocess import mark_process_dead

from gateway.ops.metrics import MULTIPROCESS_DIR, Metrics, count_as
from gateway.ops.readings.read_metrics import METRICS, MetricKind, Reading, ReadMetrics
from tests.ops.test_metrics import values

CIRCUITS, RETRIES = "gateway_circuits_open", "gateway_upstream_retries"
STORAGE = ("m", "storage")


def read(*readings: Reading) -> tuple[Metrics, list[Reading]]:
    """Metrics that read what is in the list."""
    metrics, now = Metrics(), [*readings]
    metrics.read_from(lambda: now)
    return metrics, now


def test_what_is_read_is_told_at_once() -> None:
    metrics, now = read(Reading(CIRCUITS, STORAGE, 2))
    assert values(metrics)[f"{CIRCUITS} mount=m upstream=storage"] == 2
    now[:] = [Reading(CIRCUITS, STORAGE, 0)]
    assert values(metrics)[f"{CIRCUITS} mount=m upstream=storage"] == 0


def test_a_count_grows_by_what_its_part_has_counted_since() -> None:
    name = f"{RETRIES}_total mount=m upstream=storage"
    metrics, now = read(Reading(RETRIES, STORAGE, 0))
    assert values(metrics)[name] == 0
    for counted, total in [(5, 5), (5, 5), (7, 7), (2, 9), (3, 10)]:  # another part takes the place of the first at 2
        now[:] = [Reading(RETRIES, STORAGE, counted)]
        assert values(metrics)[name] == total


def test_series_of_what_is_gone_come_to_rest() -> None:
    expiry = "gateway_credentials_expiry_seconds"
    metrics, now = read(Reading(CIRCUITS, STORAGE, 2), Reading(RETRIES, STORAGE, 4), Reading(expiry, ("m",), 60))
    values(metrics)
    now.clear()
    found = values(metrics)
    assert found[f"{CIRCUITS} mount=m upstream=storage"] == 0
    assert found[f"{RETRIES}_total mount=m upstream=storage"] == 4
    assert found[f"{expiry} mount=m"] == float("inf")
    now[:] = [Reading(RETRIES, STORAGE, 1)]
    assert values(metrics)[f"{RETRIES}_total mount=m upstream=storage"] == 5


def test_what_has_not_changed_is_not_set_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several workers, each change is a write to a file, for each of thousands of series each second."""
    metrics, now = read(Reading(CIRCUITS, STORAGE, 2), Reading(RETRIES, STORAGE, 4))
    metrics.settle()
    changed: list[str] = []
    monkeypatch.setattr(ReadMetrics, "_set", lambda self, metric, *rest: changed.append(metric))
    metrics.settle()
    assert changed == []
    now[0] = Reading(CIRCUITS, STORAGE, 1)
    metrics.settle()
    assert changed == [CIRCUITS]


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable[..., Metrics]]:
    """Makes the metrics of a worker in a slot."""
    monkeypatch.setenv(MULTIPROCESS_DIR, str(tmp_path))
    monkeypatch.setattr(of_processes, "ValueClass", of_processes.ValueClass)  # `count_as` sets it

    def of(slot: int) -> Callable[..., Metrics]:
        def settled(*readings: Reading) -> Metrics:
            count_as(slot)
            metrics, _ = read(*readings)
            metrics.settle()
            return metrics

        return settled

    return of


@pytest.mark.parametrize(
    ("metric", "labels", "each", "together"),
    [
        (CIRCUITS, STORAGE, (1, 0, 2), 3),
        ("gateway_credentials_expiry_seconds", ("m",), (300, float("inf"), 60), 60),
        ("gateway_listing_age_seconds", ("m",), (5, 70, 0), 70),
        ("gateway_build_info", ("1", "3.13"), (1, 1, 1), 1),
        ("gateway_workers", (), (1, 1, 1), 3),
        ("gateway_disk_cache_bytes", (), (500, 900, 700), 700),
        (RETRIES, STORAGE, (1, 0, 4), 5),
    ],
)
def test_workers_are_told_as_one(
    workers: Callable[[int], Callable[..., Metrics]],
    metric: str,
    labels: tuple[str, ...],
    each: Iterable[float],
    together: float,
) -> None:
    all_of_them = [workers(slot)(Reading(metric, labels, value)) for slot, value in enumerate(each)]
    names = METRICS[metric].labels.split()
    name = metric + ("_total" if METRICS[metric].kind == "count" else "")
    name += "".join(f" {label}={value}" for label, value in sorted(zip(names, labels, strict=True)))
    assert [values(one)[name] for one in all_of_them] == [together] * 3


def test_a_worker_that_replaces_another_goes_on_with_its_counts_and_not_with_what_it_held(
    workers: Callable[[int], Callable[..., Metrics]], tmp_path: Path
) -> None:
    first = workers(0)(Reading(CIRCUITS, STORAGE, 1), Reading(RETRIES, STORAGE, 3))
    workers(1)(Reading(CIRCUITS, STORAGE, 1), Reading(RETRIES, STORAGE, 4))
    files = sorted(tmp_path.iterdir())
    mark_process_dead(1)  # type: ignore[no-untyped-call]
    found = values(first)
    assert (found[f"{CIRCUITS} mount=m upstream=storage"], found["gateway_workers"]) == (1, 0)
    workers(1)(Reading(CIRCUITS, STORAGE, 0), Reading(RETRIES, STORAGE, 2))
    found = values(first)
    assert found[f"{CIRCUITS} mount=m upstream=storage"] == 1
    assert found[f"{RETRIES}_total mount=m upstream=storage"] == 9
    assert sorted(tmp_path.iterdir()) == files


def test_names_follow_the_conventions_of_prometheus() -> None:
    """Base units, which the name tells; https://prometheus.io/docs/practices/naming/. The library adds `_total`."""
    for name, metric in METRICS.items():
        assert name.startswith("gateway_")
        assert not name.endswith(("_total", "_count", "_milliseconds", "_kilobytes", "_ms", "_percent", "_ratio"))
        assert not metric.help.endswith(".")
    registry = CollectorRegistry()
    ReadMetrics(registry, {"a_b": MetricKind("count", "", "Help")})
    assert b"# TYPE a_b_total counter" in generate_latest(registry)
