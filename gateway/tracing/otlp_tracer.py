"""Records traces with OpenTelemetry's SDK, and exports them by OTLP over HTTP.

What the settings leave open, the environment tells as OpenTelemetry specifies it: OTEL_EXPORTER_OTLP_*, OTEL_BSP_*,
OTEL_TRACES_SAMPLER, OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES. A thread exports, in batches; what it can't export
waits in a queue of bounded length, and is dropped beyond that.
"""

import asyncio
import logging
import threading
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from gateway import __version__
from gateway.tracing import sdk_log
from gateway.tracing.context import TraceContext
from gateway.tracing.recorded import root
from gateway.tracing.span import Span
from gateway.tracing.tracer import Tracer, unusable

_PATH = "/v1/traces"
_UNNAMED = "unknown_service"
# What has not been exported so long after the last request is lost.
_CLOSE_SECONDS = 2.0

log = logging.getLogger("gateway")


class OtlpTracer(Tracer):
    """See Tracer."""

    records = True

    def __init__(self, endpoint: str | None, sample_ratio: float | None, service_name: str | None) -> None:
        """`endpoint` is the collector's URL. Raises ValueError and others for an environment that can't be used."""
        sdk_log.redirect()
        self._endpoint = _url(endpoint) if endpoint is not None else None
        sampler = ParentBased(TraceIdRatioBased(sample_ratio)) if sample_ratio is not None else None
        self._provider = TracerProvider(sampler, _resource(service_name), shutdown_on_exit=False)
        self._tracer = self._provider.get_tracer("gateway", __version__)
        self._exporter = OTLPSpanExporter(self._endpoint)
        self.close_seconds = _CLOSE_SECONDS
        self._started = False

    def begin(self, name: str, before: TraceContext | None) -> Span:
        return root(self._tracer, name, before)

    def start(self) -> None:
        try:
            self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        except ValueError as error:
            raise unusable(error) from error
        self._started = True

    async def close(self) -> None:
        if not self._started:
            return
        self._started = False
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        threading.Thread(target=self._shut_down, args=(loop, done), name="gateway-traces", daemon=True).start()
        try:
            async with asyncio.timeout(self.close_seconds):
                await done.wait()
        except TimeoutError:
            log.warning("the last traces could not be exported within %g s", self.close_seconds)
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # ends its thread's retries

    def _shut_down(self, loop: asyncio.AbstractEventLoop, done: asyncio.Event) -> None:
        self._provider.shutdown()
        with suppress(RuntimeError):  # the loop has not waited for so long
            loop.call_soon_threadsafe(done.set)


def _url(endpoint: str) -> str:
    base = endpoint.rstrip("/")
    return base if base.endswith(_PATH) else base + _PATH


def _resource(service_name: str | None) -> Resource:
    found = Resource.create({SERVICE_VERSION: __version__})
    if service_name is None and str(found.attributes[SERVICE_NAME]).startswith(_UNNAMED):
        service_name = "gateway"
    return found if service_name is None else found.merge(Resource({SERVICE_NAME: service_name}))
