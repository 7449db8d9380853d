"""Writing to a bucket: whole or not at all, in one request or in parts."""

import asyncio
import hashlib
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from moto.server import ThreadedMotoServer

from gateway.errors import GatewayError, NotFoundError, PreconditionFailedError, UpstreamError
from gateway.storage.base import ObjectMetadata, Storage
from gateway.storage.s3.upload import PART_BYTES
from tests.conftest import StartGateway
from tests.e2e.test_real_servers import ODD_KEYS
from tests.support import faults
from tests.support.bucket import Bucket
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.moto import Moto

Start = Callable[..., Awaitable[Storage]]


async def chunks(content: bytes, size: int = 1_000_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def breaking(content: bytes) -> AsyncIterator[bytes]:
    yield content
    raise ConnectionResetError("the uploader is gone")


def read(bucket: Bucket, key: str) -> bytes:
    body: bytes = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    return body


def keys(bucket: Bucket) -> list[str]:
    return [item["Key"] for item in bucket.client.list_objects_v2(Bucket=bucket.name).get("Contents", [])]


def unfinished(bucket: Bucket) -> int:
    return len(bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", []))


@pytest.fixture
async def storage(bucket: Bucket, start_gateway: StartGateway) -> Storage:
    return (await start_gateway(bucket.settings())).storage


@pytest.mark.parametrize("size", [0, 1, 100_000, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12345])
@pytest.mark.parametrize("signature_version", ["s3v4", "s3"])
async def test_what_is_put_is_there_byte_for_byte(
    bucket: Bucket, start_gateway: StartGateway, size: int, signature_version: str
) -> None:
    storage = (await start_gateway(bucket.settings(storage__signature_version=signature_version))).storage
    content = random.Random(size).randbytes(size)
    etag = await storage.put("pkg/file 1+.whl", chunks(content), content_type="application/zip")
    found = bucket.client.get_object(Bucket=bucket.name, Key="pkg/file 1+.whl")
    assert hashlib.sha256(found["Body"].read()).digest() == hashlib.sha256(content).digest()
    assert (found["ETag"], found["ContentType"]) == (etag, "application/zip")
    assert unfinished(bucket) == 0


async def test_a_delete_removes_and_an_absent_object_is_no_error(bucket: Bucket, storage: Storage) -> None:
    await storage.put("k", chunks(b"x"))
    await storage.delete("k")
    assert keys(bucket) == []
    await storage.delete("k")


async def test_odd_keys(bucket: Bucket, storage: Storage) -> None:
    for key in ODD_KEYS:
        await storage.put(key, chunks(key.encode()))
        assert read(bucket, key) == key.encode()
        await storage.delete(key)
    assert keys(bucket) == []


async def test_of_many_who_create_one_wins(bucket: Bucket, storage: Storage) -> None:
    """In one request each: SeaweedFS 4.48 lets two of some who complete an upload in parts at once win."""
    contents = [bytes([number]) * 10 for number in range(4)]
    results = await asyncio.gather(
        *(storage.put("k", chunks(content), only_new=True) for content in contents), return_exceptions=True
    )
    assert len([result for result in results if isinstance(result, PreconditionFailedError)]) == 3, results
    won = next(content for content, result in zip(contents, results, strict=True) if isinstance(result, str))
    assert read(bucket, "k") == won


@pytest.mark.parametrize("size", [10, PART_BYTES + 1])
async def test_what_is_there_is_not_replaced_by_who_wants_only_new(bucket: Bucket, storage: Storage, size: int) -> None:
    await storage.put("k", chunks(b"first"), only_new=True)
    with pytest.raises(PreconditionFailedError):
        await storage.put("k", chunks(bytes(size)), only_new=True)
    assert read(bucket, "k") == b"first"
    await storage.put("k", chunks(b"replaced"))
    assert read(bucket, "k") == b"replaced"
    assert unfinished(bucket) == 0


@pytest.mark.parametrize("size", [10, PART_BYTES + 1])
async def test_of_many_who_replace_one_wins(bucket: Bucket, storage: Storage, size: int) -> None:
    first = await storage.put("k", chunks(b"first"))
    contents = [bytes([number]) * size for number in range(3)]
    results = []
    for content in contents:
        try:
            results.append(await storage.put("k", chunks(content), replaces=first))
        except PreconditionFailedError:
            results.append("")
    assert [bool(result) for result in results] == [True, False, False]
    assert read(bucket, "k") == contents[0]
    with pytest.raises(PreconditionFailedError):
        await storage.put("none", chunks(b"x"), replaces=first)
    assert keys(bucket) == ["k"]


async def test_what_is_told_of_it_is_in_its_metadata(bucket: Bucket, storage: Storage) -> None:
    told = ObjectMetadata("ab" * 32, ">=3.9,<4", uploaded=1_500_000_000.25)
    for key, content in [("small", b"x"), ("large", bytes(PART_BYTES + 1))]:
        await storage.put(key, chunks(content), metadata=told)
        assert await storage.metadata(key) == told
        metadata = bucket.client.head_object(Bucket=bucket.name, Key=key)["Metadata"]
        assert {name.lower(): value for name, value in metadata.items()} == {
            "sha256": "ab" * 32,
            "requires-python": ">=3.9,<4",
            "upload-time": "2017-07-14T02:40:00.250000+00:00",
        }
    await storage.put(
        "open", chunks(b"content"), metadata=ObjectMetadata(requires_python="not\nfor a header", yanked="näh")
    )
    found = await storage.metadata("open")
    assert (found.sha256, found.requires_python) == (hashlib.sha256(b"content").hexdigest(), None)
    assert found.yanked == ""
    assert found.uploaded is not None
    assert found.uploaded == pytest.approx(time.time(), abs=600)
    await storage.put("plain", chunks(b"x"))
    assert await storage.metadata("plain") == ObjectMetadata()


@pytest.mark.parametrize("size", [10, 3 * PART_BYTES])
async def test_an_uploader_that_breaks_off_leaves_nothing(bucket: Bucket, storage: Storage, size: int) -> None:
    with pytest.raises(ConnectionResetError):
        await storage.put("k", breaking(bytes(size)))
    assert keys(bucket) == []
    assert unfinished(bucket) == 0


async def test_on_swift(swift_bucket: Bucket, start_gateway: StartGateway) -> None:
    """The stricter judge checks the hash of each body."""
    storage = (await start_gateway(swift_bucket.settings())).storage
    content = random.Random(1).randbytes(PART_BYTES + 1)
    for key, body in [("small ключ", b"small"), ("large", content), ("empty", b"")]:
        await storage.put(key, chunks(body))
        assert read(swift_bucket, key) == body
        await storage.delete(key)
    assert keys(swift_bucket) == []


@pytest.fixture
async def faulty_storage(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> Storage:
    return (await start_gateway(faulty_settings | {"storage.max_attempts": "2"})).storage


async def test_a_put_is_repeated_where_that_does_no_harm(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    faulty.then(error(503, "SlowDown"))
    await faulty_storage.put("k", chunks(b"content"))
    faulty.then(faults.reset)
    await faulty_storage.put("k2", chunks(b"content"))
    assert faulty.objects == {"k": b"content", "k2": b"content"}


async def test_a_creation_is_not_repeated_once_it_may_have_happened(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    faulty.then(error(503, "SlowDown"))
    await faulty_storage.put("k", chunks(b"content"), only_new=True)
    assert [request.headers["if-none-match"] for request in faulty.requests] == ["*", "*"]
    faulty.requests.clear()
    faulty.then(faults.reset)
    with pytest.raises(UpstreamError):
        await faulty_storage.put("k2", chunks(b"content"), only_new=True)
    assert len(faulty.requests) == 1


async def test_a_key_that_can_t_be_is_no_failed_precondition(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    faulty.then(error(400, "KeyTooLongError"))
    with pytest.raises(NotFoundError):
        await faulty_storage.put("k", chunks(b"x"))
    faulty.then(error(404, "NoSuchKey"))
    with pytest.raises(PreconditionFailedError, match="no object to replace"):
        await faulty_storage.put("k", chunks(b"x"), replaces='"e"')


async def test_a_refused_write_is_no_absent_object(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    faulty.then(error(403, "AccessDenied"), times=2)
    with pytest.raises(UpstreamError, match="writing is not permitted"):
        await faulty_storage.put("k", chunks(b"content"))
    with pytest.raises(UpstreamError, match="writing is not permitted"):
        await faulty_storage.delete("k")
    faulty.then(error(404, "NoSuchKey"))
    await faulty_storage.delete("k")


async def test_a_refusal_before_the_body_is_through_is_heard(
    faulty: FaultyBucket, faulty_storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = faulty._read

    async def without_body(reader: asyncio.StreamReader, number: int) -> faults.Request | None:
        return await real(_HeadOnly(reader), number)  # type: ignore[arg-type]

    monkeypatch.setattr(faulty, "_read", without_body)
    faulty.then(error(403, "AccessDenied"))
    with pytest.raises(GatewayError) as refused:
        await faulty_storage.put("k", chunks(bytes(PART_BYTES - 1)))
    assert refused.value.code == "AccessDenied"


class _HeadOnly:
    """A reader that leaves bodies where they are."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self.readuntil = reader.readuntil

    async def readexactly(self, _: int) -> bytes:
        return b""


XML = "<InitiateMultipartUploadResult><UploadId>a&b=</UploadId></InitiateMultipartUploadResult>"


async def test_an_error_inside_a_200_is_an_error(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    part = [("ETag", '"e"')]
    faulty.then(faults.serving(XML.encode(), []), faults.serving(b"", part), faults.serving(b"", part))
    faulty.then(faults.serving(b"<?xml?>\n  <Error><Code>InternalError</Code></Error>", []))
    with pytest.raises(GatewayError) as refused:
        await faulty_storage.put("k", chunks(bytes(PART_BYTES + 1)))
    assert refused.value.code == "InternalError"
    *_, complete, abort = faulty.requests
    assert (complete.method, abort.method) == ("POST", "DELETE")
    assert complete.target.endswith("/k?uploadId=a%26b%3D")
    assert complete.body.count(b"<ETag>&quot;e&quot;</ETag>") + complete.body.count(b'<ETag>"e"</ETag>') == 2


async def test_parts_are_what_was_given_however_slowly_they_are_taken(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    """While one is sent, the next one is gathered, in a buffer that is used again."""
    content = random.Random(5).randbytes(3 * PART_BYTES + 100)
    given = 0

    async def ever_more() -> AsyncIterator[bytes]:
        nonlocal given
        async for chunk in chunks(content, 777_777):
            given += len(chunk)
            yield chunk

    async def slow(answer: faults.Answer) -> None:
        number = int(answer.request.target.partition("partNumber=")[2].partition("&")[0])
        await eventually(lambda: given >= min((number + 1) * PART_BYTES, len(content)))
        await faults.healthy(answer)

    faulty.then(faults.healthy)
    faulty.then(slow, times=4)
    assert await faulty_storage.put("k", ever_more()) == faults.etag_of(content)
    assert faulty.objects["k"] == content


async def test_small_objects_take_little_memory_while_they_come(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    """Small uploads have as much memory as they are long, and there may be hundreds at once."""
    content, begun, go_on = random.Random(6).randbytes(20_000), 0, asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        nonlocal begun
        yield content[:10_000]
        begun += 1
        await go_on.wait()
        yield content[10_000:]

    tracemalloc.start()
    try:
        puts = [asyncio.create_task(faulty_storage.put(f"k{number}", slow())) for number in range(20)]
        await eventually(lambda: begun == len(puts))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    go_on.set()
    await asyncio.gather(*puts)
    assert taken / len(puts) < 10 * len(content)
    assert {faulty.objects[f"k{number}"] for number in range(len(puts))} == {content}


async def test_an_upload_that_can_t_be_aborted_is_logged(
    faulty: FaultyBucket, faulty_storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    faulty.then(faults.serving(XML.encode(), []), error(403, "AccessDenied"), error(403, "AccessDenied"))
    with pytest.raises(GatewayError):
        await faulty_storage.put("k", chunks(bytes(PART_BYTES + 1)))
    assert "could not be aborted" in caplog.text


@pytest.fixture(scope="module")
def moto() -> Iterator[ThreadedMotoServer]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("size", [10, PART_BYTES + 1])
async def test_encryption_class_and_acl_are_those_of_the_settings(
    moto: ThreadedMotoServer, start_gateway: StartGateway, size: int
) -> None:
    host, port = moto.get_host_and_port()
    bucket = Bucket(Moto(f"http://{host}:{port}"))
    settings = bucket.settings(
        storage__server_side_encryption="aws:kms",
        storage__sse_kms_key_id="arn:aws:kms:us-east-1:123456789012:key/abc",
        storage__storage_class="STANDARD_IA",
        storage__object_acl="public-read",
    )
    storage = (await start_gateway(settings)).storage
    await storage.put("k", chunks(bytes(size)))
    head = bucket.client.head_object(Bucket=bucket.name, Key="k")
    assert head["ServerSideEncryption"] == "aws:kms"
    assert head["SSEKMSKeyId"] == "arn:aws:kms:us-east-1:123456789012:key/abc"
    assert head["StorageClass"] == "STANDARD_IA"
    grants = bucket.client.get_object_acl(Bucket=bucket.name, Key="k")["Grants"]
    assert any(grant["Grantee"].get("URI", "").endswith("/AllUsers") for grant in grants)
    plain = (await start_gateway(bucket.settings(storage__server_side_encryption="AES256"))).storage
    await plain.put("k2", chunks(b"x"))
    head = bucket.client.head_object(Bucket=bucket.name, Key="k2")
    assert (head["ServerSideEncryption"], "StorageClass" in head) == ("AES256", False)


@pytest.mark.parametrize("held", ["POST", "DELETE"])
async def test_an_upload_that_is_cancelled_ends_when_the_bucket_has_nothing_of_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], held: str
) -> None:
    """Whoever waits for its end, as at the gateway's, finds nothing left; and nobody else knows the upload's id."""
    storage = (await start_gateway(faulty_settings)).storage
    go_on = asyncio.Event()

    async def hold(answer: faults.Answer) -> None:
        await go_on.wait()
        await faults.healthy(answer)

    faulty.then(faults.on(held, hold))
    put = asyncio.ensure_future(storage.put("a.bin", chunks(bytes(2 * PART_BYTES + 1))))
    if held == "DELETE":
        faulty.script.insert(0, faults.on("PUT", error(400, "BadDigest")))
    await faulty.until(lambda: any(request.method == held for request in faulty.requests))
    for _ in range(2):
        put.cancel()
        await asyncio.sleep(0)
    assert not put.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await put
    assert [request.method for request in faulty.requests][-1] == "DELETE"
    assert faulty.parts == {"0": {}}
    assert faulty.objects == {}
