"""A site, seen from outside: what a path gets, and what absent ones get."""

import base64
import json
from pathlib import Path

import pytest

from tests.conftest import StartGateway
from tests.support import faults
from tests.support.faults import FaultyBucket, error, etag_of
from tests.support.http import RawAnswer, fetch
from tests.support.wheels import wheel

NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html,application/xhtml+xml"}
PEOPLE = {"access.authenticators": "tests.support.people:People"}


class Site:
    """One that has been started. Each request comes on a connection of its own."""

    def __init__(self, url: str) -> None:
        self.port = int(url.rpartition(":")[2])

    async def get(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> RawAnswer:
        return await fetch(self.port, path, headers=headers, method=method)


def basic(user: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:pw-{user}'.encode()).decode()}"}


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {
        "index.html": b"home",
        "404.html": b"nothing here",
        "app.js": b"run()",
        "docs/index.html": b"docs",
        "docs/a.txt": b"0123456789",
        "bare/x.txt": b"x",
        "named/": b"a page",
        "marker/": b"",
    }
    return faulty_settings | {"index.mode": "site", "cache.memory_bytes": "8MB", "cache.negative_ttl": "0"}


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/", 200, b"home"),
        ("/index.html", 200, b"home"),
        ("/docs/", 200, b"docs"),
        ("/docs//a.txt", 200, b"0123456789"),
        ("//docs//", 200, b"docs"),
        ("/named/", 200, b"a page"),
        ("/docs", 301, b"./docs/"),
        ("/docs?x=y", 301, b"./docs/?x=y"),
        ("/named", 301, b"./named/"),
        ("/bare", 404, None),  # there is no page to be redirected to
        ("/bare/", 404, None),
        ("/marker", 404, None),
        ("/marker/", 404, None),
        ("/nope", 404, None),
        ("/nope/", 404, None),
        ("/simple/", 404, None),
        ("/.gateway/epoch", 404, None),
    ],
)
async def test_what_a_path_means(
    start_gateway: StartGateway, settings: dict[str, str], path: str, status: int, body: bytes | None
) -> None:
    site = Site((await start_gateway(settings)).url)
    for method in ("GET", "HEAD"):
        answer = await site.get(path, method=method)
        assert answer.status == status
        if status == 301:
            assert answer.headers["location"].encode() == body
        elif body is not None:
            assert answer.body == (body if method == "GET" else b"")
            assert answer.headers["content-length"] == str(len(body))
    if status == 404:
        page = await site.get(path, NAVIGATION)
        assert b"package" not in page.body
        assert (b'<a href="/">Home</a>' in page.body) == (path != "/")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/docs/a.txt", 1),
        ("/docs/", 1),
        ("/docs", 3),  # the object, what lies below it, its index document
        ("/nope", 2),
        ("/nope/", 2),  # the index document, and what is named like the directory
    ],
)
async def test_the_bucket_is_not_asked_for_more_than_it_takes(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, path: str, asked: int
) -> None:
    site = Site((await start_gateway(settings)).url)
    await site.get(path)
    assert len(faulty.requests) == asked


async def test_a_file_comes_as_it_is(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings)).url)
    whole, part = await site.get("/docs/a.txt"), await site.get("/docs/a.txt", {"Range": "bytes=2-4"})
    assert (part.status, part.body) == (206, b"234")
    assert (await site.get("/docs/a.txt", {"If-None-Match": whole.headers["etag"]})).status == 304
    page = await site.get("/docs/")
    assert (page.headers["content-type"], page.headers["cache-control"]) == ("text/html; charset=utf-8", "no-cache")
    assert "cache-control" not in whole.headers
    post = await site.get("/docs/a.txt", method="POST")
    assert (post.status, post.headers["allow"]) == (405, "GET, HEAD")
    assert (await site.get("/legacy/", {"Content-Type": "multipart/form-data; boundary=x"}, "POST")).status == 405


@pytest.mark.parametrize("check", ["true", "false"])
async def test_clients_are_redirected_to_the_bucket_for_files_that_are_there(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, check: str
) -> None:
    changes = {"storage.redirect_urls": "true", "storage.redirect_check": check, "site.error_document": "404.html"}
    site = Site((await start_gateway(settings | changes)).url)
    answer = await site.get("/docs/a.txt")
    assert (answer.status, answer.headers["location"][: len(faulty.url)]) == (302, faulty.url)
    assert ((await site.get("/docs/")).body, (await site.get("/nope")).body) == (b"docs", b"nothing here")


async def test_nothing_of_a_package_index_is_left(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """A wheel is a file; the bucket is asked for it, and for nothing else."""
    name, content = wheel("Arrow", "1.0")
    faulty.objects = {f"arrow/{name}": content}
    changes = {"site.listing": "true", "cache.immutable_files": "true"}
    changes |= {"publish.beacon": "true", "publish.status": "true"}
    gateway = await start_gateway(settings | changes)
    site = Site(gateway.url)
    assert (await site.get("/arrow/", {"Accept": "application/vnd.pypi.simple.v1+json"})).status == 406
    assert b"Index of /arrow/" in (await site.get("/arrow/")).body
    for path in ("/simple/", "/simple/arrow/", "/Arrow/", f"/arrow/{name}.metadata", f"/simple/arrow/{name}"):
        assert (await site.get(path)).status == 404
    assert not any(request.key.startswith(".gateway/") for request in faulty.requests)
    faulty.requests.clear()
    answer = await site.get(f"/arrow/{name}")
    assert answer.body == content
    assert "cache-control" not in answer.headers
    assert [(request.method, request.key) for request in faulty.requests] == [("GET", f"arrow/{name}")]
    assert (gateway.mount.uploads, gateway.mount.catalog, gateway.mount.statuses, gateway.mount.prefetch) == (None,) * 4


async def test_an_archive_is_as_fresh_as_every_file(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Package files are kept for an hour, because they never change."""
    faulty.objects["new.zip"] = b"old"
    site = Site((await start_gateway(settings | {"cache.index_ttl": "0"})).url)
    assert (await site.get("/new.zip")).body == b"old"
    faulty.objects["new.zip"] = b"new"
    assert (await site.get("/new.zip")).body == b"new"


async def test_the_table_of_redirects_comes_before_what_is_stored(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    table = [{"path": "/docs/*", "to": "/new/*", "status": 308}, {"path": "/ext", "to": "https://www.example.org/"}]
    changes = {"site.redirects": json.dumps(table), "server.base_path": "/base", "rewrite.add_prefix": "/docs"}
    site = Site((await start_gateway(settings | changes)).url)
    answer = await site.get("/base/docs/a.txt?x=y", method="HEAD")
    assert (answer.status, answer.headers["location"]) == (308, "../new/a.txt?x=y")
    external = await site.get("/base/ext")
    assert (external.status, external.headers["location"]) == (301, "https://www.example.org/")
    assert faulty.requests == []
    assert (await site.get("/base/a.txt")).body == b"0123456789"
    assert (await site.get("/docs/a.txt")).status == 404


async def test_an_application_makes_its_pages_itself(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"site.spa": "true", "site.error_document": "404.html"})).url)
    home = await site.get("/")
    for path in ("/settings/profile", "/users/a.smith", "/settings/", "/bare/"):
        page = await site.get(path, NAVIGATION)
        assert (page.status, page.body, page.headers["etag"]) == (200, b"home", home.headers["etag"])
        assert page.headers["vary"] == "Accept, Sec-Fetch-Mode"
        assert (await site.get(path, NAVIGATION, "HEAD")).status == 200
        assert (await site.get(path, NAVIGATION | {"If-None-Match": home.headers["etag"]})).status == 304
    for path, headers in {
        "/missing.js": NAVIGATION,
        "/api/users": {"Sec-Fetch-Mode": "cors", "Accept": "text/html"},
        "/settings/profile": {"Accept": "*/*"},
    }.items():
        answer = await site.get(path, headers)
        assert (answer.status, answer.body) == (404, b"nothing here")
    assert (await site.get("/app.js", NAVIGATION)).body == b"run()"
    assert (await site.get("/docs", NAVIGATION)).status == 301


async def test_an_outage_is_no_absence(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    """Neither the application's page nor the error document says what nobody knows."""
    changes = {"site.spa": "true", "site.error_document": "404.html", "storage.max_attempts": "1"}
    site = Site((await start_gateway(settings | changes)).url)
    assert (await site.get("/", NAVIGATION)).status == 200
    assert (await site.get("/404.html")).status == 200
    faulty.of_key["settings"] = error(503, "SlowDown")
    assert (await site.get("/settings", NAVIGATION)).status == 503
    faulty.of_key["settings/index.html"] = error(503, "SlowDown")
    assert (await site.get("/settings/", NAVIGATION)).status == 503


async def test_the_error_document_is_whole_and_for_no_url_of_its_own(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"site.error_document": "/404.html"})).url)
    etag = etag_of(b"nothing here")
    conditions = {"If-None-Match": etag, "If-Modified-Since": "Fri, 31 Dec 2999 23:59:59 GMT", "Range": "bytes=0-3"}
    for headers in ({}, conditions, {"If-None-Match": "*"}, {"Range": "bytes=99-"}, {"If-Match": '"x"'}):
        for path in ("/nope", "/nope/", "/nope.html"):
            answer, head = await site.get(path, headers), await site.get(path, headers, "HEAD")
            assert (answer.status, answer.body, head.status, head.body) == (404, b"nothing here", 404, b"")
            for one in (answer, head):
                assert (one.headers["content-length"], one.headers["cache-control"]) == ("12", "no-store")
                assert one.headers["content-type"] == "text/html; charset=utf-8"
                assert not {"etag", "last-modified", "accept-ranges", "content-range"} & one.headers.keys()
    assert sum(request.key == "404.html" for request in faulty.requests) == 1  # it is cached
    itself = await site.get("/404.html")
    assert (itself.status, itself.headers["etag"]) == (200, etag)


@pytest.mark.parametrize("behaviour", [error(404, "NoSuchKey"), error(503, "SlowDown"), faults.reset, faults.stall])
async def test_without_the_error_document_it_is_the_gateway_s_own(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, behaviour: faults.Behaviour
) -> None:
    changes = {"site.error_document": "404.html", "storage.max_attempts": "1", "storage.read_timeout": "0.3"}
    site = Site((await start_gateway(settings | changes)).url)
    faulty.of_key["404.html"] = behaviour
    answer = await site.get("/nope")
    assert (answer.status, answer.body[:13]) == (404, b"404 Not found")


async def test_what_is_served_instead_is_for_those_who_may_read_it(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects["secret/index.html"] = b"secret"
    rules = [
        {"paths": ["/index.html"], "read": ["user:bob"], "only": True},
        {"paths": ["/secret"], "read": ["user:bob"], "only": True},
    ]
    changes = PEOPLE | {"access.rules": json.dumps(rules), "access.default_read": "everyone", "site.spa": "true"}
    site = Site((await start_gateway(settings | changes)).url)
    assert (await site.get("/settings", NAVIGATION | basic("bob"))).body == b"home"
    assert (await site.get("/", basic("bob"))).body == b"home"
    assert (await site.get("/settings", NAVIGATION | basic("alice"))).status == 404
    assert (await site.get("/", basic("alice"))).status == 404
    for path in ("/secret/", "/secret", "//secret/", "/secret//index.html", "//secret//index.html"):
        assert (await site.get(path, basic("alice"))).status == 403
        assert (await site.get(path)).status == 401
    page = await site.get("/docs/", basic("alice"))
    assert page.headers["cache-control"] == "private, no-cache"


async def test_a_rule_for_one_path_leaves_the_home_page_alone(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    """That of an index lists all projects."""
    rules = json.dumps([{"paths": ["/docs"], "read": ["user:bob"], "only": True}])
    site = Site((await start_gateway(settings | PEOPLE | {"access.rules": rules})).url)
    answers = [await site.get(path, basic("alice")) for path in ("/index.html", "/", "/simple/docs/", "/docs/")]
    assert [answer.status for answer in answers] == [200, 200, 404, 403]


async def test_a_directory_is_served_as_a_bucket_is(start_gateway: StartGateway, tmp_path: Path) -> None:
    root = tmp_path / "www"
    (root / "docs").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "404.html").write_text("nothing here")
    (root / "docs" / "index.html").write_text("docs")
    (root / "docs" / ".secret").write_text("secret")
    settings = {"storage.dir": str(root), "index.mode": "site", "site.error_document": "404.html"}
    site = Site((await start_gateway(settings | {"site.listing": "true"})).url)
    assert (await site.get("/docs")).headers["location"] == "./docs/"
    assert (await site.get("/docs/")).body == b"docs"
    for path in ("/docs/.secret", "/nope", "/nope/", "/docs/nope/"):
        answer = await site.get(path)
        assert (answer.status, answer.body) == (404, b"nothing here")
    assert b"Nothing is here." in (await site.get("/empty/")).body
