"""How long clients may keep what they get."""

import json

import pytest

from gateway.app import Gateway
from gateway.index.simple.cache_control import for_seconds, with_default
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

JSON = "application/vnd.pypi.simple.v1+json"
BROWSER = "text/html,application/xhtml+xml"
WHEEL, CONTENT = wheel("ours", "1.0")
YEAR = "max-age=31536000, immutable"


async def get(gateway: Gateway, target: str, method: str = "GET", **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=named)


@pytest.mark.parametrize(("seconds", "told"), [(0, "no-cache"), (1, "max-age=1"), (600, "max-age=600")])
def test_a_page_that_may_not_be_kept_is_asked_for_each_time(seconds: int, told: str) -> None:
    assert for_seconds(seconds) == told


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"ETag": '"e"'}, {"ETag": '"e"', "Cache-Control": "no-cache"}),
        ({"Cache-Control": "private"}, {"Cache-Control": "private"}),
    ],
)
def test_what_an_object_says_of_its_caching_holds(headers: dict[str, str], expected: dict[str, str]) -> None:
    assert with_default(headers, "no-cache") == expected


@pytest.mark.parametrize("accept", ["text/html", JSON, BROWSER])
async def test_a_page_of_ours_is_asked_for_each_time(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], accept: str
) -> None:
    faulty.objects = {f"ours/{WHEEL}": CONTENT, "stored/index.html": b"<a>"}
    gateway = await start_gateway(faulty_settings | {"fallback.max_age": "600", "index.compute_hashes": "false"})
    for path in ("/", "/ours/", "/stored/"):
        await get(gateway, path, Accept=accept)
        await gateway.mount.metadata.settled()
        page = await get(gateway, path, Accept=accept)
        again = await get(gateway, path, Accept=accept, If_None_Match=page.headers["etag"])
        for answer, status in ((page, 200), (again, 304)):
            assert (path, answer.status, answer.headers["cache-control"]) == (path, status, "no-cache")


async def test_a_page_of_the_other_index_may_be_kept(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    index = PublicIndex()
    index.projects = {"theirs": {"theirs-1.0.tar.gz": b"x"}, "ours": {"ours-0.1.tar.gz": b"x"}}
    faulty.objects = {f"ours/{WHEEL}": CONTENT}
    async with index.running():
        settings = faulty_settings | {"fallback.base_url": index.url, "fallback.always_show_upstream": "true"}
        asked = await start_gateway(settings | {"fallback.mode": "mirror"})
        assert (await get(asked, "/theirs/")).headers["cache-control"] == "no-cache"
        kept = await start_gateway(settings | {"fallback.mode": "mirror", "fallback.max_age": "600"})
        for accept in ("text/html", BROWSER):
            assert (await get(kept, "/theirs/", Accept=accept)).headers["cache-control"] == "max-age=600"
            both = await get(kept, "/ours/", Accept=accept)
            assert b"ours-0.1.tar.gz" in both.body
            assert both.headers["cache-control"] == "no-cache", "a release of ours is not to be hidden"


async def test_package_files_may_be_kept_for_a_year_where_the_settings_say_so(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"ours/{WHEEL}": CONTENT, "ours/own.zip": b"x", "ours/notes.txt": b"x", "ours/index.html": b"<a>"}
    faulty.headers["ours/own.zip"] = [("Cache-Control", "private")]
    index = PublicIndex()
    index.projects = {"theirs": {"theirs-1.0.tar.gz": b"x"}}
    async with index.running():
        settings = faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": index.url}
        gateway = await start_gateway(settings | {"cache.immutable_files": "true"})
        etag = (await get(gateway, f"/ours/{WHEEL}")).headers["etag"]
        for path, expected in [
            (f"/ours/{WHEEL}", YEAR),
            (f"/ours/{WHEEL}.metadata", YEAR),
            (f"/simple/ours/{WHEEL}", YEAR),
            ("/theirs/theirs-1.0.tar.gz", YEAR),
            ("/ours/own.zip", "private"),
            ("/ours/notes.txt", None),
            ("/ours/", "no-cache"),
            ("/ours/index.html", None),
            ("/ours/ours-9.9-py3-none-any.whl", "no-store"),
        ]:
            assert (path, (await get(gateway, path)).headers.get("cache-control")) == (path, expected)
        for method, headers, status in [
            ("HEAD", {}, 200),
            ("GET", {"Range": "bytes=0-1"}, 206),
            ("GET", {"If_None_Match": etag}, 304),
        ]:
            answer = await get(gateway, f"/ours/{WHEEL}", method, **headers)
            assert (answer.status, answer.headers["cache-control"]) == (status, YEAR)
        careful = await start_gateway(settings)
        assert "cache-control" not in (await get(careful, f"/ours/{WHEEL}")).headers
        assert (await get(careful, f"/ours/{WHEEL}.metadata")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("cached", ["0", "10000000"])
async def test_a_304_does_not_say_that_a_stored_page_is_of_another_type(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], cached: str
) -> None:
    """pip updates the headers of what it has cached, and would read JSON as HTML."""
    faulty.objects = {"p/index.html": b"{}", "q/index.html": b"<a>", "r/index.html": b"<a>"}
    latin, untyped, html = "text/html; charset=iso-8859-1", "binary/octet-stream", "text/html; charset=utf-8"
    for key, kind in zip(faulty.objects, (JSON, latin, untyped), strict=True):
        faulty.headers[key] = [("Content-Type", kind)]
    gateway = await start_gateway(faulty_settings | {"cache.memory_bytes": cached})
    for path, shown in (("/p/", JSON), ("/q/", latin), ("/r/", html)):
        page = await get(gateway, path)
        again = await get(gateway, path, If_None_Match=page.headers["etag"])
        assert (page.headers["content-type"], again.status) == (shown, 304)
        assert again.headers.get("content-type", shown) == shown


async def test_a_stored_page_and_its_json_are_told_apart_by_caches(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/index.html": b"<a>", "q/index.html": b"<a>", "r/index.html": b"<a>"}
    faulty.headers["q/index.html"] = [("Vary", "Origin"), ("Cache-Control", "max-age=5")]
    faulty.headers["r/index.html"] = [("Vary", "accept")]
    gateway = await start_gateway(faulty_settings)
    for path, html in [("/p/", "Accept"), ("/simple/p/", "Accept"), ("/q/", "Origin, Accept"), ("/r/", "accept")]:
        page = await get(gateway, path)
        again = await get(gateway, path, If_None_Match=page.headers["etag"])
        head = await get(gateway, path, "HEAD")
        assert [answer.headers["vary"] for answer in (page, again, head)] == [html] * 3
        assert "Accept" in (await get(gateway, path, Accept=JSON)).headers["vary"]
    assert (await get(gateway, "/q/")).headers["cache-control"] == "max-age=5", "as it was uploaded"
    off = await start_gateway(faulty_settings | {"index.mode": "off"})
    assert "vary" not in (await get(off, "/p/")).headers, "nothing is chosen"


async def test_what_the_other_index_says_of_further_indexes_is_not_said_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    index = PublicIndex()
    index.projects = {"theirs": {"theirs-1.0.tar.gz": b"x"}}
    index.page = {
        "meta": {"api-version": "1.4", "tracks": ["https://a.example/"]},
        "alternate-locations": ["https://b.example/"],
    }
    async with index.running():
        gateway = await start_gateway(faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": index.url})
        page = json.loads((await get(gateway, "/theirs/", Accept=JSON)).body)
        assert ("alternate-locations" in page, "tracks" in page["meta"]) == (False, False)
        assert b"b.example" not in (await get(gateway, "/theirs/")).body
        assert b'name="pypi:repository-version" content="1.4"' in (await get(gateway, "/theirs/")).body
