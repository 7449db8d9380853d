"""Logs: the program's messages, and one line for each request, as text or JSON."""

import json
import logging
import math
import re
import time
import traceback
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

from gateway.config.settings import LogSettings
from gateway.messages import RequestRecord
from gateway.ops.output import STDERR, STDOUT, Output
from gateway.principal import Admission, Right
from gateway.tracing.span import NOTHING

_MAX_AGENT_LENGTH = 40
_MAX_ERROR_LENGTH = 1000  # it may quote a header, which may be very long
# User and password in a target that is no path (RFC 9112, 3.2): absolute-form, authority-form.
_USERINFO = re.compile(r"\A((?:[A-Za-z][A-Za-z0-9+.-]*://)?)[^/?#]*@")


def configure(settings: LogSettings) -> None:
    """Sends all logging to stderr, in the chosen form. Call once, at start."""
    handler = _Handler()
    handler.setFormatter(_JsonFormatter() if settings.format == "json" else _TextFormatter())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("gateway").setLevel(settings.level.upper())


class KeepAudit(Protocol):
    def __call__(self, line: str, *, anonymous: bool) -> None: ...


class RequestLog:
    """Writes lines about finished requests, without their queries (which may be signatures) or passwords: one with what
    was answered (`access`), and with access control one with who was let in, or was not, and why (`audit`)."""

    def __init__(
        self,
        *,
        access: bool,
        audit: bool,
        as_json: bool,
        output: Output = STDOUT,
        keep_audit: KeepAudit | None = None,
    ) -> None:
        """`keep_audit` takes the lines of the audit too, always as JSON, and whether they are about nobody who is
        known."""
        self._access = access
        self._audit = audit
        self._keep_audit = keep_audit
        self._output = output
        self._as_json = as_json

    def write(self, record: RequestRecord) -> None:
        if self._access:
            self._line("access", _fields(record, time.monotonic()))
        if not record.admission.method:
            return  # without access control, there is nothing to audit
        if (self._audit or self._keep_audit is not None) and (decision := _decision(record)) is not None:
            if self._keep_audit is not None:
                self._keep_audit(_json_line("audit", decision), anonymous=not decision["user"])
            if self._audit:
                self._line("audit", decision)

    def _line(self, kind: str, fields: dict[str, Any]) -> None:
        line = _json_line(kind, fields) if self._as_json else _text_line(kind, fields)
        self._output.write(line.replace("\x7f", "\\u007f"))  # the one control character that JSON leaves alone


def _fields(record: RequestRecord, ended: float) -> dict[str, Any]:
    first_byte = record.first_byte
    return {
        "time": timestamp(time.time()),
        "client": record.client,
        "method": record.method,
        "path": path_of(record.target),
        "status": record.status,
        "bytes": record.sent_bytes,
        "duration_ms": round((ended - record.started) * 1000, 1),
        "ttfb_ms": None if first_byte is None else round((first_byte - record.started) * 1000, 1),
        "mount": record.mount,
        "route": record.route,
        "upstream_status": _upstream_status(record),
        "cache": record.cache,
        "s3_code": record.code,
        "request_id": record.request_id,
        **_trace(record),
        "user_agent": record.agent[:_MAX_AGENT_LENGTH],  # pip's is very long
        "error": record.error[:_MAX_ERROR_LENGTH],
        **({"user": record.admission.principal.name} if record.admission.method else {}),
        **_cost(record, ended),
    }


def path_of(target: str) -> str:
    """The request target without what may be secret: its query, and the user and password before a host."""
    path = target.partition("?")[0]
    return path if path.startswith("/") else _USERINFO.sub(r"\1", path)


def _trace(record: RequestRecord) -> dict[str, str]:
    """The id of the trace that the request is part of, if it is."""
    if record.span is NOTHING or (context := record.span.context) is None:
        return {}
    return {"trace_id": context.trace_id}


def _upstream_status(record: RequestRecord) -> int | None:
    """The status of the upstream answer that became this answer; for a page, made from many, of the last one. None if
    nothing was asked upstream."""
    if record.upstream_status is not None or record.usage is None:
        return record.upstream_status
    return record.usage.status


def _cost(record: RequestRecord, ended: float) -> dict[str, Any]:
    """What the answer has cost upstream, and whether it is stale; empty if it cost nothing and is not stale."""
    usage = record.usage
    if usage is None or not (usage.attempts or usage.stale):
        return {}
    return {
        "key": record.key,
        "attempts": usage.attempts,
        "upstream_ms": round(usage.seconds(ended) * 1000, 1),
        "stale": "yes" if usage.stale else "no",
    }


def _decision(record: RequestRecord) -> dict[str, Any] | None:
    """What an audit wants to know; None for what everybody may read."""
    admission = record.admission
    principal = admission.principal
    if admission.allowed and not principal.name:
        return None
    return {
        "time": timestamp(time.time()),
        "client": record.client,
        "user": principal.name,
        "auth": admission.method,
        "token": principal.token,
        "right": "mint" if record.route == "trusted" else _right(admission),
        "mount": record.mount,
        "path": path_of(record.target),
        **({"key": record.key} if admission.right is not Right.READ and record.key else {}),
        "allowed": "yes" if admission.allowed else "no",
        "why": admission.why,
        "status": record.status,
        "request_id": record.request_id,
        **_trace(record),
    }


def _right(admission: Admission) -> str:
    return "login" if admission.method == "login" else admission.right.value


def _json_line(kind: str, fields: dict[str, Any]) -> str:
    return json.dumps({"log": kind} | fields if kind != "access" else fields) + "\n"


def _text_line(kind: str, fields: dict[str, Any]) -> str:
    time_text = fields.pop("time")
    return f"{time_text} {kind} " + " ".join([f"{name}={_text_value(value)}" for name, value in fields.items()]) + "\n"


def _text_value(value: object) -> str:
    """A printable word as it is, anything else as a JSON string, so that clients can't forge a line or a field."""
    if value is None or value == "":
        return "-"
    text = str(value)
    return text if text.isascii() and text.isprintable() and not _NEEDS_QUOTES.intersection(text) else json.dumps(text)


_NEEDS_QUOTES = frozenset(' "=\\')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def timestamp(now: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    second = math.floor(now)
    return f"{_second(second)}.{int((now - second) * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(second: int) -> str:
    """Cached, so that the formatting is done once a second, not once a request."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # arguments that don't fit the message
            line = f"a line of {record.name} can't be formatted: {record.msg!r}\n{traceback.format_exc()}"
        STDERR.write(line + "\n")


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        self.datefmt = None
        message = _CONTROL.sub(_escaped, record.getMessage())  # servers' words are in it: they must not forge a line
        text = f"{timestamp(record.created)} {record.levelname.lower()} {record.name}: {message}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        report = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            report["traceback"] = self.formatException(record.exc_info)
        return json.dumps(report)
