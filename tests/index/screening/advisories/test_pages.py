"""What advisories do to the pages and files of another index, through the gateway."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.index.screening.advisories.advisories import Advisories
from gateway.index.screening.screened_index import ScreenedIndex
from tests.conftest import StartGateway
from tests.support.advisories import AdvisoryServer, archive, flaw, malware
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import JSON, PublicIndex
from tests.support.reloadable import Reloadable
from tests.support.wheels import wheel

HTML = "application/vnd.pypi.simple.v1+html"
GOOD, GOOD_CONTENT = wheel("public_lib", "1.0")
BAD, BAD_CONTENT = wheel("public_lib", "2.0")
MALWARE = malware("Public_Lib", "2.0")
TEXT = f"{BAD} is denied: MAL-2026-1 says that it is malware: Malicious code in Public_Lib (PyPI)"


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": {GOOD: GOOD_CONTENT, BAD: BAD_CONTENT}}
    index.metadata = {BAD: b"Metadata-Version: 2.1\nName: public-lib\nVersion: 2.0\n"}
    async with index.running():
        yield index


@pytest.fixture
async def server() -> AsyncIterator[AdvisoryServer]:
    async with AdvisoryServer(archive(MALWARE)).running() as server:
        yield server


@pytest.fixture
def settings(
    public: PublicIndex, server: AdvisoryServer, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> dict[str, str]:
    faulty.objects = {"ours/ours-1.0-py3-none-any.whl": b"x"}
    mirror = {"fallback.base_url": public.url, "fallback.mode": "mirror", "index.refresh": "0"}
    return faulty_settings | mirror | {"policy.advisories": f"{{source: '{server.url}'}}"}


def advisories_of(gateway: Gateway) -> Advisories:
    assert gateway.mount.fallback is not None
    index = gateway.mount.fallback.upstream
    assert isinstance(index, ScreenedIndex)
    found = index.screen.source(Advisories)
    assert found is not None
    return found


async def loaded(gateway: Gateway) -> Gateway:
    await eventually(lambda: advisories_of(gateway).stats().advisories is not None)
    return gateway


async def get(gateway: Gateway, target: str, accept: str = "*/*") -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, headers={"Accept": accept})


async def shown(gateway: Gateway) -> list[str]:
    """The files on the page, as JSON and as HTML."""
    found = json.loads((await get(gateway, "/simple/public-lib/", JSON)).body)
    html = (await get(gateway, "/simple/public-lib/", HTML)).body.decode()
    names = sorted(file["filename"] for file in found["files"])
    assert [name for name in (GOOD, BAD) if f">{name}</a>" in html] == names
    return names


async def test_malware_is_on_no_page_and_is_refused(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    gateway = await loaded(await start_gateway(settings))
    assert await shown(gateway) == [GOOD]
    for target in (f"/public-lib/{BAD}", f"/simple/public-lib/{BAD}", f"/public-lib/{BAD}.metadata"):
        answer = await get(gateway, target)
        assert answer.status == 403
        assert TEXT in answer.body.decode()
    assert (await get(gateway, f"/public-lib/{GOOD}")).body == GOOD_CONTENT


async def test_a_project_that_is_all_malware_is_quarantined(
    start_gateway: StartGateway, settings: dict[str, str], server: AdvisoryServer
) -> None:
    server.content = archive(flaw("public-lib", ("introduced", "0")) | {"id": "MAL-2026-9"})
    gateway = await loaded(await start_gateway(settings))
    assert await shown(gateway) == []
    page = json.loads((await get(gateway, "/simple/public-lib/", JSON)).body)
    reason = "MAL-2026-9 says that it is malware: A flaw in public-lib"
    assert page["project-status"] == {"status": "quarantined", "reason": reason}
    html = (await get(gateway, "/simple/public-lib/", HTML)).body.decode()
    assert '<meta name="pypi:project-status" content="quarantined">' in html
    assert f'<meta name="pypi:project-status-reason" content="{reason}">' in html


async def test_of_vulnerabilities_the_gateway_warns(
    start_gateway: StartGateway, settings: dict[str, str], server: AdvisoryServer
) -> None:
    server.content = archive(flaw("public-lib", ("introduced", "2.0"), severity="HIGH"))
    gateway = await loaded(await start_gateway(settings))
    assert await shown(gateway) == [GOOD, BAD]
    assert (await get(gateway, f"/public-lib/{BAD}")).body == BAD_CONTENT
    for severity, expected in (("high", [GOOD]), ("critical", [GOOD, BAD])):
        source = f"{{source: '{server.url}', vulnerabilities: hold, severity: {severity}}}"
        other = await loaded(await start_gateway(settings | {"policy.advisories": source}))
        assert await shown(other) == expected
        assert (await get(other, f"/public-lib/{BAD}")).status == (200 if BAD in expected else 403)


@pytest.mark.parametrize("if_unknown", ["allow", "hold"])
async def test_while_no_advisories_are_known(
    start_gateway: StartGateway, settings: dict[str, str], server: AdvisoryServer, if_unknown: str
) -> None:
    server.status = 503
    source = f"{{source: '{server.url}', if_unknown: {if_unknown}}}"
    gateway = await start_gateway(settings | {"policy.advisories": source})
    assert await shown(gateway) == ([GOOD, BAD] if if_unknown == "allow" else [])
    answer = await get(gateway, f"/public-lib/{GOOD}")
    assert answer.status == (200 if if_unknown == "allow" else 403)
    assert (b"which advisories there are is not known now" in answer.body) is (if_unknown == "hold")
    server.status = 200
    await advisories_of(gateway).look()
    assert await shown(gateway) == [GOOD]


@pytest.mark.parametrize("lost", ["page", "file", "index"])
async def test_a_copy_of_what_turns_out_to_be_malware(
    start_gateway: StartGateway,
    settings: dict[str, str],
    server: AdvisoryServer,
    public: PublicIndex,
    faulty: FaultyBucket,
    lost: str,
) -> None:
    """Its index removes it, so that no page lists it any more."""
    server.content = archive(malware("other", "1"))
    gateway = await loaded(await start_gateway(settings))
    for name in (GOOD, BAD):
        assert (await get(gateway, f"/public-lib/{name}")).status == 200
        await faulty.until(lambda name=name: f".mirror/public-lib/{name}" in faulty.objects)  # type: ignore[misc]
    if lost == "page":
        public.projects = {}
    elif lost == "file":
        public.projects["public-lib"] = {"public_lib-0.1.tar.gz": b"x"}
    else:
        public.down = True
    server.content = archive(MALWARE)
    later = {"policy.advisories": f"{{source: '{server.url}?later'}}"}  # the first gateway's are still fresh
    after = await loaded(await start_gateway(settings | later))
    answer = await get(after, f"/public-lib/{BAD}")
    assert answer.status == 403
    assert TEXT in answer.body.decode()
    assert (await get(after, f"/public-lib/{GOOD}")).body == GOOD_CONTENT


async def test_a_release_that_fixes_a_flaw_need_not_wait(
    start_gateway: StartGateway, settings: dict[str, str], server: AdvisoryServer, public: PublicIndex
) -> None:
    public.form = "html"  # which tells no times: all files are new
    server.content = archive(flaw("public-lib", ("introduced", "0"), ("fixed", "2.0")))
    gateway = await loaded(await start_gateway(settings | {"policy.min_age": "7d"}))
    assert await shown(gateway) == [BAD]


async def test_a_file_instead_of_a_server(
    start_gateway: StartGateway, settings: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "all.zip").write_bytes(archive(MALWARE))
    cache = {"cache.dir": str(tmp_path / "cache")}
    gateway = await loaded(await start_gateway(settings | cache | {"policy.advisories": f"source: {tmp_path}/all.zip"}))
    assert await shown(gateway) == [GOOD]
    assert {file.suffix for file in (tmp_path / "cache" / "advisories").iterdir()} == {".sqlite", ".lock"}


async def test_a_reload_keeps_what_is_known_and_leaves_nothing_behind(
    reloadable: Reloadable, server: AdvisoryServer, public: PublicIndex, tmp_path: Path
) -> None:
    (tmp_path / "packages" / "ours").mkdir(parents=True)
    (tmp_path / "packages" / "ours" / "ours-1.0.tar.gz").write_bytes(b"x")
    sections = {
        "storage": {"dir": str(tmp_path / "packages")},
        "index": {"refresh": 0},
        "fallback": {"mode": "mirror", "base_url": public.url},
    }
    policy = {"advisories": {"source": server.url, "if_unknown": "hold"}}
    reloadable.write(**sections, policy=policy)
    await reloadable.start()
    first = advisories_of(await loaded(reloadable.gateway))
    reloadable.write(**sections, policy=policy | {"min_age": "7d"})
    assert (await reloadable.reload())[0] == 200
    second = advisories_of(reloadable.gateway)
    assert second is not first
    assert second.stats().advisories == 1
    assert await shown(reloadable.gateway) == [GOOD]
    await reloadable.settled()
    assert first._task is not None
    assert first._task.done()
    reloadable.write(**sections)
    assert (await reloadable.reload())[0] == 200
    await reloadable.settled()
    assert second._task is not None
    assert second._task.done()
    assert await shown(reloadable.gateway) == [GOOD, BAD]
    assert len(server.conditions) == 1
