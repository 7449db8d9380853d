import pytest

from gateway.errors import (
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UpstreamBusyError,
    UpstreamError,
)
from gateway.storage.s3.errors import Fault, Remedy, parse


def xml(code: str, extra: str = "") -> bytes:
    return f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>m</Message>{extra}</Error>'.encode()


@pytest.mark.parametrize(
    ("status", "code", "remedy", "error"),
    [
        (404, "NoSuchKey", Remedy.NONE, NotFoundError),
        (403, "AccessDenied", Remedy.NONE, NotFoundError),
        (400, "KeyTooLongError", Remedy.NONE, NotFoundError),
        (400, "InvalidURI", Remedy.NONE, NotFoundError),
        (400, "InvalidObjectName", Remedy.NONE, NotFoundError),
        (400, "XMinioInvalidObjectName", Remedy.NONE, NotFoundError),
        (400, "XMinioInvalidResourceName", Remedy.NONE, NotFoundError),
        (400, "InvalidArgument", Remedy.NONE, UpstreamError),
        (412, "PreconditionFailed", Remedy.NONE, PreconditionFailedError),
        (416, "InvalidRange", Remedy.NONE, RangeNotSatisfiableError),
        (404, "NoSuchBucket", Remedy.NONE, UpstreamError),
        (403, "InvalidAccessKeyId", Remedy.RENEW_CREDENTIALS, UpstreamError),
        (403, "SignatureDoesNotMatch", Remedy.RENEW_CREDENTIALS, UpstreamError),
        (400, "ExpiredToken", Remedy.RENEW_CREDENTIALS, UpstreamError),
        (403, "RequestTimeTooSkewed", Remedy.SET_CLOCK, UpstreamError),
        (301, "PermanentRedirect", Remedy.LEARN_REGION, UpstreamError),
        (400, "AuthorizationHeaderMalformed", Remedy.LEARN_REGION, UpstreamError),
        (503, "SlowDown", Remedy.WAIT, UpstreamBusyError),
        (500, "InternalError", Remedy.WAIT, UpstreamBusyError),
        (400, "RequestTimeout", Remedy.WAIT, UpstreamBusyError),
        (429, "TooManyRequests", Remedy.WAIT, UpstreamBusyError),
        (403, "InvalidObjectState", Remedy.NONE, UpstreamError),
        (400, "SomethingNew", Remedy.NONE, UpstreamError),
        (501, "NotImplemented", Remedy.NONE, UpstreamError),
    ],
)
def test_each_code_has_its_remedy_and_its_answer(
    status: int, code: str, remedy: Remedy, error: type[GatewayError]
) -> None:
    fault = parse(status, {}, xml(code))
    assert fault.remedy is remedy
    made = fault.error()
    assert type(made) is error
    assert (made.code, made.upstream_status, made.detail) == (code, status, f"{status} {code} m")
    assert code not in made.public


@pytest.mark.parametrize(
    ("code", "message", "remedy"),
    [
        ("InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object", Remedy.ADD_DIGEST),
        ("MissingContentMD5", "Missing required header for this request: Content-Md5.", Remedy.ADD_DIGEST),
        ("InvalidRequest", "The copy request must include another destination", Remedy.NONE),
        ("BadDigest", "The Content-MD5 you specified did not match what we received.", Remedy.NONE),
    ],
)
def test_a_digest_is_added_where_one_is_demanded(code: str, message: str, remedy: Remedy) -> None:
    assert parse(400, {}, xml(code).replace(b">m<", f">{message}<".encode())).remedy is remedy


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (404, NotFoundError, Remedy.NONE),
        (403, UpstreamError, Remedy.NONE),
        (301, UpstreamError, Remedy.LEARN_REGION),
        (500, UpstreamBusyError, Remedy.WAIT),
        (502, UpstreamBusyError, Remedy.WAIT),
        (429, UpstreamBusyError, Remedy.WAIT),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>proxy error</html>",
        b"<Error><Code>",
        b"\xff\xfe\x00",
        b"<Code><script></Code>",
        b"<Code>a b</Code>",
    ],
)
def test_garbage_is_told_by_its_status(status: int, error: type[GatewayError], remedy: Remedy, body: bytes) -> None:
    fault = parse(status, {}, body)
    assert (fault.code, fault.label, fault.remedy) == ("", f"HTTP{status}", remedy)
    assert type(fault.error()) is error
    assert fault.error().detail == f"{status} HTTP{status}"


def test_a_message_that_is_not_utf_8_is_told_as_far_as_it_goes() -> None:
    assert parse(400, {}, b"<Code>X</Code><Message>a\xffb</Message>").error().detail == "400 X a\ufffdb"


def test_the_clock_of_the_storage_is_told() -> None:
    date = "Fri, 24 May 2013 00:00:00 GMT"
    assert parse(403, {"date": date}, xml("RequestTimeTooSkewed")).date == date
    assert parse(403, {}, xml("RequestTimeTooSkewed")).date is None


def test_the_region_is_in_the_header_or_in_the_body() -> None:
    assert parse(301, {"x-amz-bucket-region": "eu-west-1"}, b"").region == "eu-west-1"
    assert parse(400, {}, xml("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")).region == "eu-west-1"
    assert parse(400, {}, xml("AuthorizationHeaderMalformed", "<Region>evil.example/</Region>")).region is None
    assert parse(400, {}, xml("AuthorizationHeaderMalformed")).region is None


def test_a_range_past_the_end_says_how_long_the_object_is() -> None:
    from_header = parse(416, {"content-range": "bytes */5"}, b"").error()
    from_body = parse(416, {}, xml("InvalidRange", "<ActualObjectSize>5</ActualObjectSize>")).error()
    assert from_header.headers == from_body.headers == {"Content-Range": "bytes */5"}
    for odd in ("٣", "²", "-1", "9" * 20):
        assert parse(416, {}, xml("InvalidRange", f"<ActualObjectSize>{odd}</ActualObjectSize>")).error().headers == {}


def test_a_broken_connection_is_worth_another_try() -> None:
    broken = UpstreamError("reset", code="ConnectionBroken")
    fault = Fault(status=0, broken=broken)
    assert fault.remedy is Remedy.WAIT
    assert fault.label == "ConnectionBroken"
    assert fault.error() is broken
