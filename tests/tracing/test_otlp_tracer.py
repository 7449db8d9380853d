"""How traces are exported, and that no request notices if they can't be."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.tracing.context import TraceContext
from gateway.tracing.otlp_tracer import OtlpTracer
from gateway.tracing.span import current
from tests.conftest import StartGateway, StartProcess
from tests.support.collector import Collector
from tests.support.faults import FaultyBucket
from tests.support.http import fetch
from tests.support.workers import eventually, get, started, two_workers

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
def nowhere() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def exported(collector: Collector, tracer: OtlpTracer) -> None:
    """Records one span."""
    tracer.start()
    tracer.begin("GET", None).end()
    await tracer.close()
    assert len(collector.spans) == 1


@pytest.mark.parametrize("suffix", ["", "/", "/v1/traces", "/v1/traces/"])
async def test_the_endpoint_is_the_collector_s_url_with_or_without_the_path(collector: Collector, suffix: str) -> None:
    await exported(collector, OtlpTracer(collector.url + suffix, None, None))
    assert collector.paths == {"/v1/traces"}


@pytest.mark.parametrize(
    ("variable", "suffix", "path"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "/base", "/base/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/as-it-is", "/as-it-is"),
    ],
)
async def test_the_environment_tells_the_endpoint_if_no_setting_does(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, variable: str, suffix: str, path: str
) -> None:
    monkeypatch.setenv(variable, collector.url + suffix)
    await exported(collector, OtlpTracer(None, None, None))
    assert collector.paths == {path}


async def test_a_setting_beats_the_environment(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, nowhere: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", nowhere)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "of-the-environment")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    await exported(collector, OtlpTracer(collector.url, 1, "of-the-settings"))
    assert collector.spans[0].service == "of-the-settings"


@pytest.mark.parametrize(
    ("environ", "service"),
    [
        ({}, "gateway"),
        ({"OTEL_SERVICE_NAME": "pypi"}, "pypi"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=pypi,deployment.environment=test"}, "pypi"),
    ],
)
async def test_the_name_of_the_service(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], service: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    await exported(collector, OtlpTracer(collector.url, None, None))
    assert collector.spans[0].service == service


@pytest.mark.parametrize(
    ("ratio", "sampler", "flags", "recorded"),
    [
        (None, None, None, True),
        (1.0, None, None, True),
        (0.0, None, None, False),
        (0.0, None, 1, True),
        (1.0, None, 0, False),
        (None, "always_off", None, False),
        (None, "parentbased_always_off", None, False),
        (None, "parentbased_always_off", 1, True),
        (None, "always_off", 1, False),  # whoever does not trust its clients
    ],
)
def test_which_requests_are_recorded(
    monkeypatch: pytest.MonkeyPatch, ratio: float | None, sampler: str | None, flags: int | None, recorded: bool
) -> None:
    if sampler is not None:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    before = TraceContext(TRACE, SPAN, flags, "congo=t61rcWkgMzE") if flags is not None else None
    span = OtlpTracer(None, ratio, None).begin("GET", before)
    assert span.recorded is recorded
    assert span.context is not None
    assert span.context.sampled is (recorded or bool(flags))
    if before is not None:
        assert (span.context.trace_id, span.context.state) == (TRACE, "congo=t61rcWkgMzE")
        assert (span.context.span_id == SPAN) is not recorded


def test_code_that_has_left_spans_with_a_bug_is_within_none() -> None:
    span = OtlpTracer(None, None, None).begin("GET", None)
    with pytest.raises(ZeroDivisionError), span, span.child("index"):
        raise ZeroDivisionError
    assert not current.get().recorded


def test_a_span_has_only_so_many_links() -> None:
    tracer = OtlpTracer(None, None, None)
    span = tracer.begin("GET", None)
    others = [tracer.begin("GET", None) for _ in range(40)]
    for other in [others[0], *others, *others, span, span.child("fill")]:
        span.link(other)
    assert len(span._span.links) == 32  # type: ignore[attr-defined]


async def test_bytes_that_are_no_text_are_escaped_and_keep_no_span_from_the_collector(collector: Collector) -> None:
    tracer = OtlpTracer(collector.url, None, None)
    tracer.start()
    span = tracer.begin("GET", None)
    span.note({"user_agent.original": "curl \udcffé", "http.response.status_code": 503})
    span.fail("503", "no \udcfe")
    span.end()
    await tracer.close()
    [found] = collector.spans
    assert found.attributes["user_agent.original"] == r"curl \udcffé"
    assert (found.attributes["http.response.status_code"], found.why) == (503, r"no \udcfe")


@pytest.mark.parametrize("kind", ["nowhere", "refuses", "hangs"])
async def test_a_collector_that_is_down_harms_nothing(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    collector: Collector,
    nowhere: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    kind: str,
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=the-key-of-the-collector")
    collector.status, collector.hangs = 403 if kind == "refuses" else 200, kind == "hangs"
    faulty.objects["a.txt"] = b"a"
    url = nowhere if kind == "nowhere" else collector.url
    gateway = await start_gateway(faulty_settings | {"tracing.enabled": "true", "tracing.endpoint": url})
    port = int(gateway.url.rpartition(":")[2])
    for _ in range(10):
        assert {answer.status for answer in await asyncio.gather(*[fetch(port, "/a.txt") for _ in range(10)])} == {200}
    tracer = gateway._tracer
    assert isinstance(tracer, OtlpTracer)
    assert len(queue(tracer)) <= 50
    tracer.close_seconds = 0.2
    before = time.monotonic()
    await gateway.stop()
    assert time.monotonic() - before < 2
    assert collector.spans == []
    assert len([record for record in caplog.records if record.name == "gateway.tracing"]) <= 1
    assert "the-key-of-the-collector" not in caplog.text


def queue(tracer: OtlpTracer) -> list[object]:
    [processor] = tracer._provider._active_span_processor._span_processors
    return [*processor._batch_processor._queue]  # type: ignore[attr-defined]


async def test_what_has_not_been_exported_is_when_the_gateway_stops(
    start_gateway: StartGateway,
    faulty_settings: dict[str, str],
    collector: Collector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    gateway = await start_gateway(faulty_settings | {"tracing.enabled": "true", "tracing.endpoint": collector.url})
    await fetch(int(gateway.url.rpartition(":")[2]), "/a.txt")
    assert collector.spans == []
    await gateway.stop()
    assert len(collector.named("GET object")) == 1


def test_each_worker_exports_what_it_has_answered(
    start_process: StartProcess, collector: Collector, tmp_path: Path
) -> None:
    settings = {"tracing.enabled": "true", "tracing.endpoint": collector.url, "log.format": "json"}
    process = start_process(two_workers(tmp_path) | settings, {"OTEL_BSP_SCHEDULE_DELAY": "20"})
    url = started(process)

    def resources() -> set[str]:
        get(f"{url}/index.html")
        return {instance for body in collector.bodies for instance in INSTANCE.findall(body)}

    eventually(lambda: len(resources()) == 2, "only one worker exports", process)
    assert process.stop() == 0
    lines = [json.loads(line) for line in process.access_log.read_text().splitlines()]
    logged = {line["trace_id"] for line in lines if line.get("trace_id")}
    assert logged == {span.trace_id for span in collector.spans}
    assert "Traceback" not in process.log.read_text()


INSTANCE = re.compile(rb"service\.instance\.id.{2,6}?([0-9a-f-]{36})", re.DOTALL)
