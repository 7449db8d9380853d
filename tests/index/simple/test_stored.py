"""Stored pages in another form."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import BadRequestError, NotFoundError, UpstreamError
from gateway.index.simple.stored import StoredPages, format_of, negotiated, unavailable, wants_json
from gateway.messages import PageRequest, Stream
from tests.support.eventually import eventually

JSON = "application/vnd.pypi.simple.v1+json"


class Stored:
    """A page as the storage has it: how often it was read, and given back."""

    def __init__(self, content: bytes, etag: str | None, **headers: str) -> None:
        self.content, self.etag = content, etag
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.read = self.closed = 0
        self.hold: asyncio.Event | None = None

    def stream(self) -> Stream:
        async def body() -> AsyncIterator[bytes]:
            self.read += 1
            if self.hold is not None:
                await self.hold.wait()
            yield self.content

        def close() -> None:
            self.closed += 1

        headers = {"ETag": self.etag} if self.etag is not None else {}
        return Stream(200, headers | self.headers, body(), close, fresh_for=5.0)


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


async def test_clients_that_ask_at_the_same_time_share_one_reading_of_a_page() -> None:
    pages, stored = StoredPages(MemoryLimit(10_000_000)), Stored(LINKS, '"1"')
    stored.hold = asyncio.Event()
    asking = [asyncio.ensure_future(pages.as_json(stored.stream(), "p/", request())) for _ in range(20)]
    await eventually(lambda: stored.closed == 19, lambda: stored.closed)
    asking[0].cancel()  # its stream is the one that is read
    await asyncio.wait(asking[:1])
    stored.hold.set()
    assert {len(json.loads((await page).body)["files"]) for page in asking[1:]} == {100}
    assert (stored.read, stored.closed) == (1, 20)


async def test_an_object_without_an_etag_is_read_by_each_client() -> None:
    pages, stored = StoredPages(MemoryLimit(10_000_000)), Stored(LINKS, None)
    await asyncio.gather(*(pages.as_json(stored.stream(), "p/", request()) for _ in range(3)))
    assert (stored.read, stored.closed) == (3, 3)


async def test_operators_see_what_it_takes_under_its_name() -> None:
    memory = MemoryLimit(10_000_000)
    await StoredPages(memory).as_json(Stored(LINKS, '"1"').stream(), "p/", request())
    assert memory.stats()["stored pages as JSON"] > len(LINKS)


async def test_its_json_says_how_it_was_chosen_and_may_be_kept() -> None:
    page = await StoredPages(MemoryLimit(10_000_000)).as_json(Stored(LINKS, '"1"').stream(), "p/", request())
    assert {name: value for name, value in page.headers.items() if name != "ETag"} == {
        "Content-Type": "application/vnd.pypi.simple.v1+json",
        "Vary": "Accept, Accept-Encoding",
        "Cache-Control": "no-cache",
    }
    packed = await StoredPages(MemoryLimit(10_000_000)).as_json(Stored(LINKS, '"1"').stream(), "p/", request("gzip"))
    assert packed.headers["Content-Encoding"] == "gzip"


async def test_its_json_says_too_that_it_is_stale() -> None:
    of_the_cache = {"Cache-Status": "gateway; hit; ttl=-7; detail=stale", "Age": "37"}
    stored = Stored(LINKS, '"1"')
    stored.headers = of_the_cache
    page = await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), "p/", request())
    assert page.headers.items() >= of_the_cache.items()


@pytest.mark.parametrize("key", ["", "simple/", "x/simple/"])
async def test_the_page_of_the_root_lists_projects(key: str) -> None:
    stored = Stored(b'<a href="B_c/">', '"1"')
    page = await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), key, request())
    assert json.loads(page.body)["projects"] == [{"name": "b-c"}]


@pytest.mark.parametrize(
    ("key", "name"),
    [("My_Project/", "my-project"), ("x/my.project/", "my-project"), ("simple/my-project", "my-project"), ("X/", "x")],
)
async def test_a_project_s_page_is_named_after_its_directory(key: str, name: str) -> None:
    stored = Stored("<a href='p-\udcff.zip'>".encode("utf-8", "surrogateescape"), '"1"')
    page = json.loads((await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), key, request())).body)
    assert page["name"] == name
    assert [file["filename"] for file in page["files"]] == ["p-\ufffd.zip"], "what is not UTF-8 is shown so"


async def test_a_page_that_can_not_be_read_is_the_storage_s_failure() -> None:
    stored = Stored(b"<a " + b"b " * 1_000_001 + b">", '"1"')
    with pytest.raises(UpstreamError, match=r"^the page 'p/' can't be read: it has more attributes"):
        await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), "p/", request())
    assert stored.closed == 1


async def test_a_page_with_more_links_than_can_be_read_in_seconds_is_refused_with_the_reason() -> None:
    pages, most = StoredPages(MemoryLimit(10_000_000)), LINKS + b"&" * 149_900  # 100 * 17 + 149,900 * 20 of 3,000,000
    page = await pages.as_json(Stored(most, '"1"').stream(), "p/", request())
    assert len(json.loads(page.body)["files"]) == 100
    for key in ("p/", "", "simple/"):
        stored = Stored(most + b"&" * 16, '"2"')
        with pytest.raises(UpstreamError, match=r"can't be read: it has more links than any page$") as refused:
            await pages.as_json(stored.stream(), key, request())
        assert refused.value.public == "The stored page can't be shown as JSON: it has more links than any page"
        assert (refused.value.status, stored.closed) == (502, 1)


async def test_a_page_that_is_stored_packed_is_unpacked() -> None:
    stored = Stored(gzip.compress(LINKS), '"1"', Content_Type="text/html", Content_Encoding="gzip")
    page = await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), "p/", request())
    assert len(json.loads(page.body)["files"]) == 100


async def test_a_damaged_page_is_no_project_without_files() -> None:
    stored = Stored(gzip.compress(LINKS)[:-9], '"1"', Content_Encoding="gzip")
    with pytest.raises(UpstreamError, match=r"^the page 'p/' can't be read: it is incomplete"):
        await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), "p/", request())
    assert stored.closed == 1


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8"])
async def test_a_page_that_is_stored_as_json_stays_as_it_is(kind: str) -> None:
    stored = Stored(b'{"name": "p", "files": [1]}', '"1"', Content_Type=kind)
    page = await StoredPages(MemoryLimit(10_000_000)).as_json(stored.stream(), "p/", request())
    assert (page.body, page.headers["Content-Type"]) == (stored.content, JSON)


async def test_a_page_without_a_body_says_nothing() -> None:
    stream = Stored(b"", '"1"').stream()
    stream.body = None
    page = await StoredPages(MemoryLimit(10_000_000)).as_json(stream, "p/", request())
    assert json.loads(page.body)["files"] == []


async def test_a_client_that_has_the_json_gets_a_304() -> None:
    pages, stored = StoredPages(MemoryLimit(10_000_000)), Stored(LINKS, '"1"')
    etag = (await pages.as_json(stored.stream(), "p/", request())).headers["ETag"]
    again = await pages.as_json(stored.stream(), "p/", PageRequest("GET", "p/", wanted={"if-none-match": etag}))
    assert (again.status, again.body) == (304, b"")


async def test_a_page_over_64_mb_is_refused() -> None:
    pages, limit = StoredPages(MemoryLimit(10_000_000)), 64 * 1024 * 1024
    assert (await pages.as_json(Stored(b" " * limit, '"1"').stream(), "p/", request())).status == 200
    with pytest.raises(UpstreamError, match=f"^the page 'p/' is over {limit} bytes$"):
        await pages.as_json(Stored(b" " * (limit + 1), '"2"').stream(), "p/", request())


@pytest.mark.parametrize(
    ("accept", "query", "json_wanted"),
    [
        ("text/html", "", False),
        (f"{JSON}, text/html;q=0.1", "", False),
        (JSON, "", True),
        ("image/png", "", False),
        ("text/html", f"format={JSON}", True),
        (JSON, "format=text/html", False),
        (JSON, "other=1", True),
        ("text/html", "format=", False),
    ],
)
def test_json_is_made_only_where_the_stored_form_will_not_do(accept: str, query: str, json_wanted: bool) -> None:
    assert wants_json(accept, query) is json_wanted


def test_a_query_has_at_most_one_format() -> None:
    assert format_of("") is None
    assert format_of("a=b") is None
    assert format_of("a=b&format=x&c") == "x"
    assert format_of("format=") == ""
    with pytest.raises(BadRequestError) as refused:
        format_of("format=x&format=x")
    assert refused.value.detail == "two formats"
    assert refused.value.public == "The query must not have more than one format"


def test_an_unavailable_page_is_asked_for_again() -> None:
    """And tells the client and the log what the first error did."""
    found = unavailable(NotFoundError("gone", public="No such page", code="NoSuchKey", upstream_status=404))
    assert found.status == 503
    assert (found.detail, found.public, found.code) == ("gone", "No such page", "NoSuchKey")
    assert found.upstream_status == 404


@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        (None, "Accept"),
        ("", "Accept"),
        ("Origin", "Origin, Accept"),
        (" Origin ,, Cookie", "Origin, Cookie, Accept"),
        ("Origin, ACCEPT", "Origin, ACCEPT"),
        ("*", "*"),
    ],
)
def test_a_stored_page_varies_by_accept(vary: str | None, expected: str) -> None:
    headers = {"ETag": '"1"'} | ({} if vary is None else {"Vary": vary})
    assert negotiated(headers) == {"ETag": '"1"', "Vary": expected}


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
