"""The cache of small objects, through the whole gateway: what the bucket is asked, and what clients get."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
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
    of_this_answer = {"date": "", "x-request-id": "", "cache-status": ""}
    assert (again.body, again.headers | of_this_answer) == (BODY, first.headers | of_this_answer)
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


async def test_small_objects_on_their_way_share_the_memory_for_bytes_on_their_way(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Those that find no room are streamed, and not kept."""
    size = 600_000
    faulty.objects |= {f"{number}.bin": bytes([number]) * size for number in range(2)}
    gateway = await start_gateway(settings | {"parallel.memory_bytes": "1048576"})

    def free() -> int:
        return gateway.storage.stats()["budget_free"]

    whole = free()
    faulty.then(faults.stall_in_body(1000, length=size))
    first = asyncio.ensure_future(get(gateway, "/0.bin"))
    await eventually(lambda: free() == whole - size)
    for _ in range(2):
        assert (await get(gateway, "/1.bin")).body == bytes([1]) * size
    assert asked(faulty) == [("GET", "0.bin"), ("GET", "1.bin"), ("GET", "1.bin")]
    first.cancel()
    await eventually(lambda: free() == whole)


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
    gateway = await start_gateway(settings | {"cache.index_ttl": "0", "cache.file_ttl": "0"})
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
    gateway = await start_gateway(settings | {"cache.index_ttl": "0", "cache.file_ttl": "0", "index.refresh": "0"})
    for target in ("/p/", f"/{WHEEL}"):
        body = (await get(gateway, target)).body
        faulty.then(*[error(500, "InternalError"), faults.reset], times=10)
        for _ in range(2):
            stale = await get(gateway, target)
            assert (stale.status, stale.body) == (200, body)
            assert stale.headers["cache-status"].endswith("; detail=stale")
            assert stale.headers["cache-control"] == "no-cache"
        assert (await get(gateway, "/p/unknown")).status in (502, 503)
        faulty.script.clear()
        assert (await get(gateway, target)).headers["cache-status"] == "gateway; fwd=stale"
    short = await start_gateway(settings | {"cache.index_ttl": "0", "cache.stale_if_error": "0"})
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


async def test_a_client_that_wants_it_anew_takes_nothing_from_the_others(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.allow_bypass": "true"})
    await get(gateway, "/page.html")
    assert (await get(gateway, "/page.html", Cache_Control="no-cache")).body == BODY
    assert faulty.requests[-1].headers["if-none-match"] == etag_of(BODY)
    faulty.then(error(503, "SlowDown"), times=100)
    await get(gateway, "/page.html", Cache_Control="no-cache")
    after = await get(gateway, "/page.html")
    assert (after.status, after.body) == (200, BODY)


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


def says(cache_control: str, **headers: str) -> faults.Behaviour:
    """The answer of a bucket whose object says so."""
    named = [("ETag", '"x"'), ("Cache-Control", cache_control), *headers.items()]
    return faults.serving(b"content", named)


@pytest.mark.parametrize("size", [7, 3_000_000])
@pytest.mark.parametrize("directive", ["no-store", "private", "max-age=60, Private", 'private="set-cookie"'])
async def test_what_may_not_be_kept_is_not(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    tmp_path: Path,
    directive: str,
    size: int,
) -> None:
    gateway = await start_gateway(settings | {"cache.dir": str(tmp_path / "cache"), "parallel.connections": "1"})
    body = bytes(size)
    faulty.then(faults.serving(body, [("ETag", '"x"'), ("Cache-Control", directive)]), times=6)
    for _ in range(2):
        answer = await get(gateway, "/page.html")
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, body, directive)
        assert answer.headers["cache-status"] == "gateway; fwd=miss"
    both = await asyncio.gather(get(gateway, "/page.html"), get(gateway, "/page.html"))
    assert [answer.body for answer in both] == [body, body]
    assert len(asked(faulty)) == 4


@pytest.mark.parametrize(
    ("directive", "age", "asks"),
    [
        ("no-cache", None, True),
        ("max-age=0", None, True),
        ("max-age=600, s-maxage=0", None, True),
        ("max-age=600", "600", True),
        ("max-age=nonsense", None, True),
        ("max-age=600", "5", False),
        ("public, must-revalidate", None, False),
        ("max-age=0, s-maxage=600", None, False),
    ],
)
async def test_an_object_is_used_for_no_longer_than_it_says(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    directive: str,
    age: str | None,
    asks: bool,
) -> None:
    gateway = await start_gateway(settings)
    answer = says(directive, **({"Age": age} if age else {}))
    faulty.then(answer, times=2)
    assert (await get(gateway, "/page.html")).headers["cache-status"] == "gateway; fwd=miss"
    again = await get(gateway, "/page.html")
    assert again.headers["cache-status"].startswith("gateway; fwd=stale" if asks else "gateway; hit; ttl=29")
    assert len(asked(faulty)) == (2 if asks else 1)
    if asks:
        assert faulty.requests[-1].headers["if-none-match"] == '"x"'
    assert again.headers.get("age") == age


async def test_a_304_brings_what_is_said_of_caching_up_to_date(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.index_ttl": "0"})
    later = b"Last-Modified: Fri, 24 May 2033 00:00:00 GMT"
    unchanged = b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nAge: 7\r\nCache-Control: no-cache\r\n' + later + b"\r\n\r\n"
    private = b'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nCache-Control: private\r\n\r\n'
    faulty.then(says("max-age=60", Age="3"), faults.raw(unchanged), faults.raw(private))
    assert (await get(gateway, "/page.html")).headers["age"] == "3"
    second = await get(gateway, "/page.html", If_Modified_Since="Fri, 24 May 2030 00:00:00 GMT")
    assert (second.status, second.body) == (200, b"content"), "it has been modified since"
    assert (second.headers["age"], second.headers["cache-control"]) == ("7", "no-cache")
    third = await get(gateway, "/page.html")
    assert (third.body, third.headers["cache-control"], third.headers.get("age")) == (b"content", "private", None)
    assert "if-none-match" in faulty.requests[-1].headers
    await get(gateway, "/page.html")
    assert "if-none-match" not in faulty.requests[-1].headers, "nothing was kept"


async def test_clients_are_told_what_the_cache_did(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.allow_bypass": "true"})

    async def told(target: str, method: str = "GET", **headers: str) -> str:
        return (await get(gateway, target, method, **headers)).headers.get("cache-status", "")

    assert await told("/page.html", "HEAD") == await told(f"/{WHEEL}", Range="bytes=0-1") == "gateway; fwd=miss"
    assert await told("/page.html") == "gateway; fwd=miss"
    assert (await told("/page.html")).startswith("gateway; hit; ttl=29")
    assert (await told("/page.html", "HEAD")).startswith("gateway; hit; ttl=29")
    assert (await told("/page.html", If_None_Match=etag_of(BODY))).startswith("gateway; hit; ttl=29")
    assert await told("/page.html", Cache_Control="no-cache") == "gateway; fwd=request"
    assert await told("/nope") == ""
    without = await start_gateway(settings | {"cache.memory_bytes": "0"})
    assert "cache-status" not in (await get(without, "/page.html")).headers


@pytest.mark.parametrize("noted", ["before the answer", "while it comes"])
async def test_a_fetch_that_a_listing_has_overtaken_keeps_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str], noted: str
) -> None:
    old, new = b"old", b"new"
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(answer: faults.Answer) -> None:
        if noted == "before the answer":
            begun.set()
            await go_on.wait()
        await answer.send(200, [("ETag", etag_of(old)), ("Content-Length", "3")], old[:1])
        begun.set()
        await go_on.wait()
        await answer.write(old[1:])

    gateway = await start_gateway(settings)
    faulty.objects = {"p/p-1.0.tar.gz": new}
    faulty.then(slow)
    first = asyncio.create_task(get(gateway, "/p/p-1.0.tar.gz"))
    await begun.wait()
    assert [item.key async for item in gateway.storage.list("p/")] == ["p/p-1.0.tar.gz"]
    go_on.set()
    assert (await first).body == old
    assert (await get(gateway, "/p/p-1.0.tar.gz")).body == new
