import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import values as of_processes
from prometheus_client.parser import text_string_to_metric_families

from gateway.messages import RequestRecord
from gateway.ops.metrics import MULTIPROCESS_DIR, Metrics, count_as
from gateway.ops.readings.read_metrics import Reading


def values(metrics: Metrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        sample.name + "".join(f" {label}={value}" for label, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def exchange(method: str, status: int, sent_bytes: int = 0, first_byte: float | None = None) -> RequestRecord:
    return RequestRecord(
        "id", method, "/", "c", "a", 100.0, "m", status=status, sent_bytes=sent_bytes, first_byte=first_byte
    )


def test_requests_are_counted_by_method_route_and_status() -> None:
    metrics = Metrics()
    metrics.observe(exchange("GET", 200, sent_bytes=7, first_byte=100.02))
    metrics.observe(exchange("GET", 200, sent_bytes=5, first_byte=100.02))
    metrics.observe(exchange("HEAD", 404))
    found = values(metrics)
    assert found["gateway_requests_total method=GET mount=m route=object status=200"] == 2
    assert found["gateway_requests_total method=HEAD mount=m route=object status=404"] == 1
    assert found["gateway_response_body_bytes_total mount=m"] == 12
    assert found["gateway_time_to_first_byte_seconds_count mount=m route=object"] == 2
    assert found["gateway_time_to_first_byte_seconds_bucket le=0.01 mount=m route=object"] == 0
    assert found["gateway_time_to_first_byte_seconds_bucket le=0.025 mount=m route=object"] == 2


def test_made_up_methods_make_one_series() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.observe(exchange(f"X{number}", 405))
    found = values(metrics)
    assert found["gateway_requests_total method=other mount=m route=object status=405"] == 100
    assert sum(name.startswith("gateway_requests_total") for name in found) == 1


def test_upstream_errors_are_counted_by_code() -> None:
    metrics = Metrics()
    metrics.of("m").upstream_fault("SlowDown")
    assert values(metrics)["gateway_upstream_errors_total code=SlowDown mount=m"] == 1


def test_made_up_codes_make_so_many_series_and_no_more() -> None:
    metrics = Metrics()
    for number in range(300):
        metrics.of("m").upstream_fault(f"Code{number}")
    metrics.of("m").upstream_fault("Code7")
    found = values(metrics)
    assert found["gateway_upstream_errors_total code=Code7 mount=m"] == 2
    assert found["gateway_upstream_errors_total code=other mount=m"] == 200
    assert sum(name.startswith("gateway_upstream_errors_total") for name in found) == 101


def test_clients_that_are_made_to_wait_do_not_count_as_slow_answers() -> None:
    metrics = Metrics()
    metrics.observe(exchange("GET", 429, first_byte=105.0))
    metrics.observe(exchange("GET", 200, first_byte=100.02))
    assert values(metrics)["gateway_time_to_first_byte_seconds_count mount=m route=object"] == 1


def expiring(expires_at: Callable[[], float | None]) -> Metrics:
    def readings() -> Iterator[Reading]:
        at = expires_at()
        yield Reading("gateway_credentials_expiry_seconds", ("m",), float("inf") if at is None else at - time.time())

    metrics = Metrics()
    metrics.read_from(readings)
    return metrics


def test_seconds_to_the_expiry_of_the_credentials() -> None:
    name = "gateway_credentials_expiry_seconds mount=m"
    assert values(expiring(lambda: None))[name] == float("inf")
    assert 3590 < values(expiring(lambda: time.time() + 3600))[name] <= 3600


def test_workers_report_the_soonest_expiry_of_the_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of them is asked, and whether or not the others have ever been."""
    monkeypatch.setenv(MULTIPROCESS_DIR, str(tmp_path))
    monkeypatch.setattr(of_processes, "ValueClass", of_processes.ValueClass)  # `count_as` sets it
    expiries = [None, 7200.0, 3600.0]
    workers = []
    for slot in range(3):
        count_as(slot)
        workers.append(expiring(lambda slot=slot: None if (left := expiries[slot]) is None else time.time() + left))  # type: ignore[misc]
        if slot != 2:  # that one has only just begun
            workers[slot].settle()
    assert 7190 < values(workers[1])["gateway_credentials_expiry_seconds mount=m"] <= 7200
    workers[2].settle()
    assert 3590 < values(workers[1])["gateway_credentials_expiry_seconds mount=m"] <= 3600
    expiries[2] = 9000.0  # refreshed
    workers[2].settle()
    assert 7190 < values(workers[1])["gateway_credentials_expiry_seconds mount=m"] <= 7200


def test_a_single_process_counts_for_itself_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable may be that of another program: its counts would be told, and those of processes that are gone."""
    monkeypatch.setenv(MULTIPROCESS_DIR, str(tmp_path))
    assert of_processes.ValueClass is of_processes.MutexValue
    metrics = Metrics()
    metrics.observe(exchange("GET", 200))
    assert values(metrics)["gateway_requests_total method=GET mount=m route=object status=200"] == 1
    assert [*tmp_path.iterdir()] == []


def test_a_worker_that_is_just_creating_its_files_spoils_no_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MULTIPROCESS_DIR, str(tmp_path))
    monkeypatch.setattr(of_processes, "ValueClass", of_processes.ValueClass)  # `count_as` sets it
    count_as(0)
    metrics = Metrics()
    metrics.observe(exchange("GET", 200))
    for kind in ("counter", "gauge_livesum"):
        (tmp_path / f"{kind}_1.db").touch()
    assert values(metrics)["gateway_requests_total method=GET mount=m route=object status=200"] == 1


def test_requests_in_flight() -> None:
    metrics = Metrics()
    metrics.in_flight += 1
    assert values(metrics)["gateway_requests_in_flight"] == 1
