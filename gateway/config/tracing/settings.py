"""The section `tracing`."""

from pydantic import Field

from gateway.config.section import Section
from gateway.config.types import EndpointUrl


class TracingSettings(Section):
    """Traces of requests, exported by OTLP over HTTP; needs the extra s3-package-gateway[otel]."""

    enabled: bool = Field(False, description="Record traces; if not, a client's traceparent is passed on all the same")
    endpoint: EndpointUrl | None = Field(
        None,
        description="URL of the collector, to which /v1/traces is added; unset: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, "
        "OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318",
    )
    sample_ratio: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the requests without a traceparent that is recorded; one that has a traceparent tells "
        "itself; unset: OTEL_TRACES_SAMPLER, else all",
    )
    service_name: str | None = Field(
        None,
        min_length=1,
        description="Name of this service in traces; unset: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, else gateway",
    )
