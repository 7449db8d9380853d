"""What is recorded of each request, for the log, the metrics and traces."""

import time
from collections.abc import Callable

from multidict import MultiMapping

from gateway.messages import RequestRecord
from gateway.ops.log import RequestLog
from gateway.ops.metrics import Metrics
from gateway.server.client_address import ClientAddress
from gateway.server.protocol import Request
from gateway.server.request_id import given_or_new
from gateway.server.request_spans import RequestSpans

# Answers with an object, or about the one that the client has.
_WITH_OBJECT = frozenset({200, 206, 304})


class RequestRecords:
    """Begins a record with each request, and writes it when that ends."""

    def __init__(
        self,
        caller: ClientAddress,
        log: RequestLog,
        metrics: Metrics,
        spans: RequestSpans,
        count: Callable[[int], None],
    ) -> None:
        """`count` is called with 1 as a request begins and -1 as it ends."""
        self._count = count
        self._caller = caller
        self._log = log
        self._metrics = metrics
        self._spans = spans

    def begin(self, request: Request, headers: MultiMapping[str], mount: str) -> RequestRecord:
        self._count(1)
        peer, forwarded_for = request.peer, tuple(headers.getall("X-Forwarded-For", ()))
        record = RequestRecord(
            request_id=given_or_new(headers.get("X-Request-ID", "")),
            method=request.method,
            target=request.raw_path,
            client=self._caller.of(peer, forwarded_for),
            peer=peer,
            forwarded_for=forwarded_for,
            agent=headers.get("User-Agent", ""),
            started=time.monotonic(),
            mount=mount,
        )
        self._spans.begin(record, headers)
        return record

    def end(self, record: RequestRecord) -> None:
        self._count(-1)
        self._metrics.observe_fetched(record)
        self._metrics.observe(record)
        self._log.write(record)
        self._spans.end(record)

    def repeated(self, first: RequestRecord, peer: str, sent_bytes: int) -> str | None:
        """Records a request that has the same bytes as the first one, and gets the same reply; returns its id. None if
        this peer must not have that: X-Forwarded-* headers are trusted from only one of the two."""
        if peer != first.peer and self._caller.believes(peer) != self._caller.believes(first.peer):
            return None
        now = time.monotonic()
        record = RequestRecord(
            request_id=given_or_new(),
            method=first.method,
            target=first.target,
            client=first.client if peer == first.peer else self._caller.of(peer, first.forwarded_for),
            agent=first.agent,
            started=now,
            mount=first.mount,
            route=first.route,
            status=first.status,
            sent_bytes=sent_bytes,
            first_byte=now,
            cache="memory" if first.route == "object" and first.status in _WITH_OBJECT else "",
            admission=first.admission,
            error=first.error,
        )
        self._spans.begin_repeated(record)
        self._metrics.observe(record)
        if (admission := first.admission).method:
            self._metrics.auth_outcomes[admission.method, admission.result] += 1
        self._log.write(record)
        self._spans.end(record)
        return record.request_id
