"""Chooses how requests are traced, by the settings and the environment."""

import os
from collections.abc import Mapping

from gateway.errors import ConfigError, Problem
from gateway.tracing.tracer import Tracer, unusable


def tracer_of(
    *,
    enabled: bool,
    endpoint: str | None,
    sample_ratio: float | None,
    service_name: str | None,
    environ: Mapping[str, str] = os.environ,
) -> Tracer:
    """Raises ConfigError if the extra is missing, or the environment can't be used. Only with `enabled`, and unless the
    environment turns traces off as OpenTelemetry specifies it, anything of OpenTelemetry is imported."""
    if not enabled or _off(environ, "OTEL_SDK_DISABLED", "true") or _off(environ, "OTEL_TRACES_EXPORTER", "none"):
        return Tracer()
    try:
        from gateway.tracing.otlp_tracer import OtlpTracer
    except ImportError as missing:
        message = "traces need a library: pip install 's3-package-gateway[otel]'"
        raise ConfigError([Problem("tracing.enabled", "settings", message)]) from missing
    try:
        return OtlpTracer(endpoint, sample_ratio, service_name)
    except Exception as error:
        raise unusable(error) from error


def _off(environ: Mapping[str, str], name: str, value: str) -> bool:
    return environ.get(name, "").strip().lower() == value
