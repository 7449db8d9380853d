"""What every storage does: S3 on a real server, a directory, and a plug-in; by itself and behind the decorators."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.errors import NotFoundError, PreconditionFailedError, RangeNotSatisfiableError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Batch, ObjectMetadata, Storage
from gateway.storage.stack import build_backend, build_storage
from tests.support import memorystorage
from tests.support.bucket import Bucket

BODY = bytes(range(256)) * 2000
# Each is a key that some layer could spoil: it is encoded, signed, or looks like something else.
KEYS = ["a/b.txt", "a/b c+d%2F.txt", "a/ключ-é.whl", "a/=&?#;.txt", "b~/x"]


@pytest.fixture(params=["s3", "file", "plug-in"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("bucket")
        return bucket.settings()
    if request.param == "file":
        (tmp_path / "root").mkdir()
        return {"storage.dir": str(tmp_path / "root")}
    return {"storage.backend": memorystorage.BACKEND, "storage.options": "{name: here}"}


@pytest.fixture(params=["alone", "decorated", "prefixed"])
async def storage(request: pytest.FixtureRequest, settings: dict[str, str], tmp_path: Path) -> AsyncIterator[Storage]:
    changes = {"prefixed": {"storage.prefix": "pypi/"}, "decorated": {"cache.dir": str(tmp_path / "cache")}}
    loaded = load(settings | changes.get(request.param, {}), environ={}, cwd=tmp_path)
    storage: Storage = build_backend(loaded) if request.param == "alone" else build_storage(loaded)
    await storage.start()
    yield storage
    await storage.close()


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


async def put(storage: Storage, key: str, content: bytes = b"content") -> str:
    return await storage.put(key, chunks(content))


async def fetch(storage: Storage, key: str, method: str = "GET", **headers: str) -> tuple[Stream, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    stream = await storage.fetch(ObjectRequest(method, key, named))
    assert isinstance(stream, Stream)
    try:
        return stream, b"".join([chunk async for chunk in stream.body]) if stream.body is not None else b""
    finally:
        stream.close()


@pytest.mark.parametrize("key", KEYS)
async def test_what_is_written_is_read(storage: Storage, key: str) -> None:
    etag = await put(storage, key, BODY)
    for _ in range(2):  # the second time from a cache, where there is one
        stream, body = await fetch(storage, key)
        assert body == BODY
        assert (stream.status, stream.headers["ETag"], stream.headers["Content-Length"]) == (200, etag, str(len(BODY)))
        assert "Last-Modified" in stream.headers
    stream, body = await fetch(storage, key, "HEAD")
    assert (stream.status, stream.headers["ETag"], stream.headers["Content-Length"]) == (200, etag, str(len(BODY)))
    assert body == b""
    assert [item.key async for item in storage.list()] == [key]


async def test_a_new_version_is_read_at_once(storage: Storage) -> None:
    old = await put(storage, "k.whl", b"old")
    assert (await fetch(storage, "k.whl"))[1] == b"old"
    assert await put(storage, "k.whl", b"new!") != old
    assert (await fetch(storage, "k.whl"))[1] == b"new!"
    await storage.delete("k.whl")
    with pytest.raises(NotFoundError):
        await fetch(storage, "k.whl")


async def test_what_is_absent_is_not_found(storage: Storage) -> None:
    await put(storage, "a/b.txt")
    for key in ("a", "a/b", "a/b.txt.metadata", "A/B.TXT", "x" * 2000):
        for method in ("GET", "HEAD"):
            with pytest.raises(NotFoundError):
                await fetch(storage, key, method)
    await storage.delete("a/absent.txt")


@pytest.mark.parametrize(
    ("field", "start", "stop"), [("0-0", 0, 1), ("5-9", 5, 10), ("500000-", 500_000, None), ("-7", -7, None)]
)
async def test_a_range_is_a_part(storage: Storage, field: str, start: int, stop: int | None) -> None:
    await put(storage, "k", BODY)
    stream, body = await fetch(storage, "k", range=f"bytes={field}")
    expected = BODY[start:stop]
    assert (stream.status, body) == (206, expected)
    first = start % len(BODY)
    assert stream.headers["Content-Range"] == f"bytes {first}-{first + len(expected) - 1}/{len(BODY)}"


async def test_a_range_past_the_end_is_refused(storage: Storage) -> None:
    await put(storage, "k", BODY)
    with pytest.raises(RangeNotSatisfiableError) as refused:
        await fetch(storage, "k", range=f"bytes={len(BODY)}-")
    assert refused.value.headers["Content-Range"] == f"bytes */{len(BODY)}"


async def test_conditions_hold_against_the_etag(storage: Storage) -> None:
    etag = await put(storage, "k", BODY)
    stream, body = await fetch(storage, "k", if_none_match=etag)
    assert (stream.status, body, stream.headers["ETag"]) == (304, b"", etag)
    assert (await fetch(storage, "k", if_none_match='"other"'))[1] == BODY
    assert (await fetch(storage, "k", if_match=etag))[1] == BODY
    with pytest.raises(PreconditionFailedError):
        await fetch(storage, "k", if_match='"other"')


async def test_listings_are_in_the_order_of_keys(storage: Storage) -> None:
    for key in ("b/2", "a0", "a/1", "a/b/3", "é", "a/ü"):
        await put(storage, key, key.encode())
    assert [item.key async for item in storage.list()] == ["a/1", "a/b/3", "a/ü", "a0", "b/2", "é"]
    assert [item.key async for item in storage.list("a/")] == ["a/1", "a/b/3", "a/ü"]
    assert [item.key async for item in storage.list("a/", limit=2)] == ["a/1", "a/b/3"]
    sizes = {item.key: item.size async for item in storage.list()}
    assert sizes == {key: len(key.encode()) for key in sizes}
    children = await storage.children("a/")
    assert ([item.key for item in children.objects], children.folders) == (["a/1", "a/ü"], ("b",))
    root = await storage.children()
    assert ([item.key for item in root.objects], root.folders) == (["a0", "é"], ("a", "b"))
    first = await storage.children(limit=2)
    assert ([item.key for item in first.objects], first.folders) == (["a0"], ("a",))
    assert (first.more, root.more, (await storage.children(limit=4)).more) == (True, False, False)
    asked = ("a/", "a/b/", "b/", "c/", "a/1/")
    assert [key for key in asked if await storage.is_directory(key)] == ["a/", "a/b/", "b/"]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
async def test_children_go_on_after_a_name(storage: Storage, size: int) -> None:
    """All of them, also those whose names begin with that of a directory: SeaweedFS sorts directories without their
    slash, and may tell such names twice."""
    for key in ("d/a", "d/b/1", "d/b/2", "d/b.x", "d/c 1", "d/c/é/2", "d/c/z", "d/d", "d/é/3", "d/ж", "e/x"):
        await put(storage, key)
    found: list[str] = []
    more, after = True, ""
    while more:
        page = await storage.children("d/", limit=size, after=after)
        names = [item.key.removeprefix("d/") for item in page.objects] + [f"{name}/" for name in page.folders]
        assert 1 <= len(names) <= size
        found += sorted(names)
        more, after = page.more, max(names)
    assert sorted({*found}) == ["a", "b.x", "b/", "c 1", "c/", "d", "é/", "ж"]
    assert len(found) == 8 or str(storage).startswith("S3")
    gone = await storage.children("d/", after="b~nowhere")
    assert ([item.key for item in gone.objects], gone.folders) == (["d/c 1", "d/d", "d/ж"], ("c", "é"))


async def test_a_batch_that_is_known_is_not_told_again(storage: Storage) -> None:
    await put(storage, "a/1")
    await put(storage, "b/2")

    async def all_batches(known: set[bytes]) -> list[Batch]:
        return [batch async for batch in storage.batches(known=known)]

    first = await all_batches(set())
    assert sorted(item.key for batch in first for item in batch.objects or ()) == ["a/1", "b/2"]
    assert {batch.objects for batch in await all_batches({batch.digest for batch in first})} == {None}
    await put(storage, "a/3")
    keys = [item.key for batch in await all_batches({batch.digest for batch in first}) for item in batch.objects or ()]
    assert "a/3" in keys


async def test_etags_of_listings_are_those_of_answers(storage: Storage) -> None:
    etag = await put(storage, "a/1")
    [item] = [item async for item in storage.list()]
    [child] = (await storage.children("a/")).objects
    assert item.etag == child.etag == etag == (await fetch(storage, "a/1", "HEAD"))[0].headers["ETag"]


async def test_only_one_of_many_writes_what_is_new(storage: Storage) -> None:
    async def write(number: int) -> str | None:
        try:
            return await storage.put("k", chunks(b"%d" % number), only_new=True)
        except PreconditionFailedError:
            return None

    won = [etag for etag in await asyncio.gather(*map(write, range(8))) if etag is not None]
    assert len(won) == 1
    assert (await fetch(storage, "k"))[0].headers["ETag"] == won[0]


async def test_a_replacement_needs_the_version_that_it_replaces(storage: Storage) -> None:
    with pytest.raises(PreconditionFailedError):
        await storage.put("k", chunks(b"x"), replaces='"none"')
    old = await put(storage, "k", b"old")
    new = await storage.put("k", chunks(b"new"), replaces=old)
    with pytest.raises(PreconditionFailedError):
        await storage.put("k", chunks(b"lost"), replaces=old)
    stream, body = await fetch(storage, "k")
    assert (stream.headers["ETag"], body) == (new, b"new")


async def test_an_upload_that_breaks_off_leaves_nothing(storage: Storage) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError("the client left")

    with pytest.raises(ConnectionError):
        await storage.put("k", breaking())
    with pytest.raises(NotFoundError):
        await fetch(storage, "k")
    assert [item.key async for item in storage.list()] == []


async def test_metadata_is_asked_for_by_version(storage: Storage) -> None:
    etag = await storage.put("k", chunks(b"x"), metadata=ObjectMetadata(requires_python=">=3.9"))
    assert (await storage.metadata("k", etag)).requires_python in (">=3.9", None), "a file system has no place for it"
    with pytest.raises(PreconditionFailedError):
        await storage.metadata("k", '"another version"')
    with pytest.raises(NotFoundError):
        await storage.metadata("absent")


async def test_a_stream_may_be_left_at_any_time(storage: Storage) -> None:
    await put(storage, "k", BODY)
    for read in (False, True):
        stream = await storage.fetch(ObjectRequest("GET", "k"))
        assert isinstance(stream, Stream)
        if read:
            assert stream.body is not None
            assert await anext(stream.body)
        stream.close()
        stream.close()
    assert (await fetch(storage, "k"))[1] == BODY


async def test_it_tells_what_it_is(storage: Storage, settings: dict[str, str]) -> None:
    found = await storage.check()
    assert found["backend"]
    assert all(isinstance(value, str) for value in found.values())
    assert all(isinstance(text, str) for step in [step async for step in storage.diagnose()] for text in step)
    assert all(isinstance(count, int) for count in storage.stats().values())
    assert storage.credentials_expire_at() is None
    assert str(storage)
    storage.expire()
