"""The last request of an upload in parts, at which the bucket puts them together."""

import asyncio

import pytest

from gateway.errors import UpstreamError
from gateway.storage.s3.upload import PART_BYTES
from tests.conftest import StartGateway
from tests.storage.s3.test_upload import chunks
from tests.support import faults
from tests.support.faults import FaultyBucket, error, etag_of
from tests.support.multipart import multipart

CONTENT = bytes(PART_BYTES + 1)
_READ_SECONDS = 0.2


async def test_a_bucket_may_take_long_to_put_the_parts_together(
    faulty: FaultyBucket, start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    """S3 sends a space now and then meanwhile, other servers nothing."""
    storage = (await start_gateway(faulty_settings | {"storage.read_timeout": str(_READ_SECONDS)})).storage

    async def slow(answer: faults.Answer) -> None:
        await asyncio.sleep(2 * _READ_SECONDS)
        await answer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n")
        await asyncio.sleep(2 * _READ_SECONDS)
        text = b"<CompleteMultipartUploadResult><ETag>&quot;e&quot;</ETag></CompleteMultipartUploadResult>"
        await answer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(text), text))

    faulty.then(faults.healthy, times=3)
    faulty.then(slow)
    assert await storage.put("k", chunks(CONTENT), only_new=True) == '"e"'
    assert [request.method for request in faulty.requests] == ["POST", "PUT", "PUT", "POST"]


async def test_no_parts_are_said_to_stay_if_only_the_answer_was_lost(
    faulty: FaultyBucket,
    start_gateway: StartGateway,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = (await start_gateway(faulty_settings)).storage

    async def lost(answer: faults.Answer) -> None:
        answer.send = lambda *_: faults.reset(answer)  # type: ignore[method-assign]
        await multipart(answer)

    faulty.then(faults.healthy, times=3)
    faulty.then(lost, error(404, "NoSuchUpload"))
    with pytest.raises(UpstreamError):
        await storage.put("k", chunks(CONTENT), only_new=True)
    assert etag_of(faulty.objects["k"]) == etag_of(CONTENT)
    assert faulty.requests[-1].method == "DELETE"
    assert "aborted" not in caplog.text
