"""PyPI's JSON API through the gateway, made of the same as the pages."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Hashable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from packaging.version import Version

from gateway.app import Gateway
from gateway.index.legacy import metadata
from gateway.index.simple.pages import Project
from gateway.index.status.document import ProjectStatus, Statuses
from gateway.policy.advisory import Advisory, VersionRange
from tests.access.test_gate import basic
from tests.conftest import StartGateway
from tests.support.faults import Answer, FaultyBucket, error, healthy
from tests.support.publicindex import PublicIndex
from tests.support.uploads import upload
from tests.support.wheels import sdist, wheel

OLD, OLD_CONTENT = wheel("acme_web", "1.0", summary="Old")
NEW, NEW_CONTENT = wheel("acme_web", "2.0", ["acme-db>=1"], summary="New", readme="# Hello")
SOURCE, SOURCE_CONTENT = sdist("acme_web", "2.0")
PROJECT, RELEASE = "/pypi/acme-web/json", "/pypi/acme-web/1.0/json"
SECRET = b"of a project that is called pypi"


@pytest.fixture(autouse=True)
def filled(faulty: FaultyBucket) -> None:
    faulty.objects = {
        f"acme-web/{OLD}": OLD_CONTENT,
        f"acme-web/{OLD}.yanked": b"too old",
        f"acme-web/{NEW}": NEW_CONTENT,
        f"acme-web/{SOURCE}": SOURCE_CONTENT,
        "acme-web/notes.txt": b"notes",
        "pypi/acme-web/json": SECRET,
        "pypi/acme-web/1.0/json": SECRET,
        "pypi/ghost/json": SECRET,
        "pypi/pypi-1.0.tar.gz": sdist("pypi", "1.0")[1],
    }


async def ask(
    gateway: Gateway, target: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes, Mapping[str, str]]:
    sent = {"Accept-Encoding": "identity", **(headers or {})}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as http,
        http.request(method, gateway.url + target, headers=sent, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read(), answer.headers


async def told(gateway: Gateway, target: str = PROJECT) -> Any:
    status, body, headers = await ask(gateway, target)
    assert status == 200, body
    assert headers["Content-Type"] == "application/json"
    return json.loads(body)


async def status(gateway: Gateway, target: str) -> int:
    return (await ask(gateway, target))[0]


def names(files: list[Any]) -> list[str]:
    return [file["filename"] for file in files]


async def test_a_project(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> None:
    gateway = await start_gateway(faulty_settings)
    found = await told(gateway)
    info = found["info"]
    assert (info["name"], info["version"], info["summary"]) == ("acme_web", "2.0", "New")
    assert (info["requires_dist"], info["description"]) == (["acme-db>=1"], "# Hello")
    assert info["yanked"] is False
    assert info["package_url"] == f"{gateway.url}/acme-web/"
    assert {version: names(files) for version, files in found["releases"].items()} == {
        "1.0": [OLD],
        "2.0": [NEW, SOURCE],
    }
    assert found["releases"]["2.0"] == found["urls"]
    assert found["vulnerabilities"] == []
    [old], [new, _] = found["releases"]["1.0"], found["urls"]
    assert (old["yanked"], old["yanked_reason"], new["yanked"]) == (True, "too old", False)
    assert new["digests"] == {"sha256": hashlib.sha256(NEW_CONTENT).hexdigest()}
    assert new["size"] == len(NEW_CONTENT)
    async with aiohttp.request("GET", new["url"]) as answer:
        assert await answer.read() == NEW_CONTENT


@pytest.mark.parametrize("version", ["1.0", "1", "1.0.0"])
async def test_a_release(start_gateway: StartGateway, faulty_settings: dict[str, str], version: str) -> None:
    found = await told(await start_gateway(faulty_settings), f"/pypi/acme-web/{version}/json")
    info = found["info"]
    assert (info["version"], info["summary"], info["yanked"], info["yanked_reason"]) == ("1.0", "Old", True, "too old")
    assert names(found["urls"]) == [OLD]
    assert "releases" not in found


@pytest.mark.parametrize(
    "target",
    [
        "/pypi/ghost/json",
        "/pypi/ghost/1.0/json",
        "/pypi/acme-web/3.0/json",
        "/pypi/acme-web/one/json",
        "/pypi/%20/json",
    ],
)
async def test_what_is_unknown_is_told_as_json(
    start_gateway: StartGateway, faulty_settings: dict[str, str], target: str
) -> None:
    gateway = await start_gateway(faulty_settings)
    code, body, headers = await ask(gateway, target, {"Accept": "text/html,application/xhtml+xml"})
    assert (code, headers["Content-Type"]) == (404, "application/json")
    assert json.loads(body)["status"] == 404


async def test_no_file_of_a_project_pypi_is_in_its_place(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"cache.memory_bytes": "8MB"})
    assert (await told(gateway, "/pypi/pypi/json"))["info"]["version"] == "1.0"
    for target in (PROJECT, RELEASE, "/pypi/ghost/json"):
        for method in ("GET", "HEAD"):
            for headers in ({}, {"Range": "bytes=0-3"}, {"Cache-Control": "no-cache"}):
                assert SECRET not in (await ask(gateway, target, headers, method))[1], target
    # They are there, as files of that project.
    assert (await ask(gateway, f"/simple{PROJECT}"))[1] == SECRET
    assert await status(gateway, "/pypi/pypi-1.0.tar.gz") == 200
    assert await status(gateway, "/simple/pypi/") == 200


async def test_the_path_is_free_where_no_page_is_generated(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    for mode in ("static", "off", "site"):
        gateway = await start_gateway(faulty_settings | {"index.mode": mode})
        assert (await ask(gateway, PROJECT))[1] == SECRET
        assert await status(gateway, "/pypi/acme-db/json") == 404


async def test_another_spelling_leads_to_the_normalised_one(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings)
    for target, location in (
        ("/pypi/Acme_Web/json", "../../pypi/acme-web/json"),
        ("/pypi/acme.web/1.0/json?a=b", "../../../pypi/acme-web/1.0/json?a=b"),
    ):
        code, _, headers = await ask(gateway, target)
        assert (code, headers["Location"]) == (301, location)
        async with aiohttp.request("GET", gateway.url + target) as answer:
            assert answer.status == 200
            assert answer.url.path == f"/{location.partition('?')[0].replace('../', '')}"
    assert await status(gateway, "/pypi/Ghost/json") == 404


async def test_clients_and_caches_revalidate_it(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"index.refresh": "0"})
    code, body, headers = await ask(gateway, PROJECT)
    etag = headers["ETag"]
    assert (code, headers["Cache-Control"], headers["Vary"]) == (200, "no-cache", "Accept-Encoding")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert (await ask(gateway, PROJECT, {"If-None-Match": etag}))[:2] == (304, b"")
    code, nothing, its = await ask(gateway, PROJECT, method="HEAD")
    assert (code, nothing, its["Content-Length"], its["ETag"]) == (200, b"", str(len(body)), etag)
    _, packed, its = await ask(gateway, PROJECT, {"Accept-Encoding": "gzip"})
    assert its["ETag"] != etag
    assert gzip.decompress(packed) == body
    name, content = wheel("acme_web", "3.0")
    faulty.objects[f"acme-web/{name}"] = content
    code, body, _ = await ask(gateway, PROJECT, {"If-None-Match": etag})
    assert (code, json.loads(body)["info"]["version"]) == (200, "3.0")


async def test_urls_are_those_by_which_the_client_knows_the_gateway(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | {"server.base_path": "/team"})
    for host in ("a.example", "b.example", "a.example"):
        _, body, _ = await ask(gateway, f"/team{PROJECT}", {"Host": host})
        assert json.loads(body)["urls"][0]["url"] == f"http://{host}/team/acme-web/{NEW}"
    public = await start_gateway(faulty_settings | {"server.public_url": "https://packages.example"})
    assert (await told(public))["urls"][0]["url"] == f"https://packages.example/acme-web/{NEW}"


async def test_files_are_uploaded_at_pypi_as_before(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    publish = {"publish.enabled": "true", "access.authenticators": "tests.support.people:People"}
    publish |= {"access.default_write": "user:alice", "access.default_read": "everyone"}
    gateway = await start_gateway(faulty_settings | publish | {"index.refresh": "0"})
    name, content = wheel("acme_web", "4.0")
    headers = basic("alice")
    assert (await upload(f"{gateway.url}/pypi/", name, content, headers=headers))[0] == 200
    assert (await told(gateway))["info"]["version"] == "4.0"
    assert (await ask(gateway, PROJECT, headers, "POST"))[0] == 405


async def test_a_wheel_that_can_not_be_read_tells_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects[f"acme-web/{NEW}"] = b"no zip"
    found = await told(await start_gateway(faulty_settings))
    assert (found["info"]["summary"], found["info"]["name"], names(found["urls"])) == (None, "acme-web", [NEW, SOURCE])


async def test_metadata_that_could_not_be_read_is_read_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    broken = True

    async def now_and_then(answer: Answer) -> None:
        refused = broken and answer.request.path.endswith(NEW) and answer.request.method == "GET"
        await (error(403, "AccessDenied") if refused else healthy)(answer)

    faulty.then(now_and_then, times=1000)
    gateway = await start_gateway(faulty_settings | {"index.compute_hashes": "false", "index.refresh": "3600"})
    assert (await told(gateway))["info"]["summary"] is None
    broken = False
    assert (await told(gateway))["info"]["summary"] == "New"
    asked = len(faulty.requests)
    assert (await told(gateway))["info"]["summary"] == "New"
    assert len(faulty.requests) == asked


async def test_the_document_does_not_wait_for_metadata_that_does_not_come(
    start_gateway: StartGateway,
    faulty_settings: dict[str, str],
    public: PublicIndex,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(metadata, "_SECONDS", 0.05)
    public.hold = asyncio.Event()  # of files
    gateway = await start_gateway(faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": public.url})
    with caplog.at_level("INFO", "gateway.index"):
        found = await told(gateway, "/pypi/public-lib/1.0/json")
    assert (found["info"]["home_page"], len(found["urls"])) == ("", 1)
    assert "can't be read now: no answer within 0.05 s" in caplog.text
    public.hold.set()
    public.hold = None
    monkeypatch.setattr(metadata, "_SECONDS", 10.0)
    assert (await told(gateway, "/pypi/public-lib/1.0/json"))["info"]["home_page"] == "https://p.example/"


async def test_a_project_in_quarantine_offers_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects[".gateway/status.json"] = Statuses({"acme-web": ProjectStatus("quarantined", "x")}).encode()
    gateway = await start_gateway(faulty_settings | {"publish.status": "true"})
    for target in (PROJECT, RELEASE):
        assert await status(gateway, target) == 404


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    file, content = wheel("public_lib", "1.0")
    index.projects = {"public-lib": {file: content, "public_lib-0.9.tar.gz": b"old"}}
    index.metadata = {file: b"Metadata-Version: 2.1\nName: Public_Lib\nVersion: 1.0\nHome-page: https://p.example/\n"}
    async with index.running():
        yield index


@pytest.mark.parametrize("mode", ["cache", "mirror"])
async def test_a_project_of_the_other_index(
    start_gateway: StartGateway, faulty_settings: dict[str, str], public: PublicIndex, mode: str
) -> None:
    gateway = await start_gateway(faulty_settings | {"fallback.mode": mode, "fallback.base_url": public.url})
    found = await told(gateway, "/pypi/public-lib/json")
    assert (found["info"]["name"], found["info"]["home_page"]) == ("Public_Lib", "https://p.example/")
    assert [*found["releases"]] == ["0.9", "1.0"]
    [file] = found["urls"]
    assert file["url"] == f"{gateway.url}/public-lib/public_lib-1.0-py3-none-any.whl"
    assert (file["upload_time"], file["requires_python"]) == ("2024-01-02T03:04:05", ">=3.8")
    old = await told(gateway, "/pypi/public-lib/0.9/json")
    assert (old["info"]["home_page"], names(old["urls"])) == ("", ["public_lib-0.9.tar.gz"])
    assert await status(gateway, "/pypi/absent/json") == 404
    assert public.asked("/simple/acme-web") == 0


async def test_where_clients_are_sent_to_the_other_index(
    start_gateway: StartGateway, faulty_settings: dict[str, str], public: PublicIndex
) -> None:
    redirect = faulty_settings | {"fallback.mode": "redirect"}
    gateway = await start_gateway(redirect | {"fallback.base_url": public.url})
    code, _, headers = await ask(gateway, "/pypi/Public_Lib/1.0/json")
    there = public.url.removesuffix("simple/")
    assert (code, headers["Location"]) == (302, f"{there}pypi/public-lib/1.0/json")
    assert headers["Cache-Control"] == "no-store"
    assert (await told(gateway))["info"]["version"] == "2.0"
    odd = await start_gateway(redirect | {"fallback.base_url": f"{there}index/"})
    assert await status(odd, "/pypi/public-lib/json") == 404


class Known:
    """A FactSource that knows advisories."""

    name = "advisories"
    heeds_names = False

    def __init__(self) -> None:
        self.advisories: tuple[Advisory, ...] | None = None
        self.loads = 0

    def state(self) -> Mapping[str, object]:
        return {}

    def version(self, _: str) -> Hashable:
        return self.loads

    async def about(self, page: Project, read: float, name: str | None = None) -> Mapping[str, Any]:
        return {"advisories": self.advisories}

    async def about_kept(self, _: str) -> Mapping[str, Any]:
        return {"advisories": self.advisories}

    async def start(self) -> None:
        """Nothing."""

    settle = close = start


async def with_advisories(start_gateway: StartGateway, settings: dict[str, str], rules: str) -> tuple[Gateway, Known]:
    gateway, known = await start_gateway(settings | {"policy.rules": rules}), Known()
    assert gateway.mount.fallback is not None
    screen = gateway.mount.fallback.upstream.screen
    assert screen is not None
    screen._sources = [*screen._sources, known]
    return gateway, known


async def test_vulnerabilities_are_what_the_policy_knows(
    start_gateway: StartGateway, faulty_settings: dict[str, str], public: PublicIndex
) -> None:
    settings = faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": public.url}
    rules = "[{projects: ['no-such'], verdict: deny}]"
    gateway, known = await with_advisories(start_gateway, settings, rules)
    target = "/pypi/public-lib/0.9/json"
    code, body, headers = await ask(gateway, target)
    assert (code, headers["Content-Type"]) == (503, "application/json")
    assert b"advisories" in body
    assert await status(gateway, PROJECT) == 200  # they are not about our own projects
    fixed = (VersionRange(None, Version("1.0")),)
    known.advisories, known.loads = (Advisory("PYSEC-1", "Bad", ("CVE-1",), ranges=fixed),), 1
    assert (await told(gateway, target))["vulnerabilities"][0]["id"] == "PYSEC-1"
    assert (await told(gateway, "/pypi/public-lib/json"))["vulnerabilities"] == []
    known.advisories, known.loads = (), 2
    assert (await told(gateway, target))["vulnerabilities"] == []


async def test_what_the_policy_withholds_is_not_told(
    start_gateway: StartGateway, faulty_settings: dict[str, str], public: PublicIndex
) -> None:
    """But that a version has an advisory is: it may have been installed before."""
    settings = faulty_settings | {"fallback.mode": "mirror", "fallback.base_url": public.url}
    rules = "[{projects: ['public-lib'], versions: '<1', verdict: deny}]"
    gateway, known = await with_advisories(start_gateway, settings, rules)
    known.advisories = (Advisory("MAL-1", "Bad", versions=frozenset({Version("0.9")})),)
    found = await told(gateway, "/pypi/public-lib/json")
    assert [*found["releases"]] == ["1.0"]
    assert "0.9" not in json.dumps(found)
    held = await told(gateway, "/pypi/public-lib/0.9/json")
    assert (held["urls"], held["info"]["summary"]) == ([], None)
    assert [one["id"] for one in held["vulnerabilities"]] == ["MAL-1"]
    assert "public_lib-0.9" not in json.dumps(held)
    everything = await start_gateway(settings | {"policy.rules": "[{projects: ['*'], verdict: hold}]"})
    assert await status(everything, "/pypi/public-lib/json") == 404
    assert (await told(everything, "/pypi/public-lib/1.0/json"))["urls"] == []
    assert public.asked(".metadata") == 1  # of what is let in


async def test_our_own_files_are_held_where_they_are_not_trusted(
    start_gateway: StartGateway, faulty_settings: dict[str, str]
) -> None:
    policy = {
        "index.mode": "generated",
        "policy.untrusted": "true",
        "policy.rules": "[{kinds: [sdist], verdict: deny}]",
    }
    found = await told(await start_gateway(faulty_settings | policy))
    assert names(found["urls"]) == [NEW]


async def test_each_member_of_a_virtual_index_has_its_own(start_gateway: StartGateway, tmp_path: Path) -> None:
    for member, project in (("a", "shared"), ("b", "shared"), ("b", "of_b")):
        name, content = wheel(project, "1.0" if member == "a" else "2.0")
        (tmp_path / member / project).mkdir(parents=True)
        (tmp_path / member / project / name).write_bytes(content)
    (tmp_path / "config.yaml").write_text(
        f"storage: {{dir: {tmp_path}/a}}\nmounts:\n- {{name: b, path: /b, storage: {{dir: {tmp_path}/b}}}}\n"
        "- {name: all, path: /all, members: [default, b]}\n"
    )
    gateway = await start_gateway({})
    assert [*(await told(gateway, "/all/pypi/shared/json"))["releases"]] == ["1.0"]
    found = await told(gateway, "/all/pypi/of-b/json")
    assert found["urls"][0]["url"] == f"{gateway.url}/all/of_b/of_b-2.0-py3-none-any.whl"
    async with aiohttp.request("GET", found["urls"][0]["url"]) as answer:
        assert answer.status == 200
    assert await status(gateway, "/all/pypi/shared/2.0/json") == 404
    code, _, headers = await ask(gateway, "/all/pypi/ghost/json")
    assert (code, headers["Content-Type"]) == (404, "application/json")
    code, _, headers = await ask(gateway, "/all/pypi/Of_B/json")
    assert (code, headers["Location"]) == (301, "../../pypi/of-b/json")
