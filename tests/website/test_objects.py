"""Objects that redirect, and versions of objects."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.faults import FaultyBucket
from tests.support.moto import Moto
from tests.website.test_website import PEOPLE, Site, basic

REDIRECT = "x-amz-website-redirect-location"


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Moto(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    places = {"old": "/new/x?a=b", "deep/old": "/new/x", "off": "https://evil.example/", "off2": "//evil.example/"}
    places |= {
        "on": "https://www.example.org/x",
        "js": "javascript:alert(1)",
        "self": "/self",
        "dir/index.html": "/new",
    }
    faulty.objects = dict.fromkeys(places, b"content")
    faulty.headers = {key: [(REDIRECT, place), ("Cache-Control", "max-age=5")] for key, place in places.items()}
    changes = {"index.mode": "site", "site.website_redirects": "true", "site.redirect_hosts": "www.example.org"}
    return faulty_settings | changes


@pytest.mark.parametrize("cache", ["0", "8MB"])
async def test_an_object_redirects_within_the_site_or_to_a_permitted_host(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, cache: str
) -> None:
    site = Site((await start_gateway(settings | {"cache.memory_bytes": cache})).url)
    expected = {
        "/old": "./new/x?a=b",
        "/deep/old": "../new/x",
        "/on": "https://www.example.org/x",
        "/dir/": "../new",
        "/dir/index.html": "../new",
    }
    for path, location in expected.items():
        for method in ("GET", "HEAD", "GET"):
            answer = await site.get(path, {"Range": "bytes=0-1"} if method == "HEAD" else {}, method)
            assert (path, answer.status, answer.headers.get("location")) == (path, 301, location)
            assert answer.headers["cache-control"] == "max-age=5"
    for path in ("/off", "/off2", "/js", "/self"):
        answer = await site.get(path)
        assert (path, answer.status, answer.body) == (path, 200, b"content")
        assert REDIRECT not in answer.headers
        assert (await site.get(path, {"If-None-Match": answer.headers["etag"]})).headers.keys().isdisjoint([REDIRECT])


async def test_a_large_object_redirects_where_it_says_and_not_to_the_bucket(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects |= {"old": bytes(5000), "large": bytes(5000)}
    changes = {"storage.redirect_urls": "auto", "storage.redirect_min_size": "3000"}
    site = Site((await start_gateway(settings | changes)).url)
    for _ in range(2):
        assert (await site.get("/old")).headers["location"] == "./new/x?a=b"
        assert (await site.get("/large")).headers["location"].startswith(faulty.url)


async def test_a_cached_redirect_is_one_for_who_has_the_object(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"cache.memory_bytes": "8MB"})).url)
    assert (await site.get("/old")).status == 301
    assert (await site.get("/old", {"If-None-Match": "*"})).status == 301
    assert sum(request.key == "old" for request in faulty.requests) == 1


async def test_without_the_setting_it_is_content(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"site.website_redirects": "false"})).url)
    answer = await site.get("/old")
    assert (answer.status, answer.body) == (200, b"content")
    assert REDIRECT not in answer.headers


async def test_a_cached_copy_does_not_hide_a_redirect(
    start_gateway: StartGateway, settings: dict[str, str], tmp_path: object
) -> None:
    disk = {"cache.dir": f"{tmp_path}/cache"}
    before = await start_gateway(settings | disk | {"site.website_redirects": "false"})
    assert (await Site(before.url).get("/old")).status == 200
    await before.stop()
    site = Site((await start_gateway(settings | disk)).url)
    assert (await site.get("/old")).status == 301


async def test_an_index_never_redirects(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"index.mode": "auto"})).url)
    answer = await site.get("/old")
    assert (answer.status, REDIRECT in answer.headers) == (200, False)


@pytest.fixture
def versioned(moto: Moto) -> tuple[Bucket, list[str]]:
    """A bucket whose object `a.txt` has had three versions, the last of which is a mark that it is deleted."""
    bucket = Bucket(moto)
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    put = [bucket.client.put_object(Bucket=bucket.name, Key="a.txt", Body=body) for body in (b"first", b"second")]
    gone = bucket.client.delete_object(Bucket=bucket.name, Key="a.txt")
    bucket.put("b.txt", b"current", WebsiteRedirectLocation="/a.txt")
    return bucket, [*(answer["VersionId"] for answer in put), gone["VersionId"]]


async def test_a_version_of_an_object(start_gateway: StartGateway, versioned: tuple[Bucket, list[str]]) -> None:
    bucket, (first, second, mark) = versioned
    changes = {"index.mode": "site", "site.versions": "true", "cache.memory_bytes": "8MB"}
    site = Site((await start_gateway(bucket.settings() | changes)).url)
    for version, body in ((first, b"first"), (second, b"second"), (first, b"first")):
        answer = await site.get(f"/a.txt?versionId={version}")
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (200, body, "no-store")
        part = await site.get(f"/a.txt?versionId={version}", {"Range": "bytes=1-2"})
        assert (part.status, part.body) == (206, body[1:3])
        head = await site.get(f"/a.txt?versionId={version}", method="HEAD")
        assert (head.status, head.headers["content-length"]) == (200, str(len(body)))
    assert (await site.get("/a.txt")).status == 404  # nothing of them is kept under the plain key
    for version in (mark, "unknown", "%20", "a%0Ab"):
        assert (await site.get(f"/a.txt?versionId={version}")).status == 404
    assert (await site.get(f"/a.txt?versionId={first}&versionId={second}")).status == 400
    assert (await site.get("/b.txt?versionId=")).body == b"current"
    assert (await site.get("/b.txt?other=versionId")).body == b"current"


@pytest.mark.parametrize(("on", "user", "body"), [(False, "bob", 404), (True, "alice", 404), (True, "bob", 200)])
async def test_versions_are_for_who_may_write(
    start_gateway: StartGateway, versioned: tuple[Bucket, list[str]], on: bool, user: str, body: int
) -> None:
    bucket, (first, *_) = versioned
    rules = [{"paths": ["/"], "write": ["user:bob"]}]
    changes = PEOPLE | {"access.rules": json.dumps(rules), "index.mode": "site", "site.versions": str(on)}
    site = Site((await start_gateway(bucket.settings() | changes)).url)
    answer = await site.get(f"/a.txt?versionId={first}", basic(user))
    assert answer.status == body
    assert answer.headers["cache-control"] == ("private, no-store" if body == 200 else "no-store")


async def test_admins_may_see_versions(start_gateway: StartGateway, versioned: tuple[Bucket, list[str]]) -> None:
    bucket, (first, *_) = versioned
    changes = PEOPLE | {"access.admins": "carol", "index.mode": "site", "site.versions": "true"}
    site = Site((await start_gateway(bucket.settings() | changes)).url)
    assert (await site.get(f"/a.txt?versionId={first}", basic("carol"))).body == b"first"
    assert (await site.get(f"/a.txt?versionId={first}", basic("dave"))).status == 404


async def test_real_servers_tell_where_an_object_redirects_to(
    start_gateway: StartGateway, versioned: tuple[Bucket, list[str]]
) -> None:
    bucket, _ = versioned
    changes = {"index.mode": "site", "site.website_redirects": "true"}
    site = Site((await start_gateway(bucket.settings() | changes)).url)
    answers = await asyncio.gather(*(site.get("/b.txt", method=method) for method in ("GET", "HEAD")))
    assert [(answer.status, answer.headers["location"]) for answer in answers] == [(301, "./a.txt")] * 2
