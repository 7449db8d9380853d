"""What clients get of a project whose status says something."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from gateway.app import Gateway
from gateway.index.status.document import ProjectStatus, Statuses
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.publicindex import PublicIndex
from tests.support.uploads import sdist, wheel

KEY = ".gateway/status.json"
FILE, CONTENT = wheel("acme_web", "1.0")
SDIST, SOURCE = sdist("acme_web", "1.0")
ON = {"publish.status": "true"}
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
REASON = "sends <secrets> away"


def say(faulty: FaultyBucket, key: str = KEY, **projects: str) -> None:
    """The status of projects, with a reason each. `_` stands for a hyphen."""
    said = {name.replace("_", "-"): ProjectStatus(status, REASON) for name, status in projects.items()}
    faulty.objects[key] = Statuses(said).encode()


async def get(
    gateway: Gateway, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, str, str]:
    """Status, body, and the reason phrase or where a redirect leads."""
    async with aiohttp.request(method, gateway.url + path, headers=headers, allow_redirects=False) as answer:
        return answer.status, await answer.text(errors="replace"), answer.headers.get("Location", answer.reason or "")


async def page(gateway: Gateway, path: str = "/simple/acme-web/") -> dict[str, Any]:
    status, body, _ = await get(gateway, path, JSON)
    assert status == 200, body
    return dict(json.loads(body))


@pytest.fixture
def filled(faulty: FaultyBucket) -> None:
    faulty.objects = {
        f"acme-web/{FILE}": CONTENT,
        f"acme-web/{SDIST}": SOURCE,
        "other/other-1.0.tar.gz": b"other",
    }


pytestmark = pytest.mark.usefixtures("filled")


@pytest.mark.parametrize("said", ["archived", "deprecated"])
async def test_a_project_that_is_left_alone_is_only_marked(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], said: str
) -> None:
    say(faulty, acme_web=said)
    gateway = await start_gateway(faulty_settings | ON)
    found = await page(gateway)
    assert found["project-status"] == {"status": said, "reason": REASON}
    assert [file["filename"] for file in found["files"]] == [FILE, SDIST]
    html = (await get(gateway, "/simple/acme-web/"))[1]
    assert f'<meta name="pypi:project-status" content="{said}">' in html
    assert '<meta name="pypi:project-status-reason" content="sends &lt;secrets&gt; away">' in html
    assert f"This project is {said}: sends &lt;secrets&gt; away." in (await get(gateway, "/acme-web/", BROWSER))[1]
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
    assert "project-status" not in await page(gateway, "/simple/other/")


async def test_a_page_shows_what_is_said_now_though_its_files_stay_the_same(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | ON | {"index.refresh": "3600"})
    for said in ("archived", "deprecated"):
        say(faulty, acme_web=said)
        assert gateway.mount.statuses is not None
        gateway.mount.statuses.expire()
        assert (await page(gateway))["project-status"]["status"] == said
        assert f"This project is {said}" in (await get(gateway, "/acme-web/", BROWSER))[1]


@pytest.mark.parametrize("said", ["quarantined", "not known yet"])
async def test_a_quarantined_project_has_a_page_without_files(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], said: str
) -> None:
    say(faulty, acme_web=said)
    faulty.objects["acme-web/index.html"] = b'<a href="acme_web-1.0.tar.gz">stored</a>'
    gateway = await start_gateway(faulty_settings | ON)
    for path in ("/simple/acme-web/", "/acme-web/"):
        found = await page(gateway, path)
        assert (found["files"], found["versions"]) == ([], [])
        assert found["project-status"] == {"status": "quarantined", "reason": REASON}
        html = (await get(gateway, path))[1]
        assert '<meta name="pypi:project-status" content="quarantined">' in html
        assert "<a " not in html
    people = (await get(gateway, "/acme-web/", BROWSER))[1]
    assert "This project is quarantined: sends" in people
    assert "acme_web-1.0" not in people
    assert (await get(gateway, "/simple/Acme_Web/"))[::2] == (301, "../acme-web/")
    assert (await get(gateway, "/simple/acme-web"))[::2] == (301, "./acme-web/")
    assert "acme-web" in (await get(gateway, "/simple/"))[1]
    assert not [seen for seen in faulty.requests if "index.html" in seen.target]


@pytest.mark.parametrize(
    "path",
    [
        f"/acme-web/{FILE}",
        f"/acme-web/{SDIST}",
        f"/acme-web/{FILE}.metadata",
        f"/acme-web/{FILE}.sha256",
        f"/acme-web/{FILE}.sboms/",
        f"/acme-web/{FILE}.sboms/a.cdx.json",
        f"/simple/acme-web/{FILE}.sboms/a.cdx.json",
        f"/other/{FILE}.sboms/",
        f"/simple/acme-web/{FILE}",
        f"/simple/simple//acme-web/{FILE}",
        f"/Acme.Web/{FILE}",
        f"/%41cme_Web/{FILE}",
        f"/other/{FILE}",
        f"/other/deep/{FILE}",
        f"/{FILE}",
        f"//acme-web//{FILE}",
        "/acme-web/index.html",
        "/acme-web/LICENSE",
        "/acme-web/other-1.0.tar.gz",
        "/acme-web/acme_web-1.0.tar.gz.bak",
        "/ACME_WEB-1.0.TAR.GZ.bak",
    ],
)
async def test_no_file_of_it_is_served_wherever_it_lies(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], path: str
) -> None:
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(faulty_settings | ON | {"storage.redirect_urls": "true"})
    await get(gateway, "/simple/other/")
    before = len(faulty.requests)
    for method, headers in (("GET", {}), ("HEAD", {}), ("GET", {"Range": "bytes=0-9"}), ("GET", {"If-Match": "*"})):
        status, body, reason = await get(gateway, path, headers, method)
        assert (status, reason) == (403, "Project acme-web is quarantined")
        assert method == "HEAD" or f"403 Project acme-web is quarantined: {REASON}" in body
    assert json.loads((await get(gateway, path, {"Accept": "application/json"}))[1])["status"] == 403
    assert len(faulty.requests) == before


async def test_other_projects_are_served(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    say(faulty, acme_web="quarantined")
    faulty.objects["acme-web-plus/acme_web_plus-1.0.tar.gz"] = b"plus"
    gateway = await start_gateway(faulty_settings | ON)
    for path in ("/other/other-1.0.tar.gz", "/acme-web-plus/acme_web_plus-1.0.tar.gz", "/simple/other/", "/"):
        assert (await get(gateway, path))[0] == 200, path


@pytest.mark.parametrize("settings", [{"index.layout": "flat"}, {"index.layout": "auto"}], ids=str)
async def test_a_flat_bucket(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], settings: dict[str, str]
) -> None:
    faulty.objects = {FILE: CONTENT, f"folder/{SDIST}": SOURCE, "other-1.0.tar.gz": b"other"}
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(faulty_settings | ON | settings)
    assert (await page(gateway))["files"] == []
    for path in (f"/{FILE}", f"/folder/{SDIST}", f"/simple/{FILE}.metadata"):
        assert (await get(gateway, path))[0] == 403, path
    assert (await get(gateway, "/other-1.0.tar.gz"))[0] == 200


@pytest.mark.parametrize("mode", ["static", "off"])
async def test_a_stored_page_is_replaced_where_none_are_generated(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], mode: str
) -> None:
    stored = b'<a href="acme_web-1.0.tar.gz">stored</a>'
    faulty.objects |= {"acme-web/index.html": stored, "acme-web/deep/index.html": stored, "other/index.html": stored}
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(faulty_settings | ON | {"index.mode": mode})
    for path in ("/acme-web/", "/simple/acme-web/", "/acme-web/deep/"):
        found = await page(gateway, path)
        assert (found["files"], found["project-status"]["status"]) == ([], "quarantined")
        assert "<a " not in (await get(gateway, path))[1]
    assert (await get(gateway, "/acme-web/", {"Accept": "text/plain"}))[0] == 406
    assert (await get(gateway, f"/acme-web/{SDIST}"))[0] == 403
    assert "stored" in (await get(gateway, "/other/"))[1]


@pytest.mark.parametrize(
    "settings",
    [
        {"fallback.mode": "mirror"},
        {"fallback.mode": "cache"},
        {"fallback.mode": "redirect"},
        {"fallback.mode": "mirror", "fallback.always_show_upstream": "true"},
    ],
    ids=str,
)
async def test_another_index_is_never_asked_for_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], settings: dict[str, str]
) -> None:
    """Whether the storage has it or not."""
    name, content = wheel("absent", "1.0")
    say(faulty, acme_web="quarantined", absent="quarantined")
    faulty.objects[f".mirror/absent/{name}"] = content
    async with PublicIndex().running() as public:
        public.projects = {"acme-web": {SDIST: SOURCE}, "absent": {name: content}}
        gateway = await start_gateway(faulty_settings | ON | settings | {"fallback.base_url": public.url})
        for project in ("acme-web", "absent"):
            assert (await page(gateway, f"/simple/{project}/"))["files"] == []
        for path in (f"/absent/{name}", f"/simple/absent/{name}.metadata", f"/absent/{name}.sboms/"):
            assert (await get(gateway, path))[0] == 403
        assert public.requests == []


async def test_no_cache_serves_what_was_quarantined_since(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Any
) -> None:
    caches = {"cache.memory_bytes": "16MB", "cache.dir": str(tmp_path / "cache"), "index.refresh": "3600"}
    gateway = await start_gateway(faulty_settings | ON | caches)
    paths = f"/acme-web/{FILE}", f"/acme-web/{FILE}.metadata", f"/simple/acme-web/{SDIST}", f"/acme-web/{FILE}.sboms/"
    for path in paths * 2:
        assert (await get(gateway, path))[0] == 200
    say(faulty, acme_web="quarantined")
    gateway.refresh_all("acme-web")
    for path in paths:
        assert (await get(gateway, path))[0] == 403
    assert (await page(gateway))["files"] == []
    say(faulty)
    gateway.refresh_all("acme-web")
    assert len((await page(gateway))["files"]) == 2
    assert (await get(gateway, paths[0]))[0] == 200


async def test_it_is_seen_within_the_time_of_a_listing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | ON | {"index.refresh": "0.2", "cache.memory_bytes": "16MB"})
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
    say(faulty, acme_web="quarantined")
    async with asyncio.timeout(3):
        while (await get(gateway, f"/acme-web/{FILE}"))[0] != 403:  # noqa: ASYNC110  files tell nobody
            await asyncio.sleep(0.02)


async def test_indexes_in_one_bucket_have_documents_of_their_own(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects |= {f"team/acme-web/{FILE}": CONTENT}
    say(faulty, acme_web="quarantined")
    below = faulty_settings | ON | {"rewrite.add_prefix": "/team"}
    gateway, root = await start_gateway(below), await start_gateway(faulty_settings | ON)
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
    say(faulty, ".gateway/status/team.json", acme_web="quarantined")
    say(faulty)
    gateway.refresh_all()
    root.refresh_all()
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 403
    assert (await get(gateway, "/acme-web"))[::2] == (301, "./acme-web/")
    assert (await get(root, f"/acme-web/{FILE}"))[0] == 200
    for path in ("/.gateway/status.json", "/.gateway/status/team.json"):
        assert (await get(root, path))[0] == 404


async def test_where_it_is_off_nothing_is_asked_or_obeyed(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(faulty_settings)
    assert (await get(gateway, f"/acme-web/{FILE}"))[0] == 200
    assert len((await page(gateway))["files"]) == 2
    assert not [seen for seen in faulty.requests if ".gateway" in seen.target]
