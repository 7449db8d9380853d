from contextvars import copy_context

from gateway.tracing.context import NO_HEADERS, TraceContext
from gateway.tracing.span import NOTHING, Span, apart, current, headers, traced

PLACE = TraceContext("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1)


async def work(number: int) -> int:
    return number + 1


def within(span: Span) -> None:
    current.set(span)
    assert headers() == PLACE.headers
    with span.child("inner") as inner:
        assert inner is NOTHING
        assert headers() == PLACE.headers  # what is not recorded stays where it is in the trace


def test_without_a_trace_nothing_goes_on() -> None:
    assert current.get() is NOTHING
    assert headers() is NO_HEADERS


def test_a_trace_that_is_not_recorded_goes_on() -> None:
    copy_context().run(within, Span(PLACE))


async def test_work_that_is_not_traced_is_not_wrapped() -> None:
    coroutine = traced("name", work, 1)
    assert getattr(coroutine, "__qualname__", "") == "work"
    assert await coroutine == 2


def test_what_goes_on_for_ever_is_part_of_no_trace() -> None:
    def look() -> None:
        current.set(Span(PLACE))
        assert apart().run(current.get) is NOTHING
        assert current.get() is not NOTHING

    copy_context().run(look)
