import json
import logging
import re
import tempfile
import time

import pytest

from gateway.config.settings import LogSettings
from gateway.messages import RequestRecord
from gateway.ops import log as logs
from gateway.ops.log import RequestLog, _TextFormatter
from gateway.ops.output import STDERR, Output
from gateway.principal import Admission
from gateway.tracing.context import TraceContext
from gateway.tracing.span import Span
from gateway.usage import UpstreamUsage


def exchange(**changes: object) -> RequestRecord:
    now = time.monotonic()
    finished = RequestRecord(
        request_id="r1",
        method="GET",
        target="/arrow/?X-Amz-Signature=secret",
        client="192.0.2.1",
        agent="pip/25",
        started=now - 0.25,
        status=200,
        sent_bytes=10,
        first_byte=now - 0.125,
        upstream_status=200,
    )
    for name, value in changes.items():
        setattr(finished, name, value)
    return finished


def written(finished: RequestRecord, *, as_json: bool) -> str:
    with tempfile.TemporaryFile() as file:
        output = Output(file.fileno())
        RequestLog(access=True, audit=True, as_json=as_json, output=output).write(finished)
        output.flush(20)
        file.seek(0)
        return file.read().decode()


def test_a_request_is_one_line_of_text() -> None:
    line = written(exchange(), as_json=False)
    moment, kind, *fields = line.split()
    assert (moment[-1], kind) == ("Z", "access")
    found = dict(field.split("=", 1) for field in fields)
    assert 250 <= float(found.pop("duration_ms")) < 1000
    assert 125 <= float(found.pop("ttfb_ms")) < 1000
    assert found == {
        "client": "192.0.2.1",
        "method": "GET",
        "path": "/arrow/",
        "status": "200",
        "bytes": "10",
        "mount": "-",
        "route": "object",
        "upstream_status": "200",
        "cache": "-",
        "s3_code": "-",
        "request_id": "r1",
        "user_agent": "pip/25",
        "error": "-",
    }


def test_the_trace_of_a_request_is_named() -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traced = exchange(span=Span(TraceContext(trace_id, "b7ad6b7169203331", 0)))
    assert f" request_id=r1 trace_id={trace_id} user_agent=" in written(traced, as_json=False)
    assert json.loads(written(traced, as_json=True))["trace_id"] == trace_id
    traced.admission = Admission(method="users", allowed=False, why="no right")
    access, audit = written(traced, as_json=True).splitlines()
    assert json.loads(access)["trace_id"] == json.loads(audit)["trace_id"] == trace_id


def test_a_request_is_one_object_of_json() -> None:
    line = written(exchange(code="NoSuchKey", status=404, first_byte=None), as_json=True)
    found = json.loads(line)
    assert line.count("\n") == 1
    assert (found["status"], found["s3_code"], found["ttfb_ms"], found["path"]) == (404, "NoSuchKey", None, "/arrow/")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "hostile", ['a" status=200 x="', "a\nforged line", "a\r\x1b[31m", "ключ", "\udcff", "a b=c", "\u2028", "\\", "\x7f"]
)
def test_nobody_can_forge_a_line_or_a_field(as_json: bool, hostile: str) -> None:
    line = written(exchange(agent=hostile, target=f"/{hostile}", error=hostile), as_json=as_json)
    assert line.isascii()
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    if not as_json:
        assert re.sub(r'"(?:[^"\\]|\\.)*"', "", line).count(" status=") == 1


@pytest.mark.parametrize("as_json", [True, False])
def test_the_query_is_not_logged(as_json: bool) -> None:
    assert "secret" not in written(exchange(), as_json=as_json)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    ("target", "logged"),
    [
        ("http://user:secret@host/arrow/?x", "http://host/arrow/"),
        ("HTTPS://secret@host", "HTTPS://host"),
        ("ftp://user:se@secret@host/arrow/", "ftp://host/arrow/"),
        ("user:secret@host:443", "host:443"),
        ("http://host/arrow@1/", "http://host/arrow@1/"),
        ("/arrow@1/", "/arrow@1/"),
        ("//user@host/", "//user@host/"),
    ],
)
def test_a_password_in_the_request_target_is_not_logged(target: str, logged: str, as_json: bool) -> None:
    line = written(exchange(target=target), as_json=as_json)
    assert "secret" not in line
    assert (json.loads(line)["path"] if as_json else line.partition(" path=")[2].split()[0]) == logged


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_program_s_own_words_are_lines_too(form: str, capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure(LogSettings.model_validate({"format": form, "level": "info"}))
        logging.getLogger("gateway.storage").info("hello %s", "you")
        logging.getLogger("gateway.storage").debug("not shown")
        logging.getLogger("botocore").info("not shown either")
        STDERR.flush(20)
        err = capfd.readouterr().err
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("gateway").setLevel(logging.NOTSET)
    assert err.count("\n") == 1
    if form == "json":
        found = json.loads(err)
        assert (found["level"], found["logger"], found["message"]) == ("info", "gateway.storage", "hello you")
    else:
        assert err.endswith("Z info gateway.storage: hello you\n")


def test_nobody_s_words_can_forge_a_line_of_the_program() -> None:
    """Servers say what went wrong there."""
    line = _TextFormatter().format(
        logging.LogRecord("gateway", logging.WARNING, "", 0, "503: %s", ("a\nforged\x1b[2J\x9b\u2028 ключ",), None)
    )
    assert line.partition(" ")[2] == "warning gateway: 503: a\\u000aforged\\u001b[2J\\u009b\\u2028 ключ"


def test_a_long_header_that_an_error_quotes_is_cut() -> None:
    assert len(written(exchange(error="Accept: " + "x" * 30_000), as_json=True)) < 2000


def test_the_status_of_what_was_asked_upstream_is_told_though_the_answer_is_our_own() -> None:
    usage = UpstreamUsage()
    line = written(exchange(upstream_status=None, usage=usage), as_json=False)
    assert " upstream_status=- " in line
    usage.status = 200
    assert " upstream_status=200 " in written(exchange(upstream_status=None, usage=usage), as_json=False)
    assert " upstream_status=404 " in written(exchange(upstream_status=404, usage=usage), as_json=False)
