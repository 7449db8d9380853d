"""Where traces begin."""

from gateway.tracing.context import TraceContext
from gateway.tracing.span import NOTHING, Span


class Tracer:
    """Records nothing: what a request brings is passed on."""

    records = False

    def begin(self, name: str, before: TraceContext | None) -> Span:
        """The span of a request; `before` is what its client says."""
        return Span(before) if before is not None else NOTHING

    def start(self) -> None:
        """Call it in the process that serves: what a fork has of threads does not run."""

    async def close(self) -> None:
        """Exports what is left, within a bounded time."""
