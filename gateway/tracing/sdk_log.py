"""What OpenTelemetry's SDK logs, in our log: seldom, and without what may be secret."""

import logging
import re
import time

_QUIET_SECONDS = 60.0
_WORDS = re.compile(r"[A-Za-z ]{1,40}")

log = logging.getLogger("gateway.tracing")


class _Handler(logging.Handler):
    """Writes at most one line a minute: a collector that is down fails all the time. Arguments may be headers or URLs
    with keys in them, and so may the texts of exceptions: only numbers and words are shown."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._quiet_until = float("-inf")
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now < self._quiet_until:
            self._left_out += 1
            return
        left_out, self._left_out = self._left_out, 0
        self._quiet_until = now + _QUIET_SECONDS
        more = f" ({left_out} more messages were left out)" if left_out else ""
        log.warning("%s%s", _text(record), more)


def redirect() -> None:
    """Once for the process, however often it is called."""
    theirs = logging.getLogger("opentelemetry")
    if not any(isinstance(handler, _Handler) for handler in theirs.handlers):
        theirs.addHandler(_Handler())
        theirs.propagate = False


def _text(record: logging.LogRecord) -> str:
    args = record.args if isinstance(record.args, tuple) else ()
    shown = tuple(_shown(each) for each in args)
    try:
        return str(record.msg) % shown
    except (TypeError, ValueError):
        return str(record.msg)


def _shown(value: object) -> object:
    if isinstance(value, BaseException):
        return type(value).__name__
    shown = isinstance(value, int | float) or (isinstance(value, str) and _WORDS.fullmatch(value))
    return value if shown else "…"
