from pathlib import Path

import pytest
from prometheus_client import values as of_processes

from gateway.ops.metrics import MULTIPROCESS_DIR, Metrics, count_as
from gateway.ops.readings.process import METRICS, process_readings
from tests.ops.test_metrics import values


def test_it_is_what_prometheus_client_tells_of_one_process() -> None:
    found = {reading.metric: reading.value for reading in process_readings()}
    assert found.keys() == METRICS.keys()
    alone = values(Metrics())
    assert {f"{name}_total" if METRICS[name].kind == "count" else name for name in found} <= alone.keys()
    assert found["process_start_time_seconds"] == alone["process_start_time_seconds"]
    assert found["process_resident_memory_bytes"] > 10_000_000


def test_workers_take_the_sum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MULTIPROCESS_DIR, str(tmp_path))
    monkeypatch.setattr(of_processes, "ValueClass", of_processes.ValueClass)  # `count_as` sets it
    workers = []
    for slot in range(2):
        count_as(slot)
        workers.append(Metrics())
        workers[-1].settle()
    one = {reading.metric: reading.value for reading in process_readings()}
    found = values(workers[0])
    assert found["process_resident_memory_bytes"] > 1.5 * one["process_resident_memory_bytes"]
    assert found["process_max_fds"] == 2 * one["process_max_fds"]
    assert found["process_start_time_seconds"] == one["process_start_time_seconds"]
    assert found["process_cpu_seconds_total"] > 1.5 * one["process_cpu_seconds"] > 0
