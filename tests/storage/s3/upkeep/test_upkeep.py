"""Uploads that nobody has ended, and copies, in real buckets and in one that misbehaves."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

from gateway.errors import GatewayError, NotFoundError, PreconditionFailedError, UpstreamError
from gateway.storage.base import ObjectMetadata, Storage, one_chunk
from gateway.storage.s3.upkeep.copies import source_name
from gateway.storage.upkeep import UnfinishedUpload, Upkeep, upkeep_of
from tests.conftest import StartGateway
from tests.e2e.test_real_servers import ODD_KEYS
from tests.support.bucket import Bucket
from tests.support.faults import Answer, FaultyBucket, error, etag_of, healthy, serving
from tests.support.moto import Moto

XML = [("Content-Type", "application/xml")]
UPLOAD = "<Upload><Key>{0}</Key><UploadId>{0}</UploadId><Initiated>2026-11-30T00:00:01Z</Initiated></Upload>"


def upkeep(storage: Storage) -> Upkeep:
    found = upkeep_of(storage)
    assert found is not None
    return found


async def listed(storage: Storage) -> list[str]:
    return [upload.key async for upload in upkeep(storage).unfinished()]


@pytest.fixture
async def storage(bucket: Bucket, start_gateway: StartGateway) -> Storage:
    return (await start_gateway(bucket.settings(storage__prefix="pypi/"))).storage


def listing(*keys: str, following: str = "") -> Any:
    more = f"<NextKeyMarker>{following}</NextKeyMarker><NextUploadIdMarker>{following}</NextUploadIdMarker>"
    said = f"<IsTruncated>{str(bool(following)).lower()}</IsTruncated>{more if following else ''}"
    uploads = "".join(UPLOAD.format(key) for key in keys)
    return serving(f"<ListMultipartUploadsResult>{said}{uploads}</ListMultipartUploadsResult>".encode(), XML)


async def test_uploads_that_nobody_has_ended_are_listed_and_given_up(bucket: Bucket, storage: Storage) -> None:
    keys = ["a/x.whl", "a/ф +%.whl"]
    for key in [*(f"pypi/{key}" for key in keys), "other/x.whl"]:
        bucket.client.create_multipart_upload(Bucket=bucket.name, Key=key)
    found = [upload async for upload in upkeep(storage).unfinished()]
    assert sorted(upload.key for upload in found) == sorted(keys)
    for upload in [*found, found[0]]:  # one that is gone is no error
        await upkeep(storage).give_up(upload)
    left = bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])
    assert [item["Key"] for item in left] == ["other/x.whl"]


async def test_a_copy_has_the_bytes_and_the_headers_of_its_source(bucket: Bucket, storage: Storage) -> None:
    for in_parts in (False, True):
        for key in ODD_KEYS[:8]:
            etag = await storage.put(key, one_chunk(key.encode()), content_type="application/zip")
            bucket.client.copy_object(
                Bucket=bucket.name, Key=f"pypi/{key}", CopySource={"Bucket": bucket.name, "Key": f"pypi/{key}"},
                MetadataDirective="REPLACE", Metadata={"requires-python": ">=3"}, ContentType="application/zip",
            )  # fmt: skip
            source = await upkeep(storage).copy_source(key, etag)
            more = ObjectMetadata(sha256="ab" * 32, uploaded=1_500_000_000.0)
            await upkeep(storage).copy(source, f"copy/{key}", more, only_new=True, in_parts=in_parts)
            found = bucket.client.get_object(Bucket=bucket.name, Key=f"pypi/copy/{key}")
            assert (found["Body"].read(), found["ContentType"]) == (key.encode(), "application/zip")
            assert await storage.metadata(f"copy/{key}") == ObjectMetadata(
                "ab" * 32, requires_python=">=3", uploaded=1_500_000_000.0
            )
            await storage.delete(f"copy/{key}")
    assert await listed(storage) == []


@pytest.mark.parametrize("in_parts", [False, True])
async def test_a_copy_replaces_nothing_and_is_of_one_version(bucket: Bucket, storage: Storage, in_parts: bool) -> None:
    etag = await storage.put("a", one_chunk(b"a"))
    source = await upkeep(storage).copy_source("a", etag)
    await storage.put("b", one_chunk(b"b"))
    with pytest.raises(PreconditionFailedError):
        await upkeep(storage).copy(source, "b", ObjectMetadata(), only_new=True, in_parts=in_parts)
    assert bucket.client.get_object(Bucket=bucket.name, Key="pypi/b")["Body"].read() == b"b"
    await upkeep(storage).copy(source, "b", ObjectMetadata(), only_new=False, in_parts=in_parts)
    assert bucket.client.get_object(Bucket=bucket.name, Key="pypi/b")["Body"].read() == b"a"
    await storage.put("a", one_chunk(b"another"))
    with pytest.raises(PreconditionFailedError):
        await upkeep(storage).copy_source("a", etag)
    with pytest.raises(PreconditionFailedError):
        await upkeep(storage).copy(source, "c", ObjectMetadata(), only_new=True, in_parts=in_parts)
    assert await listed(storage) == []


async def test_a_large_object_is_copied_in_parts(
    bucket: Bucket, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.s3.upkeep.copies.MOST_AT_ONCE_BYTES", 5 * 1024 * 1024)
    monkeypatch.setattr("gateway.storage.s3.upkeep.copies._PART_BYTES", 5 * 1024 * 1024)
    content = bytes(range(256)) * 45_000  # three parts
    etag = await storage.put("large", one_chunk(content))
    source = await upkeep(storage).copy_source("large", etag)
    copied = await upkeep(storage).copy(source, "copy", ObjectMetadata(), only_new=True, in_parts=False)
    found = bucket.client.get_object(Bucket=bucket.name, Key="pypi/copy")
    assert (found["Body"].read(), found["ETag"]) == (content, copied)
    assert copied.endswith('-3"')


@pytest.fixture
def moto() -> Iterator[Bucket]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield Bucket(Moto(f"http://{host}:{port}"))
    server.stop()


async def test_on_moto_only_copies_in_parts_heed_the_condition(moto: Bucket, start_gateway: StartGateway) -> None:
    storage = (await start_gateway(moto.settings())).storage
    moto.client.create_multipart_upload(Bucket=moto.name, Key="a/x.whl")
    [upload] = [upload async for upload in upkeep(storage).unfinished()]
    await upkeep(storage).give_up(upload)
    assert await listed(storage) == []
    source = await upkeep(storage).copy_source("a", await storage.put("a", one_chunk(b"a")))
    await storage.put("b", one_chunk(b"b"))
    with pytest.raises(PreconditionFailedError):
        await upkeep(storage).copy(source, "b", ObjectMetadata(), only_new=True, in_parts=True)
    await upkeep(storage).copy(source, "b", ObjectMetadata(), only_new=True, in_parts=False)
    assert moto.client.get_object(Bucket=moto.name, Key="b")["Body"].read() == b"a"


@pytest.fixture
async def faulty_storage(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> Storage:
    return (await start_gateway(faulty_settings | {"storage.max_attempts": "2"})).storage


async def test_all_pages_are_listed_and_an_endless_listing_is_an_error(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    faulty.then(listing("a", "b", following="b"), listing("c"))
    assert await listed(faulty_storage) == ["a", "b", "c"]
    assert faulty.requests[-1].target.endswith("key-marker=b&max-uploads=1000&upload-id-marker=b&uploads=")
    faulty.then(listing("a", following="a"), times=2)
    with pytest.raises(UpstreamError, match="has no end"):
        await listed(faulty_storage)


async def test_a_key_that_xml_can_t_carry_is_asked_for_in_another_way(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    said = f"<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>{UPLOAD.format('a%01+b')}"
    faulty.then(
        listing("a\x01"), serving(f"<ListMultipartUploadsResult>{said}</ListMultipartUploadsResult>".encode(), XML)
    )
    assert await listed(faulty_storage) == ["a\x01 b"]
    assert ["encoding-type=url" in request.target for request in faulty.requests] == [False, True]


async def test_a_refusal_says_which_permission_is_missing(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    faulty.then(error(403, "AccessDenied"))
    with pytest.raises(UpstreamError, match="s3:ListBucketMultipartUploads"):
        await listed(faulty_storage)
    faulty.then(error(404, "NoSuchUpload"), error(403, "AccessDenied"))
    await upkeep(faulty_storage).give_up(UnfinishedUpload("k", "1", 0.0))
    with pytest.raises(UpstreamError, match="not permitted"):
        await upkeep(faulty_storage).give_up(UnfinishedUpload("k", "1", 0.0))


async def test_an_error_inside_a_200_is_an_error(faulty: FaultyBucket, faulty_storage: Storage) -> None:
    faulty.objects["a"] = b"a"
    etag = etag_of(b"a")
    source = await upkeep(faulty_storage).copy_source("a", etag)
    faulty.then(serving(b"<?xml?>\n <Error><Code>InternalError</Code></Error>", XML))
    with pytest.raises(GatewayError) as refused:
        await upkeep(faulty_storage).copy(source, "b", ObjectMetadata(), only_new=True, in_parts=False)
    assert refused.value.code == "InternalError"
    with pytest.raises(NotFoundError):
        await upkeep(faulty_storage).copy_source("none", etag)


def test_an_access_point_is_named_by_its_arn() -> None:
    assert source_name("bucket", "a b/c+d") == "/bucket/a%20b/c%2Bd"
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"
    assert source_name(arn, "a b") == f"{arn}/object/a%20b"


@pytest.mark.parametrize("in_parts", [False, True])
async def test_a_server_may_take_its_time_to_copy(
    faulty: FaultyBucket, start_gateway: StartGateway, faulty_settings: dict[str, str], in_parts: bool
) -> None:
    storage = (await start_gateway(faulty_settings | {"storage.read_timeout": "0.2"})).storage
    waited = list[str]()

    async def slow(answer: Answer) -> None:
        if "x-amz-copy-source" in answer.request.headers:
            await asyncio.sleep(0.5)  # longer than any other answer may take
            waited.append(answer.request.key)
        await healthy(answer)

    etag = await storage.put("a", one_chunk(b"a"))
    source = await upkeep(storage).copy_source("a", etag)
    faulty.then(slow, times=2)
    await upkeep(storage).copy(source, "b", ObjectMetadata(), only_new=True, in_parts=in_parts)
    assert (waited, faulty.objects["b"]) == (["b"], b"a")
