"""S3Storage against a bucket that misbehaves on command: what heals, what does not, and what goes over the wire."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway import __version__
from gateway.cache.lru import MemoryLimit
from gateway.config.cache_settings import ParallelSettings
from gateway.config.load import load
from gateway.errors import (
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    RangeNotSatisfiableError,
    UpstreamBusyError,
    UpstreamError,
    UpstreamTimeoutError,
)
from gateway.messages import Credentials, ObjectRequest, Stream
from gateway.storage.resuming import ResumingStorage
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.storage.s3.storage import S3Storage
from gateway.transfer.parallel import MemoryBudget
from tests.support import faults
from tests.support.faults import FaultyBucket, error
from tests.support.layers import layer

Start = Callable[..., Awaitable[ResumingStorage]]
GIVEN = Credentials("AKIDFAULTY", "the-secret-of-faulty", provider="test")


class Faults(list[str]):
    """The labels that `on_fault` heard."""


@pytest.fixture
def heard() -> Faults:
    return Faults()


@pytest.fixture
async def start(faulty: FaultyBucket, faulty_settings: dict[str, str], heard: Faults) -> AsyncIterator[Start]:
    started: list[ResumingStorage] = []

    async def start(provider: Callable[[], Credentials] = lambda: GIVEN, **changes: object) -> ResumingStorage:
        settings = faulty_settings | {f"storage.{name}": str(value) for name, value in changes.items()}
        backend = S3Storage(
            load(settings, environ={}).storage,
            CredentialSource(provider),
            MemoryLimit(10**6),
            index_document="index.html",
            on_fault=heard.append,
        )
        parallel = ParallelSettings()
        storage = ResumingStorage(backend, parallel, MemoryBudget(parallel.memory_bytes, parallel.connections))
        await storage.start()
        started.append(storage)
        return storage

    yield start
    for storage in started:
        await storage.close()


async def read(
    storage: ResumingStorage, key: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    request = ObjectRequest(method, key, {name.replace("_", "-"): value for name, value in headers.items()})
    stream = await storage.fetch(request)
    assert isinstance(stream, Stream)
    try:
        body = b"".join([chunk async for chunk in stream.body]) if stream.body else b""
    finally:
        stream.close()
    return stream.status, stream.headers, body


async def test_what_is_sent_is_what_is_needed_and_no_more(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["a b/ключ"] = b"content"
    storage = await start(prefix="pypi")
    faulty.objects["pypi/a b/ключ"] = b"content"
    assert (await read(storage, "a b/ключ"))[2] == b"content"
    [request] = faulty.requests
    assert request.target == "/teams-bucket/pypi/a%20b/%D0%BA%D0%BB%D1%8E%D1%87"
    assert set(request.headers) == {"host", "user-agent", "authorization", "x-amz-date", "x-amz-content-sha256"}
    assert request.headers["user-agent"] == f"gateway/{__version__}"
    assert request.headers["host"] == f"127.0.0.1:{faulty.port}"


async def test_head_is_signed_and_sent_as_head(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["k"] = b"content"
    faulty.accept("AKIDFAULTY", "the-secret-of-faulty")
    status, headers, body = await read(await start(), "k", method="HEAD")
    assert (status, headers["Content-Length"], body) == (200, "7", b"")
    assert [request.method for request in faulty.requests] == ["HEAD"]


async def test_ranges_and_conditions_pass_both_ways(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["k"] = b"0123456789"
    storage = await start()
    _, headers, _ = await read(storage, "k")
    etag = headers["ETag"]
    assert (await read(storage, "k", range="bytes=2-4"))[::2] == (206, b"234")
    status, headers, body = await read(storage, "k", if_none_match=etag)
    assert (status, headers["ETag"], body) == (304, etag, b"")
    assert "Content-Length" not in headers
    with pytest.raises(PreconditionFailedError):
        await read(storage, "k", if_match='"other"')
    with pytest.raises(RangeNotSatisfiableError) as refused:
        await read(storage, "k", range="bytes=10-")
    assert refused.value.headers == {"Content-Range": "bytes */10"}


async def test_if_range_holds_even_where_the_store_ignores_it(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["k"] = b"0123456789"
    storage = await start()
    etag = (await read(storage, "k"))[1]["ETag"]
    assert (await read(storage, "k", range="bytes=5-", if_range=etag))[::2] == (206, b"56789")
    assert (await read(storage, "k", range="bytes=5-", if_range=faults.DATE))[::2] == (206, b"56789")
    assert (await read(storage, "k", range="bytes=5-", if_range='"old"'))[::2] == (200, b"0123456789")


@pytest.mark.parametrize(
    "fault",
    [
        faults.reset,
        faults.close,
        faults.reset_in_body(0, length=7),
        error(503, "SlowDown"),
        error(500, "InternalError"),
        error(400, "RequestTimeout"),
        error(502, "", body=b"<html>bad gateway</html>"),
        faults.raw(b"HTTP/1.1 two hundred\r\n\r\n"),
        faults.raw(b"\x00\x01\x02"),
    ],
)
async def test_a_burst_of_faults_is_outlived(faulty: FaultyBucket, start: Start, fault: faults.Behaviour) -> None:
    faulty.objects["k"] = b"content"
    storage = await start()
    faulty.then(fault, times=2)
    assert (await read(storage, "k"))[2] == b"content"


async def test_nothing_is_sent_again_once_its_time_is_up(
    start: Start, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where each attempt is answered late: attempts alone bound no time."""
    monkeypatch.setattr("gateway.storage.s3.client._RETRY_SECONDS", 0.0)
    storage = await start(max_attempts=3)
    faulty.then(error(503, "SlowDown"), times=3)
    with pytest.raises(UpstreamBusyError):
        await storage.fetch(ObjectRequest("GET", "k"))
    assert len(faulty.requests) == 1


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        (faults.reset, UpstreamError, "ConnectionBroken"),
        (error(503, "SlowDown"), UpstreamBusyError, "SlowDown"),
        (error(500, "", body=b"garbage"), UpstreamBusyError, "HTTP500"),
    ],
)
async def test_a_fault_that_stays_ends_with_its_error(
    faulty: FaultyBucket, start: Start, heard: Faults, fault: faults.Behaviour, expected: type[GatewayError], code: str
) -> None:
    storage = await start(max_attempts=3)
    faulty.then(fault, times=20)
    with pytest.raises(expected) as failed:
        await read(storage, "k")
    assert failed.value.code == code
    assert heard == [code] * 3


async def test_a_refused_connection_is_an_upstream_error(start: Start) -> None:
    storage = await start(endpoint_url="http://127.0.0.1:1", max_attempts=2)
    with pytest.raises(UpstreamError, match="can't connect") as failed:
        await read(storage, "k")
    assert failed.value.code == "ConnectionFailed"


async def test_silence_is_a_timeout(faulty: FaultyBucket, start: Start) -> None:
    storage = await start(read_timeout=0.2)
    faulty.then(faults.stall, times=5)
    started = time.monotonic()
    with pytest.raises(UpstreamTimeoutError):
        await read(storage, "k")
    assert time.monotonic() - started < 5


async def test_a_body_that_breaks_off_is_never_taken_for_whole(faulty: FaultyBucket, start: Start) -> None:
    storage = await start(read_timeout=0.3)
    for fault in (faults.reset_in_body(100_000, length=200_000), faults.stall_in_body(100_000, length=200_000)):
        faulty.then(fault)
        with pytest.raises((UpstreamError, UpstreamTimeoutError)):
            await read(storage, "k")
    ranges = [request.headers.get("range", "") for request in faulty.requests]
    assert ranges[::2] == ["", ""]
    assert all(text.startswith("bytes=") and not text.startswith("bytes=0-") for text in ranges[1::2]), (
        "not begun again"
    )


@pytest.mark.parametrize("status", [301, 400])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_wrong_region_is_learnt_and_remembered(
    faulty: FaultyBucket, start: Start, status: int, method: str
) -> None:
    faulty.objects["k"] = b"content"
    storage = await start()
    faulty.region = "eu-west-1"
    faulty.accept("AKIDFAULTY", "the-secret-of-faulty")
    faulty.then(faults.wrong_region("eu-west-1", status=status))
    assert (await read(storage, "k", method=method))[0] == 200
    assert layer(storage, S3Storage).endpoint.region == "eu-west-1"
    seen = len(faulty.requests)
    await read(storage, "k")
    assert len(faulty.requests) == seen + 1


async def test_a_head_that_fails_once_is_not_told_that_a_range_of_an_empty_object_is_wrong(
    faulty: FaultyBucket, start: Start
) -> None:
    """The reason why a HEAD fails is asked for with a GET of one byte, which an empty object does not have."""
    faulty.objects["k"] = b""
    storage = await start()
    faulty.then(error(403, "RequestTimeTooSkewed"))
    with pytest.raises(UpstreamError, match="403 HTTP403"):
        await read(storage, "k", method="HEAD")


async def test_many_requests_learn_a_region_together(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["k"] = b"content"
    storage = await start()
    faulty.region = "eu-west-1"
    faulty.accept("AKIDFAULTY", "the-secret-of-faulty")
    answers = await asyncio.gather(*(read(storage, "k") for _ in range(20)))
    assert {body for _, _, body in answers} == {b"content"}


async def test_two_regions_that_point_at_each_other_end(faulty: FaultyBucket, start: Start) -> None:
    storage = await start()
    faulty.then(*[faults.wrong_region(region) for region in ("eu-west-1", "us-east-1")], times=10)
    with pytest.raises(UpstreamError):
        await read(storage, "k")
    assert len(faulty.requests) <= 3


async def test_a_skewed_clock_is_corrected_from_the_answer(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["k"] = b"content"
    storage = await start()
    faulty.then(error(403, "RequestTimeTooSkewed", headers=[("Date", "Fri, 24 May 2013 00:00:00 GMT")]))
    assert (await read(storage, "k"))[2] == b"content"
    assert faulty.requests[1].headers["x-amz-date"].startswith("20130524T0000")
    await read(storage, "k")
    assert faulty.requests[2].headers["x-amz-date"].startswith("20130524T000")


@pytest.mark.parametrize("date", ["nonsense", "Fri, 24 May 99999999999999999999 00:00:00 GMT"])
async def test_a_clock_that_can_t_be_corrected_is_an_error(faulty: FaultyBucket, start: Start, date: str) -> None:
    storage = await start()
    faulty.then(error(403, "RequestTimeTooSkewed", headers=[("Date", date)]))
    with pytest.raises(UpstreamError):
        await read(storage, "k")


async def test_a_clock_that_is_refused_once_corrected_costs_no_second_request_each_time(
    faulty: FaultyBucket, start: Start
) -> None:
    storage = await start()
    faulty.then(error(403, "RequestTimeTooSkewed"), times=100)  # its Date is ours
    for _ in range(5):
        with pytest.raises(UpstreamError):
            await read(storage, "k")
    assert len(faulty.requests) == 5
    faulty.script.clear()
    faulty.then(error(403, "RequestTimeTooSkewed", headers=[("Date", "Fri, 24 May 2013 00:00:00 GMT")]), times=100)
    for _ in range(5):
        with pytest.raises(UpstreamError):
            await read(storage, "k")
    assert len(faulty.requests) == 5 + 6, "the first is corrected, and signed again"


@pytest.mark.parametrize("refusal", ["ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_refused_credentials_are_renewed_once_for_all(
    faulty: FaultyBucket, start: Start, refusal: str, method: str
) -> None:
    faulty.objects["k"] = b"content"
    given = [Credentials("AKIDOLD", "old", "t1"), Credentials("AKIDNEW", "new", "t2")]
    storage = await start(provider=lambda: given.pop(0))
    faulty.accept("AKIDNEW", "new", "t2")
    if refusal != "ExpiredToken":
        faulty.then(error(403, refusal))
    answers = await asyncio.gather(*(read(storage, "k", method=method) for _ in range(20)))
    assert {status for status, _, _ in answers} == {200}
    assert given == []


async def test_credentials_refused_for_good_are_a_502(faulty: FaultyBucket, start: Start, heard: Faults) -> None:
    faulty.accept("SOMEONE", "else")
    with pytest.raises(UpstreamError) as refused:
        await read(await start(), "k")
    assert (refused.value.status, refused.value.code) == (502, "InvalidAccessKeyId")
    assert heard == ["InvalidAccessKeyId"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", NotFoundError),
        (403, "AccessDenied", NotFoundError),
        (404, "NoSuchBucket", UpstreamError),
        (403, "InvalidObjectState", UpstreamError),
    ],
)
async def test_what_is_absent_and_what_is_wrong_are_told_apart(
    faulty: FaultyBucket, start: Start, method: str, status: int, code: str, expected: type[GatewayError]
) -> None:
    storage = await start()
    faulty.then(error(status, code), times=2)
    with pytest.raises(expected) as failed:
        await read(storage, "k", method=method)
    assert type(failed.value) is expected
    assert failed.value.code == code
    # An error answer to HEAD has no body: the same GET, of one byte, says why.
    assert [request.method for request in faulty.requests] == (["GET"] if method == "GET" else ["HEAD", "GET"])


async def test_a_directory_is_what_has_keys_below_it(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects = {"arrow/index.html": b"x", "arrows": b"x", "marker/": b""}
    storage = await start()
    found = [key for key in ("arrow/", "arrows/", "arr/", "marker/") if await storage.is_directory(key)]
    assert found == ["arrow/", "marker/"]


async def test_without_permission_to_list_a_directory_is_what_has_an_index(
    faulty: FaultyBucket, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.objects = {"arrow/index.html": b"x", "marker/": b"page", "empty/": b""}
    storage = await start()
    faulty.then(error(403, "AccessDenied"))
    assert await storage.is_directory("arrow/")
    assert await storage.is_directory("marker/")
    assert await storage.is_directory("empty/")
    assert not await storage.is_directory("nope/")
    assert caplog.text.count("s3:ListBucket") == 1
    faulty.then(error(403, "AccessDenied"))
    assert "s3:ListBucket" in (await storage.check())["note"]


async def test_all_pages_of_a_listing_are_read(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects = {f"pypi/k{number:04}": b"x" for number in range(2500)}
    storage = await start(prefix="pypi")
    keys = [item.key async for item in storage.list()]
    assert keys == [f"k{number:04}" for number in range(2500)]
    assert len(faulty.requests) == 3
    assert [item.key async for item in storage.list("k1", limit=2)] == ["k1000", "k1001"]
    assert [item.key async for item in storage.list(limit=1500)][-1] == "k1499"


async def test_check_says_what_it_found(faulty: FaultyBucket, start: Start) -> None:
    storage = await start()
    assert await storage.check() == {
        "backend": "s3",
        "bucket": "teams-bucket",
        "region": "us-east-1",
        "endpoint": faulty.url,
        "credentials": "test",
    }
    faulty.then(error(404, "NoSuchBucket"))
    with pytest.raises(UpstreamError):
        await storage.check()


async def test_a_stream_that_is_closed_ends_the_transfer(faulty: FaultyBucket, start: Start) -> None:
    faulty.then(faults.endless(10**9))
    storage = await start()
    stream = await storage.fetch(ObjectRequest("GET", "k"))
    assert isinstance(stream, Stream)
    assert stream.body is not None
    await anext(aiter(stream.body))
    stream.close()
    await faulty.until(lambda: faulty.open_connections == 0)
    assert faulty.requests[0].sent < 50_000_000


async def test_a_request_that_is_cancelled_ends_the_transfer(faulty: FaultyBucket, start: Start) -> None:
    faulty.then(faults.stall)
    storage = await start()
    waiting = asyncio.ensure_future(read(storage, "k"))
    await faulty.until(lambda: len(faulty.requests) == 1)
    waiting.cancel()
    await faulty.until(lambda: faulty.open_connections == 0)


async def test_connections_are_used_again(faulty: FaultyBucket, start: Start) -> None:
    faulty.objects["k"] = b"content"
    storage = await start()
    for _ in range(3):
        await read(storage, "k")
        await read(storage, "k", method="HEAD")
        with pytest.raises(NotFoundError):
            await read(storage, "nope")
    assert {request.connection for request in faulty.requests} == {1}


@pytest.mark.parametrize("left", [3600.0, -5.0])
async def test_when_the_credentials_expire(start: Start, left: float) -> None:
    """Also when that is over."""
    expiry = time.time() + left
    storage = await start(lambda: Credentials("AKIDFAULTY", "secret", expires_at=expiry))
    assert storage.credentials_expire_at() == expiry
    assert (await start(signature_version="unsigned")).credentials_expire_at() is None


async def test_a_head_that_is_refused_keeps_no_connection_if_a_get_is_not(faulty: FaultyBucket, start: Start) -> None:
    """Nor if the storage ignores the range, and answers the GET that asks for the reason with the whole object."""
    body = bytes(3_000_000)
    storage = await start(max_attempts=1)
    faulty.then(error(403, "AccessDenied"), faults.serving(body, [("Content-Length", str(len(body)))]))
    with pytest.raises(GatewayError):
        await read(storage, "k", "HEAD")
    assert [request.method for request in faulty.requests] == ["HEAD", "GET"]
    assert storage.stats()["connections_busy"] == 0
