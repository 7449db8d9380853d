"""A collector of traces: takes OTLP over HTTP on loopback, and decodes it by OpenTelemetry's own classes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.eventually import eventually

_KINDS = {OtlpSpan.SPAN_KIND_SERVER: "server", OtlpSpan.SPAN_KIND_CLIENT: "client"}


@dataclass(frozen=True)
class Collected:
    """A span as it has been exported. Ids are in hex."""

    name: str
    began: int
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str | int]
    links: frozenset[tuple[str, str]]
    failed: bool
    why: str
    state: str
    service: str


class Collector:
    """The spans that have arrived, and the bytes of requests."""

    def __init__(self) -> None:
        self.spans: list[Collected] = []
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        self.status = 200
        self.hangs = False
        self.over = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.paths.add(self.path)
                if collector.hangs:
                    collector.over.wait(20)
                if collector.status == 200:
                    collector.take(body)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def running(self) -> Iterator["Collector"]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.over.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def take(self, body: bytes) -> None:
        self.bodies.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {item.key: item.value.string_value for item in of_resource.resource.attributes}
            for of_scope in of_resource.scope_spans:
                self.spans += [_collected(span, named["service.name"]) for span in of_scope.spans]

    def named(self, name: str) -> list[Collected]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Collected:
        [found] = self.named(name)
        return found

    def tree(self, root: Collected) -> list[Any]:
        """The name of a span, and the trees of those within it, in the order in which they began."""
        inner = sorted((span for span in self.spans if span.parent_id == root.span_id), key=lambda span: span.began)
        return [root.name, *(self.tree(span) for span in inner)]

    async def until(self, holds: Callable[[], bool]) -> None:
        await eventually(holds, lambda: [span.name for span in self.spans])


def _collected(span: OtlpSpan, service: str) -> Collected:
    attributes = {item.key: item.value.string_value or item.value.int_value for item in span.attributes}
    return Collected(
        name=span.name,
        began=span.start_time_unix_nano,
        kind=_KINDS.get(span.kind, "internal"),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=attributes,
        links=frozenset((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        why=span.status.message,
        state=span.trace_state,
        service=service,
    )
