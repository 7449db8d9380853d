from typing import Any

import pytest

from gateway.messages import CLIENT_GONE, RequestRecord
from gateway.ops.request_span import describe
from gateway.tracing.otlp_tracer import OtlpTracer


def described(**changes: Any) -> tuple[Any, dict[str, Any]]:
    record = RequestRecord("r1", "GET", "/arrow/", "192.0.2.1", "pip/25", 0.0, status=200, peer="192.0.2.9")
    for name, value in changes.items():
        setattr(record, name, value)
    record.span = OtlpTracer(None, None, None).begin(record.method, None)
    describe(record, "https")
    span = record.span._span  # type: ignore[attr-defined]
    return span, dict(span.attributes)


def test_a_request_by_the_conventions() -> None:
    span, attributes = described(route="index", mount="team-b", cache="memory", sent_bytes=10)
    assert span.name == "GET index"
    assert attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "http.response.body.size": 10,
        "url.scheme": "https",
        "url.path": "/arrow/",
        "client.address": "192.0.2.1",
        "network.peer.address": "192.0.2.9",
        "user_agent.original": "pip/25",
        "gateway.mount": "team-b",
        "gateway.route": "index",
        "gateway.cache": "memory",
        "gateway.request_id": "r1",
    }


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/arrow/?X-Amz-Signature=secret", "/arrow/"),
        ("http://user:secret@host/arrow/?x", "http://host/arrow/"),
        ("/" + "x" * 5000, "/" + "x" * 1023),
    ],
)
def test_neither_queries_nor_passwords_are_told(target: str, path: str) -> None:
    assert described(target=target)[1]["url.path"] == path


def test_clients_can_t_make_up_names_of_spans() -> None:
    span, attributes = described(method="M" * 100)
    assert span.name == "HTTP object"
    assert attributes["http.request.method"] == "_OTHER"
    assert attributes["http.request.method_original"] == "M" * 32
    assert described(agent="a" * 5000)[1]["user_agent.original"] == "a" * 1024


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (200, "", None),
        (304, "", None),
        (404, "no such key", None),
        (401, "no credentials", None),
        (500, "", "500"),
        (503, "SlowDown", "503"),
        (200, "body broke off: reset", "aborted"),
        (200, "client gone", "aborted"),
        (CLIENT_GONE, "client gone", "aborted"),
    ],
)
def test_what_is_a_failure(status: int, error: str, kind: str | None) -> None:
    span, attributes = described(status=status, error=error)
    assert attributes.get("error.type") == kind
    assert span.status.is_ok is (kind is None)
    assert span.status.description == ((error or None) if kind is not None else None)
    assert attributes.get("http.response.status_code") == (status if status != CLIENT_GONE else None)
