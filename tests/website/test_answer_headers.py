"""Headers that all answers of a site have."""

import json

import pytest

from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket, error
from tests.website.test_website import NAVIGATION, PEOPLE, Site

TABLE = [
    {"path": "/embed/*", "headers": {"Content-Security-Policy": "frame-ancestors *"}},
    {"path": "/*", "headers": {"x-frame-OPTIONS": "DENY", "Content-Security-Policy": "default-src 'self'"}},
]
OF_ALL = {"x-frame-options": "DENY", "content-security-policy": "default-src 'self'"}


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {"index.html": b"home", "docs/index.html": b"docs", "a.txt": b"0123", "big": bytes(100_000)}
    faulty.objects |= {"embed/a.html": b"x"}
    redirects = [{"path": "/old", "to": "/new"}]
    changes = {"index.mode": "site", "site.headers": json.dumps(TABLE), "site.redirects": json.dumps(redirects)}
    return faulty_settings | changes


@pytest.mark.parametrize(
    ("path", "headers", "method", "status"),
    [
        ("/", {}, "GET", 200),
        ("/a.txt", {}, "HEAD", 200),
        ("/a.txt", {"Range": "bytes=0-1"}, "GET", 206),
        ("/a.txt", {"Range": "bytes=9-"}, "GET", 416),
        ("/a.txt", {"If-Match": '"x"'}, "GET", 412),
        ("/big", {}, "GET", 200),
        ("/docs", {}, "GET", 301),
        ("/old", {}, "GET", 301),
        ("/nope", {}, "GET", 404),
        ("/.gateway/x", {}, "GET", 404),
        ("/a.txt", {}, "DELETE", 405),
        ("/%00", {}, "GET", 400),
        ("/bad.txt", {}, "GET", 502),
    ],
)
async def test_all_answers_have_them(
    start_gateway: StartGateway,
    settings: dict[str, str],
    faulty: FaultyBucket,
    path: str,
    headers: dict[str, str],
    method: str,
    status: int,
) -> None:
    faulty.of_key["bad.txt"] = error(400, "Odd")
    site = Site((await start_gateway(settings)).url)
    answer = await site.get(path, headers, method)
    assert answer.status == status
    assert OF_ALL.items() <= answer.headers.items()
    assert answer.head.lower().count(b"x-frame-options") == 1


async def test_the_first_that_fits_applies_alone(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"server.base_path": "/base"})).url)
    for path in ("/base/embed/a.html", "/base/embed/nope"):
        answer = await site.get(path)
        assert answer.headers["content-security-policy"] == "frame-ancestors *"
        assert "x-frame-options" not in answer.headers
    assert (await site.get("/base")).headers["x-frame-options"] == "DENY"


async def test_who_is_refused_gets_them_too(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | PEOPLE)).url)
    answer = await site.get("/a.txt")
    assert (answer.status, answer.headers["x-frame-options"]) == (401, "DENY")


async def test_pages_of_the_gateway_say_themselves_what_may_run_in_them(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    site = Site((await start_gateway(settings | {"site.listing": "true"})).url)
    for path in ("/embed/", "/nope"):
        answer = await site.get(path, NAVIGATION)
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.head.lower().count(b"content-security-policy") == 1
    assert answer.headers["x-frame-options"] == "DENY"


async def test_what_is_not_of_the_site_has_none(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings)).url)
    assert "x-frame-options" not in (await site.get("/health")).headers
    index = Site((await start_gateway(settings | {"index.mode": "auto"})).url)
    assert "x-frame-options" not in (await index.get("/nope")).headers


async def test_repeated_requests_get_them(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"cache.memory_bytes": "8MB"})).url)
    answers = [await site.get("/a.txt") for _ in range(3)]
    assert all(OF_ALL.items() <= answer.headers.items() for answer in answers)
