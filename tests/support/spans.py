"""Spans that tell a test what they have been linked to."""

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.tracing.span import Span, current


class LinkedSpan(Span):
    """One that nobody records."""

    __slots__ = ("links",)

    def __init__(self) -> None:
        super().__init__()
        self.links: list[Span] = []

    def link(self, other: Span) -> None:
        self.links.append(other)


@contextmanager
def within() -> Iterator[LinkedSpan]:
    """Code runs within a new span."""
    span, before = LinkedSpan(), current.get()
    current.set(span)
    yield span
    current.set(before)
