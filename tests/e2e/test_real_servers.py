"""Through the gateway to servers that check signatures: SeaweedFS, and Swift, which is the stricter one."""

import asyncio
from urllib.parse import quote

import aiohttp
import pytest

from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.http import fetch
from tests.support.uploads import sdist, upload

ODD_KEYS = [
    "plain/file-1.0.tar.gz",
    "with space/a b",
    "plus+sign",
    "percent%sign",
    "percent%2Fslash",
    "percent%20space",
    "a=b@c&d",
    "'()!*~",
    ":;,$",
    "semi;colon?question#hash",
    '"quotes"<>',
    "back\\slash",
    "[brackets]{braces}|^`",
    "ключ/файл.whl",
    "日本語/パッケージ.whl",
    "emoji-🍰-👩‍💻",
    "e\u0301-combining and \u00e9",
    "..hidden/...dots",
    "x" * 200 + "/" + "y" * 200 + "/" + "ж" * 120,
]
KEYS_OF_SWIFT_ALONE = ["double//slash", "//leading", "a///b//c", "n" * 1000, "ж" * 500]


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def targets(key: str) -> list[str]:
    """What clients send for a key: everything escaped, as little as possible, and some way between."""
    minimal = key.replace("%", "%25").replace("?", "%3F").replace("#", "%23").replace(" ", "%20")
    escaped = [f"/{quote(key, safe='/')}", f"/{quote(key, safe='/!$&()*+,;=:@~')}"]
    return [*escaped, f"/{minimal}"] if minimal.isascii() and not set('"<>\\[]{}|^`') & set(minimal) else escaped


async def round_trip(bucket: Bucket, start_gateway: StartGateway, keys: list[str], *, lists_all: bool) -> None:
    gateway = await start_gateway(bucket.settings())
    for number, key in enumerate(keys):
        body = f"body {number} of {key}".encode()
        await asyncio.to_thread(bucket.put, key, body)
        for target in targets(key):
            answer = await fetch(port_of(gateway.url), target)
            assert (key, answer.status, answer.body) == (key, 200, body)
        head = await fetch(port_of(gateway.url), targets(key)[0], method="HEAD")
        assert (head.status, head.headers["content-length"], head.body) == (200, str(len(body)), b"")
        if lists_all or "\\" not in key:  # SeaweedFS serves a key with a backslash but does not list it
            listed = [item async for item in gateway.storage.list(key, limit=1)]
            assert [item.key for item in listed] == [key]


async def test_odd_keys_on_seaweedfs(bucket: Bucket, start_gateway: StartGateway) -> None:
    await round_trip(bucket, start_gateway, ODD_KEYS, lists_all=False)


async def test_odd_keys_on_swift(swift_bucket: Bucket, start_gateway: StartGateway) -> None:
    await round_trip(swift_bucket, start_gateway, ODD_KEYS + KEYS_OF_SWIFT_ALONE, lists_all=True)


@pytest.fixture(params=["seaweedfs", "swift"])
def either_bucket(request: pytest.FixtureRequest) -> Bucket:
    found = request.getfixturevalue("bucket" if request.param == "seaweedfs" else "swift_bucket")
    assert isinstance(found, Bucket)
    return found


CONTENT = bytes(range(256)) * 40


async def test_ranges(either_bucket: Bucket, start_gateway: StartGateway) -> None:
    either_bucket.put("k", CONTENT)
    port = port_of((await start_gateway(either_bucket.settings())).url)
    size = len(CONTENT)
    for value, start, stop in [
        ("bytes=0-9", 0, 10),
        ("bytes=5000-5099", 5000, 5100),
        ("bytes=-100", size - 100, size),
        ("bytes=10000-", 10000, size),
        (f"bytes=10000-{size * 2}", 10000, size),
    ]:
        part = await fetch(port, "/k", headers={"Range": value})
        assert (part.status, part.body) == (206, CONTENT[start:stop])
        assert part.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
    past = await fetch(port, "/k", headers={"Range": f"bytes={size}-"})
    assert past.status == 416
    assert b"<" not in past.body


async def test_conditions(either_bucket: Bucket, start_gateway: StartGateway) -> None:
    either_bucket.put("k", CONTENT)
    port = port_of((await start_gateway(either_bucket.settings())).url)
    whole = await fetch(port, "/k")
    etag, modified = whole.headers["etag"], whole.headers["last-modified"]
    for headers, status in [
        ({"If-None-Match": etag}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Modified-Since": modified}, 304),
        ({"If-Modified-Since": "Fri, 24 May 2013 00:00:00 GMT"}, 200),
        ({"If-Match": etag}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Unmodified-Since": modified}, 200),
        ({"If-Unmodified-Since": "Fri, 24 May 2013 00:00:00 GMT"}, 412),
        ({"If-Range": etag, "Range": "bytes=0-9"}, 206),
        ({"If-Range": '"other"', "Range": "bytes=0-9"}, 200),
    ]:
        for method in ("GET", "HEAD"):
            answer = await fetch(port, "/k", method=method, headers=headers)
            expected = 200 if method == "HEAD" and "Range" in headers else status  # RFC 9110, 14.2
            assert (headers, method, answer.status) == (headers, method, expected)
        if status == 200:
            assert (await fetch(port, "/k", headers=headers)).body == CONTENT


async def test_directories(either_bucket: Bucket, start_gateway: StartGateway) -> None:
    either_bucket.put("arrow/index.html", b"<a>", ContentType="binary/octet-stream")
    either_bucket.put("bare/x.whl", b"x")
    port = port_of((await start_gateway(either_bucket.settings())).url)
    page = await fetch(port, "/arrow/")
    assert (page.status, page.body, page.headers["content-type"]) == (200, b"<a>", "text/html; charset=utf-8")
    for target, location in [("/arrow", "./arrow/"), ("/bare", "./bare/")]:
        redirect = await fetch(port, target)
        assert (redirect.status, redirect.headers["location"]) == (301, location)
    for absent in ("/arro", "/bare/", "/nope/", "/nope"):
        assert (await fetch(port, absent)).status == 404
    root = await fetch(port, "/")
    assert (root.status, b'<a href="arrow/">arrow</a>' in root.body) == (200, True)


@pytest.mark.parametrize(
    "change",
    [
        {"storage.aws_secret_access_key": "wrong"},
        {"storage.aws_access_key_id": "AKIDUNKNOWN"},
        {"storage.bucket": "no-such-bucket"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_server_refuses_is_a_502_and_not_ready(
    either_bucket: Bucket, start_gateway: StartGateway, change: dict[str, str], method: str
) -> None:
    either_bucket.put("k", b"x")
    port = port_of((await start_gateway(either_bucket.settings() | change)).url)
    for target in ("/k", "/k/"):
        answer = await fetch(port, target, method=method)
        assert (target, answer.status) == (target, 502)
    assert (await fetch(port, "/ready")).status == 503
    assert (await fetch(port, "/health")).status == 200


async def test_a_wrong_region_is_learnt_from_swift(swift_bucket: Bucket, start_gateway: StartGateway) -> None:
    swift_bucket.put("k", b"content")
    gateway = await start_gateway(swift_bucket.settings() | {"storage.region_name": "eu-central-1"})
    assert (await fetch(port_of(gateway.url), "/k")).body == b"content"
    assert (await fetch(port_of(gateway.url), "/ready")).status == 200


async def test_ready_says_which_credentials_and_bucket(bucket: Bucket, start_gateway: StartGateway) -> None:
    gateway = await start_gateway(bucket.settings())
    answer = await fetch(port_of(gateway.url), "/ready")
    assert answer.status == 200
    for said in (b'"credentials": "settings"', bucket.name.encode(), b'"backend": "s3"'):
        assert said in answer.body


async def test_a_large_object_arrives_byte_for_byte(
    bucket: Bucket, start_gateway: StartGateway, http: aiohttp.ClientSession
) -> None:
    import hashlib
    import random

    content = random.Random(1).randbytes(30_000_000)
    bucket.put("large", content)
    gateway = await start_gateway(bucket.settings())

    async def download() -> str:
        digest = hashlib.sha256()
        async with http.get(f"{gateway.url}/large") as answer:
            async for chunk in answer.content.iter_any():
                digest.update(chunk)
        return digest.hexdigest()

    assert set(await asyncio.gather(*(download() for _ in range(8)))) == {hashlib.sha256(content).hexdigest()}


async def test_signatures_hold_with_the_headers_of_a_trace(either_bucket: Bucket, start_gateway: StartGateway) -> None:
    """Neither server minds headers that are not signed."""
    settings = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
    gateway = await start_gateway(either_bucket.settings() | settings)
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "congo=t61rcWkgMzE",
    }
    name, content = sdist("acme", "1.0")
    assert (await upload(gateway.url, name, content, headers=trace))[0] == 200
    port = port_of(gateway.url)
    assert (await fetch(port, f"/acme/{name}", headers=trace)).body == content
    assert (await fetch(port, f"/acme/{name}", headers=trace | {"Range": "bytes=0-9"})).status == 206
    assert name.encode() in (await fetch(port, "/acme/", headers=trace)).body
