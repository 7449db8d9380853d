"""The cache of small objects, through the whole gateway: what the bucket is asked, and what clients get."""

import asyncio
import hashlib

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import DATE, FaultyBucket, error, etag_of
from tests.support.http import RawAnswer, fetch

BODY = b"0123456789" * 1000
WHEEL = "p/p-1.0-py3-none-any.whl"


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {"page.html": BODY, WHEEL: BODY, "p/index.html": b"<a href='x'>x</a>", "large": bytes(3_000_000)}
    return faulty_settings | {"cache.memory_bytes": "10000000", "storage.max_attempts": "1"}


async def get(gateway: Gateway, target: str, method: str = "GET", **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=named)


def asked(bucket: FaultyBucket) -> list[tuple[str, str]]:
    return [(request.method, request.key) for request in bucket.requests if "list-type" not in request.target]


async def test_what_is_known_is_not_asked_for_again(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    first = await get(gateway, "/page.html")
    etag = etag_of(BODY)
    assert (first.status, first.body, first.headers["etag"]) == (200, BODY, etag)
    again = await get(gateway, "/page.html")
    assert (again.body, again.headers | {"date": "", "x-request-id": ""}) == (
        BODY,
        first.headers | {"date": "", "x-request-id": ""},
    )
    head = await get(gateway, "/page.html", "HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(BODY)))
    part = await get(gateway, "/page.html", Range="bytes=10-19")
    assert (part.status, part.body, part.headers["content-range"]) == (206, BODY[10:20], f"bytes 10-19/{len(BODY)}")
    assert part.headers["content-length"] == "10"
    assert (await get(gateway, "/page.html", Range="bytes=99999-")).status == 416
    for condition in ({"If_None_Match": etag}, {"If_Modified_Since": DATE}):
        answer = await get(gateway, "/page.html", **condition)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
        assert "content-length" not in answer.headers
    assert (await get(gateway, "/page.html", If_Match='"other"')).status == 412
    assert asked(faulty) == [("GET", "page.html")]


async def test_many_who_ask_at_once_share_one_fetch(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    answers = await asyncio.gather(*(get(gateway, f"/{WHEEL}") for _ in range(50)))
    assert {answer.body for answer in answers} == {BODY}
    assert asked(faulty) == [("GET", WHEEL)]


async def test_large_objects_are_streamed_to_all_who_ask_at_once_and_not_kept(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    for number in range(2):
        answers = await asyncio.gather(*(get(gateway, "/large") for _ in range(5)))
        assert {hashlib.sha256(answer.body).hexdigest() for answer in answers} == {
            hashlib.sha256(bytes(3_000_000)).hexdigest()
        }
        assert len(asked(faulty)) == number + 1
    assert (await get(gateway, "/large", Range="bytes=5-9")).status == 206
    await faulty.until(lambda: all(request.done.is_set() for request in faulty.requests))


async def test_parts_and_conditions_of_what_is_not_known_are_read_through(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    assert (await get(gateway, f"/{WHEEL}", Range="bytes=0-4")).body == BODY[:5]
    assert (await get(gateway, f"/{WHEEL}", If_None_Match=etag_of(BODY))).status == 304
    assert (await get(gateway, f"/{WHEEL}", "HEAD")).status == 200
    assert [request.headers.get("range") for request in faulty.requests] == ["bytes=0-4", None, None]
    assert (await get(gateway, "/page.html", If_None_Match=etag_of(BODY))).status == 304
    assert (await get(gateway, "/page.html")).body == BODY
    assert asked(faulty)[3:] == [("GET", "page.html")], "a page is worth fetching whole"


async def test_what_is_old_is_asked_for_by_its_etag(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.ttl_index": "0", "cache.ttl_files": "0"})
    for key in ("page.html", WHEEL):
        assert (await get(gateway, f"/{key}")).body == BODY
        assert (await get(gateway, f"/{key}")).body == BODY
        assert faulty.requests[-1].headers["if-none-match"] == etag_of(BODY)
        faulty.objects[key] = b"new"
        assert (await get(gateway, f"/{key}")).body == b"new"
        assert (await get(gateway, f"/{key}", If_None_Match=etag_of(b"new"))).status == 304
        del faulty.objects[key]
        assert (await get(gateway, f"/{key}")).status == 404


async def test_refresh_asks_for_everything_again(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    await get(gateway, f"/{WHEEL}")
    faulty.objects[WHEEL] = b"new"
    assert (await get(gateway, f"/{WHEEL}")).body == BODY
    gateway.refresh()
    assert (await get(gateway, f"/{WHEEL}")).body == b"new"


async def test_a_listing_that_shows_another_etag_ends_an_entry(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Or a page would tell the hash of one version, and the file be another."""
    del faulty.objects["p/index.html"]
    gateway = await start_gateway(settings | {"index.refresh": "0"})
    await get(gateway, f"/{WHEEL}")
    faulty.objects[WHEEL] = b"new"
    await get(gateway, "/simple/p/")
    assert (await get(gateway, f"/{WHEEL}")).body == b"new"


async def test_absence_is_remembered_but_ends_with_a_listing_or_a_write(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"index.refresh": "0"})
    for _ in range(3):
        assert (await get(gateway, "/p/p-2.0.zip", "HEAD")).status == 404
        assert (await get(gateway, "/p/p-2.0.zip")).status == 404
    assert asked(faulty) == [("HEAD", "p/p-2.0.zip"), ("GET", "p/p-2.0.zip")], "one answer, and its explanation"
    faulty.objects["p/p-2.0.zip"] = b"now"
    assert (await get(gateway, "/p/p-2.0.zip")).status == 404
    await get(gateway, "/simple/p/")
    assert (await get(gateway, "/p/p-2.0.zip")).body == b"now"
    assert (await get(gateway, "/p/x")).status == 404

    async def chunks() -> object:
        yield b"written"

    await gateway.storage.put("p/x", chunks())  # type: ignore[arg-type]
    assert (await get(gateway, "/p/x")).body == b"written"
    await gateway.storage.delete("p/x")
    assert (await get(gateway, "/p/x")).status == 404


async def test_known_pages_and_files_outlive_the_bucket(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.ttl_index": "0", "cache.ttl_files": "0", "index.refresh": "0"})
    for target in ("/p/", f"/{WHEEL}"):
        body = (await get(gateway, target)).body
        faulty.then(*[error(500, "InternalError"), faults.reset], times=10)
        for _ in range(2):
            stale = await get(gateway, target)
            assert (stale.status, stale.body) == (200, body)
            assert stale.headers["warning"].startswith("110")
            assert stale.headers["cache-control"] == "no-cache"
        assert (await get(gateway, "/p/unknown")).status in (502, 503)
        faulty.script.clear()
        assert "warning" not in (await get(gateway, target)).headers
    short = await start_gateway(settings | {"cache.ttl_index": "0", "cache.stale_seconds": "0"})
    await get(short, "/page.html")
    faulty.then(error(500, "InternalError"), times=10)
    assert (await get(short, "/page.html")).status == 503


async def test_a_client_may_ask_past_the_cache_only_where_the_settings_say_so(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    for allowed, target in ((False, "/page.html"), (True, "/page.html"), (True, "/p/")):
        gateway = await start_gateway(settings | {"cache.allow_bypass": str(allowed).lower()})
        await get(gateway, target)
        before = len(asked(faulty))
        await get(gateway, target, Cache_Control="max-age=0, no-cache")
        assert (len(asked(faulty)) > before) == allowed


async def test_what_has_no_strong_etag_is_not_kept(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    for headers in ([("ETag", 'W/"x"')], [], [("ETag", '"x"'), ("Transfer-Encoding", "chunked")]):
        body = b"3\r\nabc\r\n0\r\n\r\n" if headers[-1:] == [("Transfer-Encoding", "chunked")] else b"abc"
        faulty.then(faults.serving(body, headers), times=2)
        for _ in range(2):
            assert (await get(gateway, f"/odd{len(headers)}")).body in (b"abc", body)
        assert faulty.script == []
