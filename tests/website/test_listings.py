"""Listings of a site: whole, bounded, cached, and for each reader."""

import json
from pathlib import Path

import pytest

from gateway.website import listings
from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.faults import FaultyBucket, error
from tests.support.http import fetch
from tests.website.test_website import PEOPLE, Site, basic

JSON = {"Accept": "application/json"}


async def names(site: Site, path: str, headers: dict[str, str] = JSON) -> list[str]:
    answer = await site.get(path, headers)
    assert answer.status == 200
    return [entry["name"] + "/" * (entry["type"] == "directory") for entry in json.loads(answer.body)["entries"]]


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = dict.fromkeys(("b.txt", "a/1", "c/2", "c/d/3", "a.txt", ".gateway/x", ".git/y", "n/"), b"x")
    faulty.objects["n/"] = b"a page"
    return faulty_settings | {"index.mode": "site", "site.listing": "true"}


async def test_a_directory_without_an_index_document_is_listed(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings)).url)
    assert await names(site, "/") == ["a/", "c/", "n/", "a.txt", "b.txt"]
    assert await names(site, "/c/") == ["d/", "2"]
    assert (await site.get("/c", JSON)).headers["location"] == "./c/"
    assert (await site.get("/nope/", JSON)).status == 404
    assert (await site.get("/n/", {"Accept": "image/png"})).body == b"a page"
    faulty.objects["c/index.html"] = b"page"
    assert (await site.get("/c/", JSON)).body == b"page"


async def test_it_is_negotiated_and_revalidated(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings)).url)
    etags = set()
    for accept, kind in (("*/*", "text/html; charset=utf-8"), (JSON["Accept"], "application/json"),
                         ("text/plain", "text/plain; charset=utf-8")):  # fmt: skip
        answer = await site.get("/c/", {"Accept": accept})
        assert (answer.headers["content-type"], answer.headers["vary"]) == (kind, "Accept, Accept-Encoding")
        assert answer.headers["cache-control"] == "no-cache"
        assert ("content-security-policy" in answer.headers) == (kind[:9] == "text/html")
        condition = {"Accept": accept, "If-None-Match": answer.headers["etag"]}
        assert (await site.get("/c/", condition)).status == 304
        head = await site.get("/c/", {"Accept": accept}, "HEAD")
        assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))
        etags.add(answer.headers["etag"])
    assert len(etags) == 3
    assert (await site.get("/c/?format=json", {"Accept": "text/html"})).headers["content-type"] == "application/json"
    assert (await site.get("/c/?format=xml")).status == 406
    assert (await site.get("/c/?after=a&after=b")).status == 400


async def test_each_page_takes_one_listing(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings)).url)
    for path in ("/c/?after=2", "/c/"):
        faulty.requests.clear()
        assert (await site.get(path)).status == 200
        assert ["list-type" in request.target for request in faulty.requests] == [False, True]


async def test_without_the_setting_there_is_none(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"site.listing": "false"})).url)
    assert (await site.get("/c/", JSON)).status == 404
    assert (await site.get("/", JSON)).status == 404


async def test_an_empty_root_is_a_page(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects = {}
    site = Site((await start_gateway(settings)).url)
    assert await names(site, "/") == []


async def test_many_entries_come_in_pages_that_stay_right(start_gateway: StartGateway, bucket: Bucket) -> None:
    """It takes seconds to fill a bucket with so many."""
    files = [f"{number:04}.txt" for number in range(2100)]
    bucket.put_many({f"d/{name}": b"x" for name in files} | {"d/0500/x": b"x", "d/zz/x": b"x"})
    gateway = await start_gateway(bucket.settings() | {"index.mode": "site", "site.listing": "true"})
    site, path, pages, found = Site(gateway.url), "/d/", [], []
    while path:
        answer = await site.get(path, JSON)
        page = json.loads(answer.body)
        pages.append([entry["name"] for entry in page["entries"]])
        found += pages[-1]
        assert len(pages[-1]) <= 1000
        assert ("link" in answer.headers) == bool(page["next"])
        if page["next"]:
            assert answer.headers["link"] == f'<{page["next"]}>; rel="next"'
            bucket.client.delete_object(Bucket=bucket.name, Key=f"d/{pages[-1][-1]}")
        path = f"/d/{page['next']}" if page["next"] else ""
        gateway.refresh()
    assert sorted({*found}) == sorted([*files, "0500", "zz"])
    assert len(pages) == 3
    assert pages[0][:2] == ["0500", "0000.txt"]
    text = await site.get("/d/?format=text&after=2097.txt")
    assert [line.split("\t")[2] for line in text.body.decode().splitlines()] == ["zz/", "2098.txt", "2099.txt"]


async def test_what_was_listed_is_used_for_a_while(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings | {"index.refresh": "60", "rewrite.index_document": "none"})
    site = Site(gateway.url)
    assert await names(site, "/c/") == ["d/", "2"]
    faulty.objects["c/new"] = b"x"
    faulty.requests.clear()
    assert await names(site, "/c/?x") == ["d/", "2"]
    assert not any("list-type" in request.target for request in faulty.requests)
    gateway.refresh()
    assert await names(site, "/c/?y") == ["d/", "2", "new"]
    gateway.refresh()
    faulty.of_key[""] = error(503, "SlowDown")
    stale = await site.get("/c/?z", JSON)
    assert stale.status == 200
    assert "age" in stale.headers
    assert json.loads(stale.body)["entries"][-1]["name"] == "new"


async def test_a_storage_that_can_not_be_listed(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings | {"storage.max_attempts": "1", "index.refresh": "0", "cache.stale_if_error": "0"}
    site = Site((await start_gateway(settings)).url)
    faulty.of_key[""] = error(403, "AccessDenied")
    assert (await site.get("/c/", JSON)).status == 404
    assert "s3:ListBucket" in caplog.text
    faulty.of_key[""] = error(503, "SlowDown")
    assert (await site.get("/c/", JSON)).status == 503
    del faulty.of_key[""]
    assert await names(site, "/c/") == ["d/", "2"]
    faulty.of_key[""] = error(403, "AccessDenied")  # after it was permitted, that is an outage
    assert (await site.get("/c/", JSON)).status == 503


async def test_each_reader_sees_what_may_be_read(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    rules = [{"paths": ["/a"], "read": ["user:bob"], "only": True}, {"paths": ["/b.txt"], "read": [], "only": True}]
    changes = PEOPLE | {"access.rules": json.dumps(rules), "index.refresh": "60"}
    site = Site((await start_gateway(settings | changes)).url)
    assert await names(site, "/", JSON | basic("alice")) == ["c/", "n/", "a.txt"]
    assert await names(site, "/", JSON | basic("bob")) == ["a/", "c/", "n/", "a.txt"]
    assert await names(site, "/", JSON | basic("alice")) == ["c/", "n/", "a.txt"]
    assert (await site.get("/a/", JSON | basic("alice"))).status == 403
    answer = await site.get("/", JSON | basic("bob"))
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.headers["vary"] == "Accept, Accept-Encoding, Authorization, Cookie"


async def test_no_page_leads_on_by_a_name_that_the_reader_may_not_read(
    start_gateway: StartGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listings, "PER_PAGE", 3)
    for name in "abcdef":
        (tmp_path / "www" / name).mkdir(parents=True)
        (tmp_path / "www" / name / "x").write_text("x")
    rules = [{"paths": ["/c"], "read": ["user:bob"], "only": True}]
    given = {"storage.dir": str(tmp_path / "www"), "index.mode": "site", "site.listing": "true"}
    site = Site((await start_gateway(given | PEOPLE | {"access.rules": json.dumps(rules)})).url)
    for user, following in (("bob", "?after=c%2F"), ("alice", "?after=b%2F")) * 2:
        answer = await site.get("/", JSON | basic(user))
        assert (json.loads(answer.body)["next"], answer.headers["link"]) == (following, f'<{following}>; rel="next"')
    assert await names(site, "/?after=b%2F", JSON | basic("alice")) == ["d/", "e/"]


async def test_of_a_directory(start_gateway: StartGateway, tmp_path: Path) -> None:
    root = tmp_path / "www"
    (root / "sub").mkdir(parents=True)
    for name in ("b", "a b", ".hidden", "ж"):
        (root / name).write_text("x")
    gateway = await start_gateway({"storage.dir": str(root), "index.mode": "site", "site.listing": "true"})
    site = Site(gateway.url)
    assert await names(site, "/") == ["sub/", "a b", "b", "ж"]
    answer = await fetch(site.port, "/?after=b&format=text")
    assert [line.split("\t")[2] for line in answer.body.decode().splitlines()] == ["sub/", "ж"]
