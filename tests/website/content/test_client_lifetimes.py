"""For how long clients may keep the objects of a site."""

import json

import pytest

from gateway.website.content.client_lifetimes import ClientLifetimes
from tests.conftest import StartGateway
from tests.support.faults import Answer, FaultyBucket, etag_of
from tests.website.test_website import NAVIGATION, PEOPLE, Site, basic

LONG = "public, max-age=31536000, immutable"
TABLE = [{"path": "/assets/*", "value": LONG}, {"path": "/*.html", "value": "max-age=60"}]


def test_what_an_object_says_itself_counts() -> None:
    lifetimes = ClientLifetimes("site/", [("/a/*", "max-age=1"), ("/*", "max-age=2")])
    assert lifetimes.of("site/a/x", {}) == "max-age=1"
    assert lifetimes.of("site/b", {}) == "max-age=2"
    assert lifetimes.of("site/a/x", {"Cache-Control": "no-cache"}) == "no-cache"
    assert ClientLifetimes("", [("/a", "max-age=1")]).of("b", {}) == ""


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {"index.html": b"home", "assets/app.js": b"run()", "assets/own.js": b"own", "404.html": b"none"}
    faulty.objects |= {"assets/moved": b"", "other.txt": b"x"}
    faulty.headers = {
        "assets/own.js": [("Cache-Control", "no-cache")],
        "assets/moved": [("x-amz-website-redirect-location", "/index.html")],
    }
    changes = {"index.mode": "site", "site.cache_control": json.dumps(TABLE), "site.error_document": "404.html"}
    return faulty_settings | changes | {"site.spa": "true", "site.website_redirects": "true"}


async def test_files_by_their_paths(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"cache.memory_bytes": "8MB"})).url)
    for headers, status in (
        ({}, 200),
        ({"Range": "bytes=0-1"}, 206),
        ({"If-None-Match": etag_of(b"run()")}, 304),
    ):
        answer = await site.get("/assets/app.js", headers)
        assert (answer.status, answer.headers["cache-control"]) == (status, LONG)
    assert (await site.get("/assets/app.js", method="HEAD")).headers["cache-control"] == LONG
    assert (await site.get("/assets/own.js")).headers["cache-control"] == "no-cache"
    assert "cache-control" not in (await site.get("/other.txt")).headers


async def test_a_304_that_leaves_out_what_the_object_says_is_not_completed(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Clients put what it says in the place of what they have. Those of MinIO have a date and an ETag."""

    async def not_modified(answer: Answer) -> None:
        await answer.send(304, [("ETag", etag_of(faulty.objects[answer.request.key]))])

    site = Site((await start_gateway(settings)).url)
    faulty.headers["index.html"] = [("Cache-Control", "private, max-age=5")]
    for path, said in (("/assets/own.js", "no-cache"), ("/", "private, max-age=5")):
        key = path[1:] or "index.html"
        assert (await site.get(path)).headers["cache-control"] == said
        faulty.of_key[key] = not_modified
        answer = await site.get(path, {"If-None-Match": etag_of(faulty.objects[key])})
        assert (answer.status, answer.headers.get("cache-control")) == (304, None)


async def test_a_path_is_that_of_the_file_that_is_served(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    """Else a page of an application would be kept for ever, for a path like /assets/settings."""
    site = Site((await start_gateway(settings)).url)
    for path in ("/", "/index.html", "/assets/settings"):
        answer = await site.get(path, NAVIGATION)
        assert (answer.status, answer.headers["cache-control"]) == (200, "max-age=60")


async def test_errors_and_redirects_are_kept_by_nobody(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings)).url)
    for path in ("/assets/nope.js", "/nope.html"):
        answer = await site.get(path)
        assert (answer.status, answer.body, answer.headers["cache-control"]) == (404, b"none", "no-store")
    assert (await site.get("/assets/app.js", method="DELETE")).headers["cache-control"] == "no-store"
    moved = await site.get("/assets/moved")
    assert (moved.status, moved.headers["cache-control"]) == (301, "no-cache")


async def test_with_access_what_is_private_stays_private(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | PEOPLE)).url)
    answer = await site.get("/assets/app.js", basic("alice"))
    assert (answer.status, answer.headers["cache-control"]) == (200, "private, max-age=31536000, immutable")
