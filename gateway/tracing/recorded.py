"""Spans that are recorded, by OpenTelemetry's SDK."""

import asyncio
from types import TracebackType
from typing import Self, TypeVar

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from opentelemetry.trace import set_span_in_context as within
from opentelemetry.trace.span import TraceState

from gateway.errors import GatewayError
from gateway.tracing.context import TraceContext
from gateway.tracing.span import NOTHING, Attributes, Kind, Span, current

V = TypeVar("V")

# Of a span; more of them tell nothing more.
_MAX_LINKS = 32
_MAX_REASON_LENGTH = 512
_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_NOWHERE = Context()  # OpenTelemetry's own current span is never set: ours is


class RecordedSpan(Span):
    """See Span."""

    __slots__ = ("_above", "_before", "_linked", "_over", "_span", "_tracer")

    recorded = True

    def __init__(self, tracer: Tracer, span: SdkSpan, above: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._above = above
        self._before = NOTHING
        self._linked: set[Span] = set()
        self._over = False

    @property
    def context(self) -> TraceContext:
        return context_of(self._span.get_span_context())

    def child(self, name: str, kind: Kind = "internal", attributes: Attributes | None = None) -> Span:
        span = self._tracer.start_span(name, within(self._span, _NOWHERE), _KINDS[kind], attributes)
        return RecordedSpan(self._tracer, span, self) if isinstance(span, SdkSpan) else NOTHING

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def note(self, attributes: Attributes) -> None:
        self._span.set_attributes({name: _told(value) for name, value in attributes.items()})

    def fail(self, kind: str, why: str = "") -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR, _told(why[:_MAX_REASON_LENGTH]) or None))

    def raised(self, error: BaseException) -> None:
        if isinstance(error, GatewayError):
            if error.status >= 500:
                self.fail(error.code or type(error).__name__, error.detail)
        elif isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.note({"error.type": "cancelled"})  # the client has left, or nobody needs the result
        else:
            self.fail(type(error).__name__)

    def link(self, other: Span) -> None:
        if not isinstance(other, RecordedSpan) or self._over:
            return
        # What this span has begun itself is its child.
        known = other is self or other._above is self or other in self._linked
        if not known and len(self._linked) < _MAX_LINKS:
            self._linked.add(other)
            self._span.add_link(other._span.get_span_context())

    def end(self) -> None:
        if not self._over:
            self._over = True
            self._linked.clear()
            self._span.end()

    def __enter__(self) -> Self:
        self._before = current.get()
        current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        current.set(self._before)
        self._before = NOTHING
        if error is not None:
            self.raised(error)
        self.end()


def _told(value: V) -> V | str:
    """Texts of OTLP are UTF-8: other bytes, which a client's header may have, are escaped. An attribute with one could
    not be exported, nor could all the spans that go with a status that has one."""
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def root(tracer: Tracer, name: str, before: TraceContext | None) -> Span:
    """The span of a request."""
    above = within(NonRecordingSpan(_remote(before)), _NOWHERE) if before is not None else _NOWHERE
    span = tracer.start_span(name, above, SpanKind.SERVER)
    if isinstance(span, SdkSpan):
        return RecordedSpan(tracer, span, NOTHING)
    # What no span is recorded of is passed on as it came: its next span would have no parent.
    return Span(before if before is not None else context_of(span.get_span_context()))


def context_of(place: SpanContext) -> TraceContext:
    flags, state = int(place.trace_flags), place.trace_state.to_header()
    return TraceContext(f"{place.trace_id:032x}", f"{place.span_id:016x}", flags, state)


def _remote(place: TraceContext) -> SpanContext:
    state = TraceState.from_header([place.state]) if place.state else None
    ids = int(place.trace_id, 16), int(place.span_id, 16)
    return SpanContext(*ids, is_remote=True, trace_flags=TraceFlags(place.flags), trace_state=state)
