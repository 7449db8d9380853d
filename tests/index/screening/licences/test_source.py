"""Rules with licences, through a gateway."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from gateway.app import Gateway
from gateway.index.screening.licences.lookup import Documents
from gateway.index.screening.licences.source import LicenceSource
from gateway.index.screening.screened_index import ScreenedIndex
from gateway.policy.known_licences import from_bytes
from tests.conftest import StartGateway
from tests.index.screening.test_screen import get, page
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.publicindex import PublicIndex
from tests.support.wheels import sdist, wheel

RULE = "{projects: [public-lib], licences: [GPL-*], verdict: deny, reason: no copyleft}"
LICENCES = {"1.0": "MIT", "2.0": "GPL-3.0-only", "3.0": "MIT OR GPL-3.0-only"}
WHEELS = {version: wheel("public_lib", version) for version in LICENCES}
OLD, GPL, NEW = (name for name, _ in WHEELS.values())
SDIST = sdist("public_lib", "3.0")
SAVED = ".gateway/licences/public-lib.json"


def metadata(version: str, licence: str) -> bytes:
    return f"Metadata-Version: 2.4\nName: public-lib\nVersion: {version}\nLicense-Expression: {licence}\n".encode()


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": dict([*WHEELS.values(), SDIST])}
    index.metadata = {WHEELS[version][0]: metadata(version, licence) for version, licence in LICENCES.items()}
    async with index.running():
        yield index


@pytest.fixture
def settings(public: PublicIndex, faulty_settings: dict[str, str], faulty: FaultyBucket) -> dict[str, str]:
    faulty.objects = {"ours/ours-1.0-py3-none-any.whl": wheel("ours", "1.0")[1]}
    mirror = {"fallback.base_url": public.url, "fallback.mode": "mirror", "index.refresh": "0"}
    return faulty_settings | mirror | {"policy.rules": f"[{RULE}]"}


class AllButOne:
    """The documents of another index, which never answers for the oldest release."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    async def read(self, url: str, limit: int) -> bytes:
        if OLD in url:
            await asyncio.Event().wait()
        return await self._documents.read(url, limit)


def source_of(gateway: Gateway) -> LicenceSource:
    assert gateway.mount.fallback is not None
    index = gateway.mount.fallback.upstream
    assert isinstance(index, ScreenedIndex)
    source = index.screen.source(LicenceSource)
    assert source is not None
    return source


async def names(gateway: Gateway) -> list[str]:
    return sorted(file["filename"] for file in (await page(gateway))["files"])


async def test_licences_decide(start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex) -> None:
    gateway = await start_gateway(settings)
    for _ in range(2):
        assert await names(gateway) == [OLD, NEW]
    told = (await page(gateway))["_policy"]
    assert told[GPL] == {"verdict": "deny", "reason": "no copyleft"}
    assert told[SDIST[0]]["verdict"] == "hold"
    assert "not known yet whether policy.rules[1] applies" in told[SDIST[0]]["reason"]
    assert (await get(gateway, f"/public-lib/{GPL}")).status == 403
    assert (await get(gateway, f"/public-lib/{NEW}")).status == 200
    assert public.asked(".metadata") == 3


@pytest.mark.parametrize("turned", [False, True])
async def test_a_file_has_not_the_licence_of_another_one_of_its_name(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, *, turned: bool
) -> None:
    files = json.loads(public._json("public-lib", public.projects["public-lib"]))["files"]
    right = next(file for file in files if file["filename"] == NEW)
    others = [right | {"core-metadata": False}, right | {"core-metadata": {"sha256": "ab" * 32}}]
    for other in others:
        public.page = {"files": [files[0], *((right, other) if turned else (other, right))]}
        gateway = await start_gateway(settings)
        assert await names(gateway) == [OLD]
        assert (await get(gateway, f"/public-lib/{NEW}")).status == 403
    public.page = {"files": [*files[:1], right, right]}
    assert await names(await start_gateway(settings)) == [OLD, NEW, NEW]


async def test_what_was_found_is_saved(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    one = await start_gateway(settings)
    await names(one)
    await faulty.until(lambda: SAVED in faulty.objects)
    saved = from_bytes(faulty.objects[SAVED])
    assert saved is not None
    assert sorted(saved.found.values()) == sorted(LICENCES.values())
    asked = public.asked(".metadata")
    assert await names(await start_gateway(settings)) == [OLD, NEW]
    assert public.asked(".metadata") == asked
    faulty.of_key[SAVED] = error(500, "InternalError")
    assert await names(await start_gateway(settings | {"storage.max_attempts": "1"})) == [OLD, NEW]
    assert public.asked(".metadata") == 2 * asked


async def test_metadata_that_several_files_have_is_read_once(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    other = "public_lib-1.0-cp311-none-any.whl"
    public.projects["public-lib"][other] = b"other"
    public.metadata[other] = public.metadata[OLD]
    gateway = await start_gateway(settings)
    assert await names(gateway) == sorted([other, OLD, NEW])
    assert public.asked(".metadata") == 3


async def test_a_project_that_no_rule_is_about_is_not_looked_at(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    gateway = await start_gateway(settings | {"policy.rules": f"[{RULE.replace('public-lib', 'other')}]"})
    assert len(await names(gateway)) == 4
    assert public.asked(".metadata") == 0
    version = source_of(gateway).version("public-lib")
    assert version == source_of(gateway).version("public-lib"), "what was decided stands"


@pytest.mark.parametrize("fault", ["absent", "corrupt", "long", "unusable"])
async def test_what_can_t_be_read_is_held_and_tried_again(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket, fault: str
) -> None:
    good = public.metadata[NEW]
    if fault == "absent":
        del public.metadata[NEW]
        public.fields[NEW] = {"core-metadata": True}
    elif fault == "corrupt":
        public.corrupt.add(f"{NEW}.metadata")
    elif fault == "long":
        public.metadata[NEW] = good + b"x" * (1024 * 1024)
    else:
        public.metadata[NEW] = metadata("3.0", "MIT OR " * 1000 + "MIT")
    gateway = await start_gateway(settings)
    source, now = source_of(gateway), [0.0]
    source.clock = lambda: now[0]
    asked = f"{NEW}.metadata"
    for _ in range(2):
        assert await names(gateway) == [OLD]
        assert (await get(gateway, f"/public-lib/{NEW}")).status == 403
    tries = public.asked(asked)
    public.metadata[NEW] = good
    public.corrupt.clear()
    assert await names(gateway) == ([OLD] if fault in ("absent", "corrupt") else [OLD, NEW])  # others have a new hash
    now[0] += 60
    assert await names(gateway) == [OLD, NEW]
    assert public.asked(asked) == tries + 1
    await source.close()
    saved = from_bytes(faulty.objects[SAVED])
    assert saved is not None
    assert sorted(saved.found.values()) == sorted(LICENCES.values())


@pytest.mark.parametrize("text", [b"<!DOCTYPE html>\n<title>Log in</title>", b"", b"Name: other\nLicense: MIT\n"])
async def test_what_is_no_metadata_of_the_project_is_not_known(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, text: bytes
) -> None:
    public.fields[GPL] = {"core-metadata": True}
    public.metadata[GPL] = text
    gateway = await start_gateway(settings)
    assert await names(gateway) == [OLD, NEW]
    assert (await page(gateway))["_policy"][GPL]["verdict"] == "hold"


async def test_packed_metadata_that_nobody_asked_for_is_not_known(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    """It would say nothing of a licence."""
    public.fields[GPL] = {"core-metadata": True}
    public.packed.add(f"{GPL}.metadata")
    gateway = await start_gateway(settings)
    assert await names(gateway) == [OLD, NEW]
    assert (await page(gateway))["_policy"][GPL]["verdict"] == "hold"
    assert (await get(gateway, f"/public-lib/{GPL}")).status == 403


async def test_it_is_tried_again_although_another_file_is_gone_that_could_not_be_read(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex
) -> None:
    gateway = await start_gateway(settings)
    source, now = source_of(gateway), [0.0]
    source.clock = lambda: now[0]
    public.faulty = {f"{OLD}.metadata": 404, f"{NEW}.metadata": 404}
    gone = public.projects["public-lib"].pop(NEW)
    assert await names(gateway) == []
    del public.projects["public-lib"][OLD]
    public.projects["public-lib"][NEW] = gone
    now[0] = 30.0
    for now[0] in (30.0, 60.0, 61.0):
        assert await names(gateway) == []
    public.faulty.clear()
    now[0] = 90.0
    assert await names(gateway) == [NEW]


async def test_a_page_does_not_wait_for_a_slow_index(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    source = source_of(gateway)
    source._patience = 0.05
    public.hold = asyncio.Event()
    assert await names(gateway) == []
    await eventually(lambda: public.sending == 3)
    assert source.version("public-lib") != source.version("public-lib"), "the next one waits, too"
    shown = await get(gateway, "/-/policy", accept="application/json")
    assert b'"files whose metadata is being read": 3' in shown.body
    public.hold.set()
    await faulty.until(lambda: SAVED in faulty.objects)
    assert await names(gateway) == [OLD, NEW]
    assert public.asked(".metadata") == 3


async def test_no_more_files_wait_than_there_is_memory_for(
    start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others are looked at when somebody asks again, or at once if somebody asks for the file itself."""
    monkeypatch.setattr("gateway.index.screening.search._MOST_WAITING", 1)
    monkeypatch.setattr("gateway.index.screening.search._FEW", 1)
    gateway = await start_gateway(settings)
    source = source_of(gateway)
    source._patience, public.hold = 0.05, asyncio.Event()
    assert await names(gateway) == []
    assert source.state() == {"files whose metadata is being read": 1}
    assert (await get(gateway, f"/public-lib/{OLD}")).status == 403
    assert source.state() == {"files whose metadata is being read": 2}
    public.hold.set()
    await eventually(lambda: not source.state())
    source._patience = 20.0
    await names(gateway)
    assert await names(gateway) == [OLD, NEW]
    assert public.asked(".metadata") == 3


async def test_too_many_projects_at_once_are_busy(
    start_gateway: StartGateway, settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(settings)
    monkeypatch.setattr("gateway.index.screening.licences.source._MOST_SEARCHES", 0)
    assert (await get(gateway, "/simple/public-lib/")).status == 503
    monkeypatch.undo()
    assert await names(gateway) == [OLD, NEW]


async def test_what_was_found_before_the_end_is_saved(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    source = source_of(gateway)
    source._patience, source._documents = 0.05, AllButOne(source._documents)
    await names(gateway)
    [(search, _)] = source._searches.values()
    await eventually(lambda: len(search.found) == 2)
    assert await names(gateway) == [NEW]
    await source.close()
    saved = from_bytes(faulty.objects[SAVED])
    assert saved is not None
    assert sorted(saved.found.values()) == [LICENCES["2.0"], LICENCES["3.0"]]
