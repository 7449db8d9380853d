"""Where traces begin."""

from gateway.errors import ConfigError, Problem
from gateway.tracing.context import TraceContext
from gateway.tracing.span import NOTHING, Span


class Tracer:
    """Records nothing: what a request brings is passed on."""

    records = False

    def begin(self, name: str, before: TraceContext | None) -> Span:
        """The span of a request; `before` is what its client says."""
        return Span(before) if before is not None else NOTHING

    def start(self) -> None:
        """Call it in the process that serves: what a fork has of threads does not run. Raises ConfigError if the
        environment can't be used."""

    async def close(self) -> None:
        """Exports what is left, within a bounded time."""


def unusable(error: Exception) -> ConfigError:
    """For whatever OpenTelemetry makes of its variables. The error's text is not shown: it may be that of a header."""
    message = f"can't be used with the variables OTEL_* that are set ({type(error).__name__})"
    return ConfigError([Problem("tracing.enabled", "environment", message)])
