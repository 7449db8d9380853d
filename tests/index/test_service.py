"""Which page a path is, from what lies in the bucket, through the whole gateway."""

import asyncio
import gzip
import hashlib
import importlib
import json
import sys
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.index.rendered import Rendered, RenderedPages
from gateway.messages import BufferedResponse, PageRequest
from gateway.principal import Principal
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.bucket import Bucket
from tests.support.faults import FaultyBucket, error
from tests.support.http import RawAnswer, fetch
from tests.support.wheels import wheel

zstd = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
JSON = "application/vnd.pypi.simple.v1+json"
WHEEL, CONTENT = wheel("my_project", "1.0")


async def get(gateway: Gateway, target: str, method: str = "GET", **headers: str) -> RawAnswer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers=named)


def asked(bucket: FaultyBucket) -> list[str]:
    return ["list" if "list-type" in request.target else request.key for request in bucket.requests]


@pytest.fixture(params=["s3", "file"])
async def gateway(request: pytest.FixtureRequest, start_gateway: StartGateway, tmp_path: Path) -> Gateway:
    """In front of three folders, two of which are one project's, and none of which has a page."""
    objects = {
        f"My_Project/{WHEEL}": CONTENT,
        f"My_Project/{WHEEL}.metadata": b"Metadata-Version: 2.1\n",
        "my.project/my_project-0.9.tar.gz": b"sdist",
        "my.project/notes.txt": b"notes",
        "my.project/.hidden": b"x",
        "my.project/deeper/other-1.0.tar.gz": b"x",
        "docs/guide.txt": b"x",
    }
    if request.param == "file":
        for key, content in objects.items():
            (tmp_path / "packages" / key).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "packages" / key).write_bytes(content)
        return await start_gateway({"storage.dir": str(tmp_path / "packages")})
    bucket: Bucket = request.getfixturevalue("bucket")
    for key, content in objects.items():
        bucket.put(key, content)
    return await start_gateway(bucket.settings())


@pytest.mark.parametrize("path", ["/my-project/", "/simple/my-project/"])
async def test_a_project_s_page_is_made_from_what_lies_in_its_folders(gateway: Gateway, path: str) -> None:
    answer = await get(gateway, path, Accept=JSON)
    assert (answer.status, answer.headers["content-type"]) == (200, JSON)
    page = json.loads(answer.body)
    assert (page["name"], page["versions"], page["meta"]["api-version"]) == ("my-project", ["0.9", "1.0"], "1.4")
    files = {file["filename"]: file for file in page["files"]}
    assert set(files) == {WHEEL, "my_project-0.9.tar.gz", "notes.txt"}
    assert files[WHEEL]["size"] == len(CONTENT)
    assert files[WHEEL]["core-metadata"] is True
    assert files[WHEEL]["hashes"] in ({}, {"sha256": hashlib.sha256(CONTENT).hexdigest()}), "never a wrong one"
    assert abs(time.time() - _seconds(files[WHEEL]["upload-time"])) < 3600
    up = "../" * (path.count("/") - 1)
    assert files[WHEEL]["url"] == f"{up}My_Project/{WHEEL}"
    await gateway.mount.metadata.settled()
    html = await get(gateway, path)
    assert html.headers["content-type"] == "text/html; charset=utf-8"
    fragment = f"#sha256={hashlib.sha256(CONTENT).hexdigest()}"
    assert f'<a href="{up}My_Project/{WHEEL}{fragment}" data-core-metadata="true"'.encode() in html.body
    assert (await get(gateway, f"/My_Project/{WHEEL}")).body == CONTENT
    assert (await get(gateway, f"/simple/My_Project/{WHEEL}")).body == CONTENT


def _seconds(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("path", ["/", "/simple/"])
async def test_the_root_lists_the_folders(gateway: Gateway, path: str) -> None:
    async def names() -> list[str]:
        return [project["name"] for project in json.loads((await get(gateway, path, Accept=JSON)).body)["projects"]]

    # Directories are looked into; a bucket's folder would cost a LIST, and is left out once it was asked for.
    looked_into = gateway.settings.storage.resolved_backend == "file"
    assert await names() == (["my-project"] if looked_into else ["docs", "my-project"])
    assert b'<a href="my-project/">my-project</a>' in (await get(gateway, path)).body
    assert (await get(gateway, "/docs/")).status == 404
    assert await names() == ["my-project"]
    assert gateway.mount.catalog is not None
    assert (await gateway.mount.catalog.has_project("docs")).value, "the name is ours all the same"


async def test_other_spellings_lead_to_the_normalised_name(gateway: Gateway) -> None:
    for path in ("/simple/My.Project/", "/My_Project/", "/MY-PROJECT/"):
        answer = await get(gateway, path + "?format=text/html")
        assert (answer.status, answer.headers["location"]) == (301, "../my-project/?format=text/html")
    for path, location in [
        ("/simple", "./simple/"),
        ("/simple/my-project", "./my-project/"),
        ("/my-project", "./my-project/"),
        ("/docs", "./docs/"),
    ]:
        answer = await get(gateway, path)
        assert (path, answer.status, answer.headers["location"]) == (path, 301, location)


async def test_what_is_no_project_is_a_404(gateway: Gateway) -> None:
    for path in ("/nope/", "/simple/nope/", "/simple/No.Pe/", "/docs/", "/my-project/deeper/", "//", "/simple//"):
        assert (path, (await get(gateway, path)).status) == (path, 404)


async def test_forms_and_refusals(gateway: Gateway) -> None:
    by_query = await get(gateway, f"/my-project/?format={JSON.replace('+', '%2B')}")
    assert by_query.headers["content-type"] == JSON
    assert by_query.headers["vary"] == "Accept, Accept-Encoding"
    assert (await get(gateway, "/my-project/", Accept="image/png")).status == 406
    assert (await get(gateway, "/my-project/?format=xml")).status == 406
    assert (await get(gateway, "/my-project/?format=text/html&format=x")).status == 400
    assert (await get(gateway, "/my-project/", "POST")).status == 405


@pytest.mark.parametrize("accept", ["text/html", JSON, "text/html,application/xhtml+xml", "image/png"])
async def test_a_format_s_short_name_beats_what_the_client_accepts(gateway: Gateway, accept: str) -> None:
    await get(gateway, "/my-project/")
    await gateway.mount.metadata.settled()
    for path in ("/", "/my-project/", "/simple/my-project/"):
        for short, kind in (("json", JSON), ("html", "text/html; charset=utf-8")):
            target = f"{path}?format={short}"
            page, named = await get(gateway, target, Accept=accept), await get(gateway, path, Accept=kind)
            assert (page.status, page.headers["content-type"]) == (200, kind)
            assert (page.body, page.headers["vary"]) == (named.body, named.headers["vary"])
            head = await get(gateway, target, "HEAD", Accept=accept)
            assert (head.status, head.headers["content-type"], head.body) == (200, kind, b"")
            again = await get(gateway, target, Accept=accept, If_None_Match=page.headers["etag"])
            assert (again.status, again.body) == (304, b"")
            other = await get(gateway, path, Accept="text/html" if short == "json" else JSON)
            assert other.headers["content-type"] != kind, "what is kept for one form is not given for another"


@pytest.mark.parametrize("mode", ["auto", "static"])
async def test_a_stored_page_has_the_short_names_too(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], mode: str
) -> None:
    faulty.objects = {
        "index.html": b"<a href='p/'>",
        "p/index.html": b"<a href='p-1.0.tar.gz'>",
        "p/p-1.0.tar.gz": b"x",
    }
    gateway = await start_gateway(faulty_settings | {"index.mode": mode})
    for path in ("/p/", "/"):
        page = await get(gateway, f"{path}?format=json", Accept="text/html")
        assert (page.status, page.headers["content-type"], json.loads(page.body)["meta"]["api-version"][0]) == (
            200,
            JSON,
            "1",
        )
        head = await get(gateway, f"{path}?format=json", "HEAD", Accept="text/html")
        assert (head.status, head.headers["content-type"], head.body) == (200, JSON, b"")
        again = await get(gateway, f"{path}?format=json", Accept="text/html", If_None_Match=page.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        html = await get(gateway, f"{path}?format=html", Accept=JSON)
        assert (html.status, html.body) == (200, faulty.objects[f"{path}index.html"[1:]])


async def test_a_page_that_the_client_has_is_not_sent_again(gateway: Gateway) -> None:
    await get(gateway, "/my-project/")
    await gateway.mount.metadata.settled()
    for accept in ("text/html", JSON):
        page = await get(gateway, "/my-project/", Accept=accept)
        again = await get(gateway, "/my-project/", Accept=accept, If_None_Match=f'"x", W/{page.headers["etag"]}')
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", page.headers["etag"])
        assert "content-length" not in again.headers
    head = await get(gateway, "/my-project/", "HEAD")
    html = await get(gateway, "/my-project/")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(html.body)))
    assert html.headers["cache-control"] == "no-cache", "no release is hidden"


async def test_large_pages_are_compressed_for_who_takes_that(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"p/p-{number}.tar.gz": b"x" for number in range(100)}
    gateway = await start_gateway(faulty_settings)
    await get(gateway, "/p/")
    await gateway.mount.metadata.settled()
    plain = await get(gateway, "/p/")
    packed = await get(gateway, "/p/", Accept_Encoding="gzip, br")
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(packed.body) == plain.body
    assert len(packed.body) < len(plain.body) / 3
    assert packed.headers["etag"] != plain.headers["etag"]
    zstd_packed = await get(gateway, "/p/", Accept_Encoding="gzip, zstd")
    assert zstd_packed.headers["content-encoding"] == "zstd"
    assert zstd.decompress(zstd_packed.body) == plain.body
    again = await get(gateway, "/p/", Accept_Encoding="gzip", If_None_Match=packed.headers["etag"])
    assert again.status == 304


async def test_a_stored_page_comes_first_and_keeps_working(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    sha = "a" * 64
    page = f'<a href="p-1.0.tar.gz#sha256={sha}" data-requires-python="&gt;=3.11">p</a>'.encode()
    faulty.objects = {
        "p/index.html": page,
        "p/p-1.0.tar.gz": b"x",
        "q/q-1.0.tar.gz": b"x",
        "index.html": b"<a href='p/'>",
    }
    auto = await start_gateway(faulty_settings)
    for path in ("/p/", "/simple/p/"):
        assert (await get(auto, path)).body == page
        derived = json.loads((await get(auto, path, Accept=JSON)).body)
        [file] = derived["files"]
        assert (file["hashes"], file["requires-python"], derived["versions"]) == ({"sha256": sha}, ">=3.11", ["1.0"])
        head = await get(auto, path, "HEAD", Accept=JSON)
        assert (head.status, head.body) == (200, b"")
    assert (await get(auto, "/simple/p/p-1.0.tar.gz")).body == b"x"
    assert (await get(auto, "/q/")).status == 200
    assert (await get(auto, "/")).body == b"<a href='p/'>"
    assert json.loads((await get(auto, "/", Accept=JSON)).body)["projects"] == [{"name": "p"}]
    generated = await start_gateway(faulty_settings | {"index.mode": "generated"})
    assert b"../p/p-1.0.tar.gz" in (await get(generated, "/p/")).body
    assert b'href="q/"' in (await get(generated, "/")).body
    for mode, status in [("static", 200), ("off", 200)]:
        other = await start_gateway(faulty_settings | {"index.mode": mode})
        assert (await get(other, "/p/")).body == page
        assert (await get(other, "/q/")).status == 404
        kind = (await get(other, "/p/", Accept=JSON)).headers["content-type"]
        assert (status, kind == JSON) == (200, mode == "static")


async def test_what_is_known_costs_the_bucket_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings)
    answers = await asyncio.gather(*(get(gateway, "/p/") for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert asked(faulty).count("list") == 2, "the root once, the project once, for all hundred"
    await gateway.mount.metadata.settled()
    faulty.requests.clear()
    for path in ("/p/", "/", "/simple/p/", "/nope/"):
        await get(gateway, path)
    assert set(asked(faulty)) <= {"index.html", "nope/index.html", "nope/"}


async def test_a_folder_gets_into_the_list_with_its_first_release(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x", "q/notes.txt": b"x", "__pycache__/x": b"x"}
    gateway = await start_gateway(faulty_settings)
    assert (await get(gateway, "/q/")).status == 404
    listing = await get(gateway, "/")
    assert b'href="p/"' in listing.body
    assert b'href="q/"' not in listing.body
    assert b"pycache" not in listing.body
    faulty.objects["q/q-1.0.tar.gz"] = b"x"
    gateway.refresh()
    assert b'href="q/"' in (await get(gateway, "/")).body


async def test_a_bucket_of_folders_without_packages_is_empty_and_lists_none_of_them(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"logs-{number}/x": b"x" for number in range(30)}
    gateway = await start_gateway(faulty_settings)
    assert (await get(gateway, "/")).status == 200
    assert asked(faulty).count("list") == 1, "no LIST for each folder"
    for number in range(30):
        assert (await get(gateway, f"/logs-{number}/")).status == 404
    assert (await get(gateway, "/")).body.startswith(b"404 This index has no packages yet")


async def test_a_new_file_shows_after_refresh_and_at_once_when_told(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings)
    at_once = await start_gateway(faulty_settings | {"index.refresh": "0"})
    for each in (gateway, at_once):
        assert b"p-2.0" not in (await get(each, "/p/")).body
    faulty.objects |= {"p/p-2.0.tar.gz": b"x", "new/new-1.0.tar.gz": b"x"}
    assert b"p-2.0" in (await get(at_once, "/p/")).body
    assert (await get(at_once, "/new/")).status == 200
    assert b"p-2.0" not in (await get(gateway, "/p/")).body
    gateway.refresh()
    assert b"p-2.0" in (await get(gateway, "/p/")).body
    assert (await get(gateway, "/new/")).status == 200


@pytest.mark.parametrize("accept", ["text/html", JSON, "text/html,application/xhtml+xml"])
async def test_what_has_not_changed_is_not_made_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], accept: str
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings | {"index.compute_hashes": "false"})

    async def made(key: str) -> bytes:
        page = await gateway.mount.index.page(PageRequest("GET", key, accept=accept))
        assert isinstance(page, BufferedResponse)
        return page.body

    await made("p/")
    await gateway.mount.metadata.settled()
    before = [await made(key) for key in ("p/", "")]
    gateway.refresh()
    assert [await made("p/") is before[0], await made("") is before[1]] == [True, True], "the very same bytes"
    assert asked(faulty).count("list") == 4
    faulty.objects["p/p-2.0.tar.gz"] = b"x"
    gateway.refresh()
    assert b"p-2.0" in await made("p/")


async def test_while_the_bucket_is_down_what_is_known_is_served_and_no_page_is_empty(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x", "q/q-1.0.tar.gz": b"x"}
    settings = {"index.refresh": "0", "storage.max_attempts": "1"}
    gateway = await start_gateway(faulty_settings | settings)
    await get(gateway, "/p/")
    await gateway.mount.metadata.settled()
    fresh = await get(gateway, "/p/")
    await gateway.mount.metadata.settled()
    faulty.then(error(500, "InternalError"), times=100)
    stale = await get(gateway, "/p/")
    assert (stale.status, stale.body) == (200, fresh.body)
    assert stale.headers["cache-status"].endswith("; detail=stale")
    assert stale.headers["age"] == "0"
    assert (await get(gateway, "/q/")).status == 503
    assert "retry-after" in (await get(gateway, "/q/")).headers
    patient = await start_gateway(faulty_settings | settings | {"cache.stale_if_error": "0"})
    assert (await get(patient, "/p/")).status == 503
    assert (await get(patient, "/")).status == 503


async def test_while_nobody_knows_whether_a_page_is_stored_none_is_generated(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Only the listing tells that a page below simple/ is stored elsewhere; the storage may be well again meanwhile."""
    faulty.objects = {"my-project/index.html": b"<a>", f"my-project/{WHEEL}": CONTENT}
    failed = 0

    async def failing_once(answer: faults.Answer) -> None:
        nonlocal failed
        fails = "list-type" in answer.request.target and "prefix=my-project" in answer.request.target and not failed
        failed += fails
        await (error(500, "InternalError") if fails else faults.healthy)(answer)

    faulty.then(failing_once, times=100)
    gateway = await start_gateway(faulty_settings | {"storage.max_attempts": "1"})
    assert ((await get(gateway, "/simple/my-project/")).status, failed) == (503, 1)
    assert (await get(gateway, "/simple/my-project/")).body == b"<a>"


@pytest.mark.parametrize("mode", ["auto", "static", "off"])
@pytest.mark.parametrize("accept", ["text/html", JSON])
@pytest.mark.parametrize(
    "fault", [faults.reset, faults.stall, faults.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<a>")]
)
async def test_a_stored_page_that_can_not_be_had_now_is_asked_for_again(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    mode: str,
    accept: str,
    fault: faults.Behaviour,
) -> None:
    """After 502 or 504, pip takes the project for one without releases; after 503, it tries again."""
    faulty.objects = {"p/index.html": b"<a>", f"p/{WHEEL}": CONTENT}

    async def failing(answer: faults.Answer) -> None:
        await (fault if answer.request.key.endswith(".html") else faults.healthy)(answer)

    faulty.then(failing, times=50)
    settings = {"index.mode": mode, "storage.max_attempts": "1", "storage.read_timeout": "0.2"}
    gateway = await start_gateway(faulty_settings | settings)
    answer = await get(gateway, "/p/", Accept=accept)
    if answer.status == 200:  # its head has been sent before the body broke off
        assert len(answer.body) < int(answer.headers["content-length"])
    else:
        assert (answer.status, answer.headers["retry-after"]) == (503, "2")


async def test_a_listing_that_is_refused_later_takes_nothing_away(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/p-1.0.tar.gz": b"x"}
    gateway = await start_gateway(faulty_settings | {"index.refresh": "0"})
    assert (await get(gateway, "/p/")).status == 200
    faulty.then(error(403, "AccessDenied"), times=10)
    assert (await get(gateway, "/p/")).status == 200


async def test_without_permission_to_list_stored_pages_are_all_there_is(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"p/index.html": b"<a>"}

    async def refusing(answer: faults.Answer) -> None:
        listing = "list-type" in answer.request.target
        await (error(403, "AccessDenied") if listing else faults.healthy)(answer)

    faulty.then(refusing, times=50)
    gateway = await start_gateway(faulty_settings)
    assert (await get(gateway, "/p/")).body == b"<a>"
    assert (await get(gateway, "/q/")).status == 404
    assert (await get(gateway, "/")).status == 404


async def test_many_pages_of_a_listing_are_one_page_of_the_index(bucket: Bucket, start_gateway: StartGateway) -> None:
    bucket.put_many({f"p/p-{number}.tar.gz": b"" for number in range(1050)})
    gateway = await start_gateway(bucket.settings())
    assert len(json.loads((await get(gateway, "/p/", Accept=JSON)).body)["files"]) == 1050


async def test_the_rewrite_rules_move_the_index(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"v1/p/p-1.0.tar.gz": b"x", "p/p-9.0.tar.gz": b"other"}
    settings = {"rewrite.add_prefix": "/v1", "server.base_path": "/team", "rewrite.strip_prefix": "/pypi"}
    gateway = await start_gateway(faulty_settings | settings | {"index.compute_hashes": "false"})
    page = await get(gateway, "/team/pypi/simple/p/")
    assert b'href="../../p/p-1.0.tar.gz"' in page.body
    assert (await get(gateway, "/team/pypi/p/p-1.0.tar.gz")).body == b"x"
    assert (await get(gateway, "/team/pypi/p/")).status == 200


async def test_hostile_keys_come_out_inert(bucket: Bucket, start_gateway: StartGateway) -> None:
    names = [
        "<script>alert(1)<!--.txt",
        "quo\"te's.txt",
        "new\nline.txt",
        "p-1.0.tar.gz",
        "perc%2Fent.txt",
        "&amp;.txt",
    ]
    for name in names:
        bucket.put(f"p/{name}", b"x")
    gateway = await start_gateway(bucket.settings())
    html = (await get(gateway, "/p/")).body
    assert b"<script" not in html
    names.remove("new\nline.txt")  # no request can ask for it
    assert html.count(b"<a ") == len(names)
    files = json.loads((await get(gateway, "/p/", Accept=JSON)).body)["files"]
    assert {file["filename"] for file in files} == set(names)
    for file in files:
        assert (await get(gateway, "/" + file["url"].removeprefix("../"))).body == b"x"


async def test_provenance_beside_a_file_is_linked_by_its_absolute_url(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"My_Project/{WHEEL}": CONTENT, f"My_Project/{WHEEL}.provenance": b"{}"}
    gateway = await start_gateway(
        faulty_settings | {"server.base_path": "/pypi", "server.trusted_proxies": "127.0.0.1"}
    )
    link = f"My_Project/{WHEEL}.provenance"
    for headers, base in [
        ({}, "http://gateway/pypi/"),
        ({"X_Forwarded_Proto": "https"}, "https://gateway/pypi/"),
        ({"X_Forwarded_Proto": "javascript"}, None),
    ]:
        page = json.loads((await get(gateway, "/pypi/simple/my-project/", Accept=JSON, **headers)).body)
        assert page["files"][0].get("provenance") == (None if base is None else base + link)
        assert len(page["files"]) == 1
    named = await start_gateway(faulty_settings | {"server.public_url": "https://packages.example/x"})
    html = (await get(named, "/simple/my-project/", X_Forwarded_Proto="ftp")).body
    assert f'data-provenance="https://packages.example/x/{link}"'.encode() in html
    assert (await get(named, f"/{link}")).body == b"{}"


async def test_what_a_project_tracks_comes_from_the_settings(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"My_Project/{WHEEL}": CONTENT}
    url, other = "https://pypi.org/simple/my-project/", "https://b.example/simple/my-project/"
    gateway = await start_gateway(
        faulty_settings | {"index.tracks": f"My.Project={url}", "index.alternate_locations": f"my-project={other}"}
    )
    page = json.loads((await get(gateway, "/simple/my-project/", Accept=JSON)).body)
    assert (page["meta"]["tracks"], page["alternate-locations"]) == ([url], [other])
    html = (await get(gateway, "/simple/my-project/")).body
    assert f'<meta name="pypi:tracks" content="{url}">'.encode() in html
    assert f'<meta name="pypi:alternate-locations" content="{other}">'.encode() in html


@pytest.mark.parametrize(
    ("key", "rendered_each"),
    [("simple/", 1), ("simple/p/", 0), ("", 2), ("p/", 0)],  # for people: without and with the address
    ids=["root", "page", "root-for-people", "page-for-people"],
)
async def test_pages_are_kept_for_those_who_see_the_same(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    rendered_each: int,
) -> None:
    """What another principal may see is never given out of a cache. A project's page is the same for all who may see
    it, the root's is not."""
    faulty.objects = {"p/p-1.0.zip": b"x"}
    gateway = await start_gateway(faulty_settings | {"index.compute_hashes": "false"})
    rendered = []
    real = RenderedPages._make

    async def make(self: RenderedPages, slot: Hashable, *rest: Any) -> Rendered:
        rendered.append(slot)
        return await real(self, slot, *rest)

    monkeypatch.setattr(RenderedPages, "_make", make)

    async def ask(view: str) -> int:
        """How many pages are rendered for it."""
        before = len(rendered)
        accept = "text/html" if key.startswith("simple/") else "text/html,application/xhtml+xml"
        await gateway.mount.index.page(PageRequest("GET", key, accept=accept, principal=Principal(view=view)))
        return len(rendered) - before

    await ask("")
    await gateway.mount.metadata.settled()
    while await ask(""):  # until what has been found out of the file is shown
        pass
    assert [await ask(view) for view in ("team", "others")] == [rendered_each] * 2
    assert [await ask(view) for view in ("", "team", "others")] == [0, 0, 0]
