from collections.abc import Iterator

import pytest

from gateway.tracing.otlp_tracer import OtlpTracer
from gateway.tracing.span import NOTHING, current
from gateway.upstream.request_span import note_answer, request_span


@pytest.fixture
def request_of_a_client() -> Iterator[None]:
    """Code runs within a span that is recorded."""
    with OtlpTracer(None, None, None).begin("GET", None):
        yield


def test_without_a_trace_there_is_no_span() -> None:
    assert not current.get().recorded
    assert request_span("GET", "https", "host", "/") is NOTHING


@pytest.mark.usefixtures("request_of_a_client")
@pytest.mark.parametrize(
    ("scheme", "host", "target", "url", "address", "port"),
    [
        ("https", "b.s3.amazonaws.com", "/k", "https://b.s3.amazonaws.com/k", "b.s3.amazonaws.com", 443),
        ("http", "minio:9000", "/b/k?X-Amz-Signature=secret", "http://minio:9000/b/k", "minio", 9000),
        ("http", "minio", "/b?list-type=2", "http://minio/b", "minio", 80),
        ("https", "[::1]:9000", "/b", "https://[::1]:9000/b", "::1", 9000),
        ("https", "[::1]", "/b", "https://[::1]/b", "::1", 443),
        ("http", "h", "/" + "x" * 2000, "http://h/" + "x" * 1015, "h", 80),
    ],
)
def test_the_url_without_its_query(scheme: str, host: str, target: str, url: str, address: str, port: int) -> None:
    span = request_span("GET", scheme, host, target)
    assert dict(span._span.attributes) == {  # type: ignore[attr-defined]
        "http.request.method": "GET",
        "url.full": url,
        "server.address": address,
        "server.port": port,
    }


@pytest.mark.usefixtures("request_of_a_client")
@pytest.mark.parametrize(
    ("status", "failed"),
    [
        *[(status, False) for status in (200, 206, 304, 404, 412, 416)],
        *[(status, True) for status in (400, 403, 429, 500, 503)],
    ],
)
def test_what_is_not_there_or_has_not_changed_is_an_ordinary_answer(status: int, failed: bool) -> None:
    span = request_span("GET", "https", "host", "/")
    note_answer(span, status)
    attributes = span._span.attributes  # type: ignore[attr-defined]
    assert attributes["http.response.status_code"] == status
    assert attributes.get("error.type") == (str(status) if failed else None)
