import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.tracing.build import tracer_of
from tests.conftest import StartGateway

UNUSABLE = "tracing.enabled (environment): can't be used with the variables OTEL_* that are set"


@pytest.mark.parametrize(
    ("enabled", "environ", "records"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"OTEL_SDK_DISABLED": "True"}, False),
        (True, {"OTEL_SDK_DISABLED": "false"}, True),
        (True, {"OTEL_TRACES_EXPORTER": "none"}, False),
        (True, {"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (False, {"OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_traces_are_recorded_if_the_settings_say_so_and_the_environment_does_not_forbid_it(
    enabled: bool, environ: dict[str, str], records: bool
) -> None:
    tracer = tracer_of(enabled=enabled, endpoint=None, sample_ratio=None, service_name=None, environ=environ)
    assert tracer.records is records


def test_an_environment_that_can_t_be_used_is_a_mistake_of_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "key-of-somebody")
    with pytest.raises(ConfigError, match=f"^{re.escape(UNUSABLE)} .RuntimeError.$"):
        tracer_of(enabled=True, endpoint=None, sample_ratio=None, service_name=None, environ={})


async def test_so_is_one_that_has_no_room_for_spans(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(ConfigError, match=f"^{re.escape(UNUSABLE)} .ValueError.$"):
        await start_gateway({"storage.dir": str(tmp_path), "tracing.enabled": "true"})


def test_without_the_extra_the_start_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.tracing.otlp_tracer", None)
    with pytest.raises(ConfigError, match=r"tracing\.enabled .*: pip install 's3-package-gateway\[otel\]'"):
        tracer_of(enabled=True, endpoint=None, sample_ratio=None, service_name=None, environ={})


def test_while_traces_are_off_nothing_of_opentelemetry_is_imported(tmp_path: Path) -> None:
    code = """
import asyncio, sys, urllib.request
from gateway.app import Gateway
from gateway.config.load import load
async def serve():
    settings = {"storage.dir": ".", "server.port": "0", "log.access": "false", "tracing.enabled": sys.argv[1]}
    gateway = Gateway(load(settings, environ={}))
    await gateway.start()
    await asyncio.to_thread(lambda: urllib.request.urlopen(gateway.url + "/health").close())
    await gateway.stop()
asyncio.run(serve())
print(sorted({name.partition(".")[0] for name in sys.modules} & {"opentelemetry", "google", "requests"}))
"""
    found = [
        subprocess.run(
            [sys.executable, "-c", code, enabled], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        ).stdout.splitlines()[-1]
        for enabled in ("false", "true")
    ]
    assert found == ["[]", "['google', 'opentelemetry', 'requests']"]
