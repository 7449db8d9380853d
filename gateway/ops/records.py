"""What is kept of each request: it is counted, logged, and part of a trace."""

from collections.abc import Container

from multidict import MultiMapping

from gateway.messages import RequestRecord
from gateway.ops.log import RequestLog
from gateway.ops.metrics import Metrics
from gateway.ops.request_span import describe
from gateway.tracing.context import parse
from gateway.tracing.span import NOTHING
from gateway.tracing.tracer import Tracer


class Records:
    """The record of each request passes through `begun` and `ended`, or, if an earlier one was the same, `repeated`."""

    def __init__(
        self, metrics: Metrics, log: RequestLog, tracer: Tracer, *, scheme: str, untraced: Container[str] = ()
    ) -> None:
        """`scheme` is that of all requests. Those for paths that are `untraced`, which monitoring asks for again and
        again, are in no trace that is recorded."""
        self._metrics = metrics
        self._log = log
        self._tracer = tracer
        self._scheme = scheme
        self._untraced = untraced

    def begun(self, record: RequestRecord, headers: MultiMapping[str]) -> None:
        self._metrics.in_flight += 1
        if "traceparent" not in headers and not self._tracer.records:
            return
        if self._tracer.records and record.target.partition("?")[0] in self._untraced:
            return
        before = parse(headers.getall("traceparent", ()), headers.getall("tracestate", ()))
        record.span = self._tracer.begin(record.method, before)

    def ended(self, record: RequestRecord) -> None:
        self._metrics.in_flight -= 1
        self._metrics.observe(record)
        self._write(record)

    def repeated(self, record: RequestRecord) -> None:
        """The request has got the same reply as an earlier one of the same bytes."""
        if self._tracer.records:
            record.span = self._tracer.begin(record.method, None)
        self._metrics.observe(record)
        if (admission := record.admission).method:
            self._metrics.auth_outcomes[admission.method, admission.result] += 1
        self._write(record)

    def _write(self, record: RequestRecord) -> None:
        self._log.write(record)
        if record.span is not NOTHING:
            if record.span.recorded:
                describe(record, self._scheme)
                record.span.end()
            record.span = NOTHING  # records are kept with replies
