"""Spans: parts of a trace. Code says here what it does, wherever that is recorded, if it is. Pure.

A span is current for the code that runs within it, and for the tasks that this code starts: so work that clients share
is part of the trace of the first of them. The spans of the others are linked to it.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context, ContextVar, copy_context
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, TypeVar

from gateway.tracing.context import NO_HEADERS, TraceContext

A = TypeVar("A")
T = TypeVar("T")
Kind: TypeAlias = Literal["server", "client", "internal"]
Attributes: TypeAlias = Mapping[str, str | int]


class Span:
    """One that is not recorded."""

    __slots__ = ("_given",)

    recorded = False

    def __init__(self, given: TraceContext | None = None) -> None:
        self._given = given

    @property
    def context(self) -> TraceContext | None:
        """The place in a trace that is passed on to servers that are asked; None if there is no trace."""
        return self._given

    def child(self, name: str, kind: Kind = "internal", attributes: Attributes | None = None) -> "Span":
        """A span within this one, which begins now. It ends when it is left as a context, or with `end`."""
        return NOTHING

    def rename(self, name: str) -> None: ...

    def note(self, attributes: Attributes) -> None: ...

    def fail(self, kind: str, why: str = "") -> None:
        """What the span is about has failed: a word for how, and what the log says."""

    def raised(self, error: BaseException) -> None:
        """What the span is about has ended with an error, which need be no failure."""

    def link(self, other: "Span") -> None:
        """This span's work waits for `other`, which may belong to another trace."""

    def end(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


NOTHING = Span()

# The span of the running code.
current: ContextVar[Span] = ContextVar("span", default=NOTHING)


def headers() -> Mapping[str, str]:
    """Those by which the current place in the trace goes on to a server; none if there is no trace."""
    context = current.get().context
    return context.headers if context is not None else NO_HEADERS


def apart() -> Context:
    """The context for a task that goes on for ever, whatever request has begun it: it is part of no trace."""
    context = copy_context()
    context.run(current.set, NOTHING)
    return context


def traced(
    name: str, work: Callable[[A], Coroutine[Any, Any, T]], argument: A, tell: Callable[[T], Attributes] | None = None
) -> Coroutine[Any, Any, T]:
    """`work` of its argument, in a span of this name if there is one to be within. `tell` says what to note of its
    result."""
    above = current.get()
    return _within(above, name, work, argument, tell) if above.recorded else work(argument)


async def _within(
    above: Span, name: str, work: Callable[[A], Awaitable[T]], argument: A, tell: Callable[[T], Attributes] | None
) -> T:
    with above.child(name) as span:
        result = await work(argument)
        if tell is not None:
            span.note(tell(result))
        return result
