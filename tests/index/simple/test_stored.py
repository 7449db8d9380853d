"""Stored pages in another form."""

import json
from collections.abc import AsyncIterator

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import UpstreamError
from gateway.index.simple.stored import StoredPages
from gateway.messages import PageRequest, Stream


class Stored:
    """A page as the storage has it: how often it was read, and given back."""

    def __init__(self, content: bytes, etag: str | None) -> None:
        self.content, self.etag = content, etag
        self.read = self.closed = 0

    def stream(self) -> Stream:
        async def body() -> AsyncIterator[bytes]:
            self.read += 1
            yield self.content

        def close() -> None:
            self.closed += 1

        headers = {"ETag": self.etag} if self.etag is not None else {}
        return Stream(200, headers, body(), close, fresh_for=5.0)


def request(encodings: str = "") -> PageRequest:
    return PageRequest("GET", "p/", accept_encoding=encodings)


LINKS = b"".join(b'<a href="p-%d.tar.gz">' % number for number in range(100))


async def test_a_page_is_read_once_for_as_long_as_its_etag_stands() -> None:
    pages, stored = StoredPages(MemoryLimit(10_000_000)), Stored(LINKS, '"1"')
    for _ in range(3):
        page = await pages.as_json(stored.stream(), "p/", request())
        assert len(json.loads(page.body)["files"]) == 100
        assert page.fresh_for == 5.0
    assert (stored.read, stored.closed) == (1, 3)
    newer = Stored(b"<a href='p-9.tar.gz'>", '"2"')
    assert len(json.loads((await pages.as_json(newer.stream(), "p/", request())).body)["files"]) == 1
    other = await pages.as_json(Stored(b"", '"2"').stream(), "q/", request())
    assert json.loads(other.body)["name"] == "q"


async def test_it_is_compressed_for_clients_that_accept_it() -> None:
    pages, stored = StoredPages(MemoryLimit(10_000_000)), Stored(LINKS, '"1"')
    plain, packed = [await pages.as_json(stored.stream(), "p/", request(accept)) for accept in ("", "gzip")]
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.body) < len(plain.body) / 3
    assert packed.headers["ETag"] != plain.headers["ETag"]


async def test_without_an_etag_nothing_is_remembered() -> None:
    pages = StoredPages(MemoryLimit(10_000_000))
    for name in (b"a", b"b"):
        page = await pages.as_json(Stored(b"<a href='%b.whl'>" % name, None).stream(), "p/", request())
        assert [file["filename"] for file in json.loads(page.body)["files"]] == [f"{name.decode()}.whl"]


async def test_a_page_that_breaks_off_is_given_back() -> None:
    stored = Stored(LINKS, '"1"')

    async def broken() -> AsyncIterator[bytes]:
        yield b"<a"
        raise UpstreamError("gone")

    stream = stored.stream()
    stream.body = broken()
    with pytest.raises(UpstreamError):
        await StoredPages(MemoryLimit(10_000_000)).as_json(stream, "p/", request())
    assert stored.closed == 1
