"""The spans of requests: begun, described and ended with their records."""

from collections.abc import Container

from multidict import MultiMapping

from gateway.messages import RequestRecord
from gateway.ops.request_span import describe
from gateway.tracing.context import parse
from gateway.tracing.span import NOTHING
from gateway.tracing.tracer import Tracer


class RequestSpans:
    """Gives each record its span, which ends with it."""

    def __init__(self, tracer: Tracer, *, scheme: str, untraced: Container[str] = ()) -> None:
        """`scheme` is that of all requests. Those for paths that are `untraced`, which monitoring asks for again and
        again, are in no trace that is recorded."""
        self._tracer = tracer
        self._scheme = scheme
        self._untraced = untraced

    def begin(self, record: RequestRecord, headers: MultiMapping[str]) -> None:
        if "traceparent" not in headers and not self._tracer.records:
            return
        if self._tracer.records and record.target.partition("?")[0] in self._untraced:
            return
        before = parse(headers.getall("traceparent", ()), headers.getall("tracestate", ()))
        record.span = self._tracer.begin(record.method, before)

    def begin_repeated(self, record: RequestRecord) -> None:
        """For a request that gets the reply to an earlier one of the same bytes: those have no traceparent."""
        if self._tracer.records:
            record.span = self._tracer.begin(record.method, None)

    def end(self, record: RequestRecord) -> None:
        if record.span is NOTHING:
            return
        if record.span.recorded:
            describe(record, self._scheme)
            record.span.end()
        record.span = NOTHING  # records are kept with replies
