"""Objects that lie beside others: what they cost, who gets them, and what becomes of them."""

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import brotli
from tests.support.bucket import Bucket
from tests.support.faults import FaultyBucket, error
from tests.website.test_website import PEOPLE, Site, basic

SCRIPT = b"run();" * 1000
GZIP, BROWSER = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "gzip, deflate, br, zstd"}


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {
        "app.js": SCRIPT,
        "app.js.gz": gzip.compress(SCRIPT),
        "app.js.br": brotli.stored(SCRIPT),
        "bare.js": SCRIPT,
    }
    changes = {"index.mode": "site", "site.precompressed": "br,zstd,gzip", "cache.memory_bytes": "8MB"}
    return faulty_settings | changes | {"cache.negative_ttl": "0"}


def asked(bucket: FaultyBucket) -> list[str]:
    return [request.key for request in bucket.requests]


async def test_without_the_setting_nothing_is_looked_for(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"site.precompressed": ""})).url)
    answer = await site.get("/app.js", BROWSER)
    assert (answer.body, answer.headers.get("vary")) == (SCRIPT, None)
    assert asked(faulty) == ["app.js"]


async def test_what_it_costs_to_have_siblings_and_to_have_none(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Only the first request asks the bucket, though absent keys are not remembered as such."""
    site = Site((await start_gateway(settings)).url)
    for path, encoding, keys in (("/app.js", "br", ["app.js", "app.js.br"]), ("/bare.js", None, ["bare.js"] * 2)):
        faulty.requests.clear()
        assert (await site.get(path, BROWSER)).headers.get("content-encoding") == encoding
        looked_for = [path[1:] + suffix for suffix in (".br", ".zst", ".gz")]
        assert sorted(asked(faulty)) == sorted([*looked_for, *keys])
        faulty.requests.clear()
        for method in ("GET", "HEAD", "GET"):
            assert (await site.get(path, BROWSER, method)).status == 200
        assert asked(faulty) == []
    assert (await site.get("/app.js")).body == SCRIPT  # who takes no encoding
    assert asked(faulty) == ["app.js"]


async def test_names_that_nobody_compresses_are_not_looked_for(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings)).url)
    for name in ("a.png", "a.whl", "a.tar.gz", "a.zip", "app.js.br", "a.WOFF2", "a-1.whl.metadata"):
        faulty.objects[name] = SCRIPT
        faulty.requests.clear()
        answer = await site.get(f"/{name}", BROWSER)
        assert (answer.body, answer.headers.keys() & {"vary", "content-encoding"}) == (SCRIPT, set())
        assert asked(faulty) == [name]


async def test_the_object_itself_says_what_it_is(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.headers = {
        "app.js": [("Content-Type", "text/x-special"), ("Content-Language", "de"), ("Cache-Control", "max-age=77")],
        "app.js.br": [("Content-Type", "application/x-brotli"), ("Content-Language", "fr"), ("Content-Encoding", "x")],
    }
    faulty.headers["app.js.br"] += [("Cache-Control", "max-age=78"), ("Expires", "Thu, 31 Dec 2099 23:59:59 GMT")]
    gateway = await start_gateway(settings | {"storage.max_attempts": "1"})
    site = Site(gateway.url)
    for method in ("GET", "HEAD"):
        said = (await site.get("/app.js", BROWSER, method)).headers
        names = ("content-type", "content-language", "cache-control", "content-encoding", "vary")
        assert [said[name] for name in names] == ["text/x-special", "de", "max-age=77", "br", "Accept-Encoding"]
        assert "expires" not in said
    etag = said["etag"]
    known = await site.get("/app.js", BROWSER | {"If-None-Match": etag})
    assert (known.status, known.headers["etag"], known.headers["cache-control"]) == (304, etag, "max-age=77")
    assert (await site.get("/app.js", {"If-None-Match": etag})).status == 200  # it takes no Brotli
    direct = await site.get("/app.js.br", BROWSER)
    assert (direct.body, direct.headers["content-type"]) == (brotli.stored(SCRIPT), "application/x-brotli")
    gateway.mount.expire()
    faulty.of_key["app.js.br"] = error(503, "SlowDown")
    stale = await site.get("/app.js", BROWSER)
    assert (stale.headers["content-encoding"], stale.headers["cache-control"]) == ("br", "no-cache")


async def test_what_is_encoded_already_has_no_siblings(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects["app.js"] = gzip.compress(SCRIPT, mtime=0)
    faulty.headers["app.js"] = [("Content-Encoding", "gzip"), ("Content-Type", "text/javascript")]
    site = Site((await start_gateway(settings | {"site.compress": "{}"})).url)
    answer = await site.get("/app.js", BROWSER)
    assert (answer.body, answer.headers["content-encoding"]) == (faulty.objects["app.js"], "gzip")


async def test_an_object_that_redirects_redirects_in_every_encoding(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.headers["app.js"] = [("x-amz-website-redirect-location", "/new.js")]
    faulty.headers["app.js.br"] = [("x-amz-website-redirect-location", "/wrong.js")]
    site = Site((await start_gateway(settings | {"site.website_redirects": "true"})).url)
    for headers in (BROWSER, GZIP, {}):
        answer = await site.get("/app.js", headers)
        assert (answer.status, answer.headers["location"]) == (301, "./new.js")


async def test_a_sibling_alone_is_none(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings)).url)
    del faulty.objects["app.js"]
    assert (await site.get("/app.js", BROWSER)).status == 404
    assert (await site.get("/app.js.gz", BROWSER)).status == 200


async def test_siblings_come_and_go(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"cache.memory_bytes": "0"})
    site = Site(gateway.url)
    assert (await site.get("/app.js", BROWSER)).headers["content-encoding"] == "br"
    del faulty.objects["app.js.br"]
    assert (await site.get("/app.js", BROWSER)).headers.get("content-encoding") == "gzip"
    assert "content-encoding" not in (await site.get("/bare.js", GZIP)).headers
    faulty.objects["bare.js.gz"] = gzip.compress(SCRIPT)
    assert "content-encoding" not in (await site.get("/bare.js", GZIP)).headers  # that there is none is remembered
    gateway.mount.expire()
    assert (await site.get("/bare.js", GZIP)).headers["content-encoding"] == "gzip"


async def test_an_outage_of_a_sibling_is_none_of_the_object(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"cache.memory_bytes": "0"})).url)
    assert (await site.get("/app.js", BROWSER)).headers["content-encoding"] == "br"
    faulty.of_key["app.js.br"] = error(400, "Odd")
    answer = await site.get("/app.js", BROWSER)
    assert (answer.status, answer.headers["content-encoding"]) == (200, "gzip")
    faulty.of_key["app.js"] = faulty.of_key["app.js.gz"] = error(400, "Odd")
    assert (await site.get("/app.js", BROWSER)).status == 502


async def test_rules_hold_for_siblings(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """`app.js.gz` may be something else than what its name says."""
    rules = [{"paths": ["/app.js.br"], "read": ["user:bob"], "only": True}]
    changes = PEOPLE | {"access.rules": json.dumps(rules), "access.default_read": "everyone"}
    site = Site((await start_gateway(settings | changes)).url)
    assert (await site.get("/app.js", BROWSER | basic("bob"))).headers["content-encoding"] == "br"
    answer = await site.get("/app.js", BROWSER | basic("alice"))
    assert answer.headers["content-encoding"] == "gzip"
    assert (answer.headers["vary"], answer.headers["cache-control"]) == (
        "Accept-Encoding, Authorization, Cookie",
        "private, no-cache",
    )


async def test_a_rule_for_a_file_holds_for_its_siblings(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """They have its content. What only looks like a sibling is a file like all others."""
    faulty.objects["app.js.old"] = b"old"
    rules = [{"paths": ["/app.js"], "read": ["user:bob"], "only": True}]
    changes = PEOPLE | {"access.rules": json.dumps(rules), "access.default_read": "everyone", "site.listing": "true"}
    site = Site((await start_gateway(settings | changes)).url)
    for path in ("/app.js", "/app.js.br", "/app.js.gz", "//app.js.gz"):
        assert [(await site.get(path, basic(user))).status for user in ("bob", "alice")] == [200, 403]
    assert (await site.get("/app.js.old", basic("alice"))).status == 200
    listing = await site.get("/?format=text", basic("alice"))
    assert [line.split("\t")[2] for line in listing.body.decode().splitlines()] == ["app.js.old", "bare.js"]


async def test_siblings_are_not_redirected_to(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """The bucket would not say that they are encoded."""
    site = Site((await start_gateway(settings | {"storage.redirect_urls": "true"})).url)
    assert (await site.get("/app.js", BROWSER)).headers["content-encoding"] == "br"
    elsewhere = await site.get("/app.js")
    assert (elsewhere.status, elsewhere.headers["vary"]) == (302, "Accept-Encoding")


@pytest.mark.parametrize("memory", ["0", "8MB"])
async def test_a_real_server(start_gateway: StartGateway, bucket: Bucket, memory: str) -> None:
    bucket.put("app.js", SCRIPT)
    bucket.put("app.js.br", brotli.stored(SCRIPT))
    bucket.put("app.js.gz", b"")  # which is no sibling
    bucket.put("empty.txt", b"")
    bucket.put("empty.txt.gz", gzip.compress(b""))
    changes = {"index.mode": "site", "site.precompressed": "br,gzip", "site.compress": "{}"}
    site = Site((await start_gateway(bucket.settings() | changes | {"cache.memory_bytes": memory})).url)
    for headers, encoding in ((BROWSER, "br"), (GZIP, "gzip"), ({}, None)):
        first, second = [await site.get("/app.js", headers) for _ in range(2)]
        assert (first.body, first.headers["etag"]) == (second.body, second.headers["etag"])
        assert first.headers.get("content-encoding") == encoding
        known = await site.get("/app.js", headers | {"If-None-Match": first.headers["etag"]})
        assert (known.status, known.headers["vary"]) == (304, "Origin, Accept-Encoding")  # it says Origin itself
    empty = await site.get("/empty.txt", GZIP)
    assert (empty.status, empty.body, "content-encoding" in empty.headers) == (200, b"", False)


async def test_a_directory_shows_a_new_sibling_within_a_second(start_gateway: StartGateway, tmp_path: Path) -> None:
    root = tmp_path / "www"
    root.mkdir()
    (root / "app.js").write_bytes(SCRIPT)
    changes = {"storage.dir": str(root), "index.mode": "site", "site.precompressed": "gzip"}
    site = Site((await start_gateway(changes)).url)
    assert (await site.get("/app.js", GZIP)).body == SCRIPT
    (root / "app.js.gz").write_bytes(gzip.compress(SCRIPT))
    os.utime(root / "app.js.gz", (0, 0))  # whatever its time
    async with asyncio.timeout(20):
        while "content-encoding" not in (answer := await site.get("/app.js", GZIP)).headers:
            pass
    assert gzip.decompress(answer.body) == SCRIPT
