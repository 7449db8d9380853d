"""The bucket as a whole, from a server that pages and one that answers oddly."""

import asyncio
import base64
import threading

import pytest

from gateway.errors import UpstreamError
from gateway.storage.base import ObjectMetadata, Storage, StoredObject
from gateway.storage.s3 import listing
from gateway.storage.s3.listing import ListingPage
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket


@pytest.fixture
async def storage(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> Storage:
    return (await start_gateway(faulty_settings | {"storage.prefix": "pypi"})).storage


async def test_children_are_what_lies_right_below(faulty: FaultyBucket, storage: Storage) -> None:
    faulty.objects = {f"pypi/{key}": b"x" for key in ("a", "p/1", "p/2", "p/q/3", "r/4")} | {"other/5": b"x"}
    root = await storage.children()
    assert ([item.key for item in root.objects], root.folders) == (["a"], ("p", "r"))
    inner = await storage.children("p/")
    assert ([item.key for item in inner.objects], inner.folders) == (["p/1", "p/2"], ("q",))
    nothing = await storage.children("nope/")
    assert (nothing.objects, nothing.folders) == ((), ())


async def test_children_after_a_directory_do_not_have_it_again(faulty: FaultyBucket, storage: Storage) -> None:
    faulty.objects = {f"pypi/{key}": b"x" for key in ("a", "p/1", "p/2", "q")}
    found = await storage.children(after="p/")
    assert ([item.key for item in found.objects], found.folders, found.more) == (["q"], (), False)
    assert "start-after=pypi%2Fp%2F" in faulty.requests[-1].target


async def test_children_come_in_as_many_answers_as_it_takes(faulty: FaultyBucket, storage: Storage) -> None:
    faulty.objects = {f"pypi/{number:05}": b"x" for number in range(2500)}
    assert len((await storage.children()).objects) == 2500
    assert len(faulty.requests) == 3


async def test_a_long_listing_is_read_in_a_thread(
    faulty: FaultyBucket, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def parse(body: bytes) -> ListingPage:
        threads.append(threading.current_thread() is threading.main_thread())
        return real(body)

    real = listing.parse
    monkeypatch.setattr(listing, "parse", parse)
    faulty.objects = {f"pypi/{number:05}": b"x" for number in range(1010)}
    await storage.children()
    assert threads == [False, True], "a short one is read at once"


async def test_an_answer_that_is_no_listing_is_an_error_and_not_empty(faulty: FaultyBucket, storage: Storage) -> None:
    for body in (b"", b"<html>maintenance</html>", b"<ListBucketResult>"):
        faulty.then(faults.serving(body, []))
        with pytest.raises(UpstreamError, match="can't be read"):
            await storage.children()


@pytest.mark.parametrize("token", ["", "<NextContinuationToken>t</NextContinuationToken>"], ids=["none", "the-same"])
async def test_a_listing_that_comes_to_no_end_is_an_error(faulty: FaultyBucket, storage: Storage, token: str) -> None:
    """Taken for the end, it would say that the projects after it are nobody's."""
    page = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}</ListBucketResult>".encode()
    for asking in (storage.children(), anext(storage.list())):
        faulty.then(faults.serving(page, []), times=2)
        with pytest.raises(UpstreamError, match="the listing"):
            await asking
        faulty.script.clear()


async def test_a_listing_that_has_the_same_again_is_an_error(faulty: FaultyBucket, storage: Storage) -> None:
    entry = (
        "<Contents><Key>pypi/p.zip</Key><LastModified>2013-05-24T00:00:00.000Z</LastModified><Size>7</Size></Contents>"
    )

    async def all_of_it() -> list[StoredObject]:
        return [item async for item in storage.list()]

    for asking in (storage.children(), all_of_it()):
        for number in range(2):
            token = f"<NextContinuationToken>{number}</NextContinuationToken>"
            body = f"<ListBucketResult><IsTruncated>true</IsTruncated>{token}{entry}</ListBucketResult>"
            faulty.then(faults.serving(body.encode(), []))
        with pytest.raises(UpstreamError, match="the same objects"):
            await asking
        faulty.script.clear()


@pytest.mark.parametrize("breaks_off", [True, False])
async def test_a_listing_that_is_not_read_to_its_end_gives_its_connection_back(
    faulty: FaultyBucket, storage: Storage, *, breaks_off: bool
) -> None:
    """Otherwise there would be no connection left for anybody in the end."""
    free = storage.stats()["connections_free"]
    faulty.then((faults.reset_in_body if breaks_off else faults.stall_in_body)(100, length=1000))
    asking = asyncio.ensure_future(storage.children())
    if breaks_off:
        with pytest.raises(UpstreamError, match="broke"):
            await asking
    else:
        await eventually(lambda: bool(faulty.requests) and faulty.requests[-1].sent > 100)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
    assert storage.stats()["connections_busy"] == 0
    assert storage.stats()["connections_free"] == free


@pytest.mark.parametrize("status", [204, 206])
async def test_a_part_of_a_listing_is_an_error(faulty: FaultyBucket, storage: Storage, status: int) -> None:
    page = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    faulty.then(faults.serving(page if status == 206 else b"", [], status=status))
    with pytest.raises(UpstreamError, match=f"a listing with {status}"):
        await storage.children()


@pytest.mark.parametrize(
    "told",
    [
        "<Contents><Key>other/q-1.tar.gz</Key><LastModified>2013-05-24T00:00:00.000Z</LastModified><Size>7</Size></Contents>",
        "<CommonPrefixes><Prefix>other/</Prefix></CommonPrefixes>",
    ],
)
async def test_a_listing_of_another_directory_is_an_error(faulty: FaultyBucket, storage: Storage, told: str) -> None:
    """Taken for this one's, it would say that a project has no files."""
    page = f"<ListBucketResult><IsTruncated>false</IsTruncated>{told}</ListBucketResult>".encode()
    faulty.then(faults.serving(page, []))
    with pytest.raises(UpstreamError, match="another directory"):
        await storage.children("p/")


@pytest.mark.parametrize(
    ("headers", "sha256"),
    [
        ([("x-amz-meta-sha256", "AB" * 32)], "ab" * 32),
        ([("x-amz-checksum-sha256", base64.b64encode(b"\1" * 32).decode())], "01" * 32),
        ([("x-amz-checksum-sha256", base64.b64encode(b"\1" * 32).decode() + "-2")], None),
        ([("x-amz-meta-sha256", "ab" * 31)], None),
        ([], None),
    ],
)
async def test_the_hash_that_the_bucket_knows(
    faulty: FaultyBucket, storage: Storage, headers: list[tuple[str, str]], sha256: str | None
) -> None:
    faulty.objects["pypi/k"] = b"x"
    faulty.headers["pypi/k"] = headers
    assert (await storage.metadata("k")).sha256 == sha256
    assert faulty.requests[-1].headers["x-amz-checksum-mode"] == "ENABLED"
    assert "x-amz-checksum-mode" in faulty.requests[-1].headers["authorization"], "it is signed"


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        (
            [("x-amz-meta-requires_python", ">=3.11"), ("x-amz-meta-yanked", "bad build")],
            ObjectMetadata(None, ">=3.11", "bad build"),
        ),
        ([("x-amz-meta-requires-python", ">=3.11"), ("x-amz-meta-yanked", "true")], ObjectMetadata(None, ">=3.11", "")),
        ([("x-amz-meta-requires-python", ""), ("x-amz-meta-yanked", "False")], ObjectMetadata()),
        ([("requires-python", ">=3.11"), ("yanked", "true")], ObjectMetadata()),
    ],
)
async def test_what_an_uploader_has_said(
    faulty: FaultyBucket, storage: Storage, headers: list[tuple[str, str]], metadata: ObjectMetadata
) -> None:
    faulty.objects["pypi/k"] = b"x"
    faulty.headers["pypi/k"] = headers
    assert await storage.metadata("k") == metadata
