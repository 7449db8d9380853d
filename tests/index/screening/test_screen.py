"""What the policy withholds, through the gateway: pages, files, metadata, and copies that are kept."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.index.mirror.upstream_index import UpstreamIndex
from gateway.index.screening.screened_index import ScreenedIndex
from gateway.index.screening.seen_records import SeenRecords
from gateway.index.simple.pages import Project
from tests.access.test_gate import basic
from tests.conftest import StartGateway
from tests.support.faults import FaultyBucket
from tests.support.http import RawAnswer, fetch
from tests.support.publicindex import JSON, PublicIndex
from tests.support.wheels import sboms_wheel, wheel

NOW = 1_800_000_000.0
DAY = 86400.0
HTML = "application/vnd.pypi.simple.v1+html"
SBOM = b'{"bomFormat": "CycloneDX"}'
NAME, CONTENT = sboms_wheel("public_lib", "2.0", {"a.cdx.json": SBOM})
OLD, OLD_CONTENT = wheel("public_lib", "1.0")
FILE = f"/public-lib/{NAME}"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def time(days: float) -> str:
    return datetime.fromtimestamp(NOW + days * DAY, UTC).isoformat()


@pytest.fixture
async def public() -> AsyncIterator[PublicIndex]:
    index = PublicIndex()
    index.projects = {"public-lib": {NAME: CONTENT, OLD: OLD_CONTENT}}
    index.metadata = {NAME: b"Metadata-Version: 2.1\nName: public-lib\nVersion: 2.0\n"}
    index.fields = {NAME: {"upload-time": time(-2)}, OLD: {"upload-time": time(-400)}}
    async with index.running():
        yield index


@pytest.fixture
def settings(public: PublicIndex, faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {"ours/ours-1.0-py3-none-any.whl": wheel("ours", "1.0")[1]}
    mirror = {"fallback.base_url": public.url, "fallback.mode": "mirror", "index.refresh": "0"}
    return faulty_settings | mirror | {"policy.min_age": "7d"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def started(start_gateway: StartGateway, settings: dict[str, str], clock: Clock) -> Gateway:
    gateway = await start_gateway(settings)
    assert gateway.mount.fallback is not None
    if isinstance(index := gateway.mount.fallback.upstream, ScreenedIndex):
        index.screen.clock = clock
    return gateway


async def get(gateway: Gateway, target: str, method: str = "GET", accept: str = "*/*") -> RawAnswer:
    return await fetch(int(gateway.url.rpartition(":")[2]), target, method=method, headers={"Accept": accept})


async def page(gateway: Gateway) -> Any:
    answer = await get(gateway, "/simple/public-lib/", accept=JSON)
    assert answer.status == 200, answer.body
    return json.loads(answer.body)


async def shown(gateway: Gateway) -> list[str]:
    """The files on the page, as JSON and as HTML."""
    found = await page(gateway)
    html = (await get(gateway, "/simple/public-lib/", accept=HTML)).body.decode()
    names = [file["filename"] for file in found["files"]]
    assert [name for name in (NAME, OLD) if f">{name}</a>" in html] == [name for name in (NAME, OLD) if name in names]
    return sorted(names)


def seen_key(url: str) -> str:
    """Where it is remembered which files the index with this URL had."""
    return f".gateway/seen/{url.partition('://')[2].strip('/').replace('/', '_')}/public-lib.json"


async def test_a_young_file_is_held_until_its_day(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock
) -> None:
    gateway = await started(start_gateway, settings, clock)
    assert (await page(gateway))["versions"] == ["1.0"]
    assert await shown(gateway) == [OLD]
    for target in (FILE, f"/simple{FILE}", f"{FILE}.metadata", f"{FILE}.sboms/", f"{FILE}.sboms/a.cdx.json"):
        answer = await get(gateway, target)
        assert answer.status == 403
        assert "is held until 2027-01-20 08:00 UTC: it has not been out for 7 days yet" in answer.body.decode()
        phrase = "HTTP/1.1 403 Held until 2027-01-20 08:00 UTC: it has not been out for 7 days yet"
        assert answer.head.decode().partition("\r\n")[0] == phrase
        assert (await get(gateway, target, "HEAD")).status == 403
    assert (await get(gateway, f"/public-lib/{OLD}")).body == OLD_CONTENT
    clock.now += 5 * DAY
    assert await shown(gateway) == [OLD, NAME]
    assert (await page(gateway))["versions"] == ["1.0"]  # as the other index has it
    assert (await get(gateway, FILE)).body == CONTENT
    assert (await get(gateway, f"{FILE}.metadata")).status == 200


async def test_a_refusal_as_json(start_gateway: StartGateway, settings: dict[str, str], clock: Clock) -> None:
    gateway = await started(start_gateway, settings, clock)
    answer = json.loads((await get(gateway, FILE, accept="application/json")).body)
    del answer["request_id"]
    assert answer == {
        "status": 403,
        "error": f"{NAME} is held until 2027-01-20 08:00 UTC: it has not been out for 7 days yet",
        "verdict": "hold",
        "reason": "it has not been out for 7 days yet",
        "by": "policy.min_age",
        "opens": "2027-01-20 08:00 UTC",
    }


async def test_our_own_projects_are_exempt(start_gateway: StartGateway, settings: dict[str, str], clock: Clock) -> None:
    rules = "[{projects: ['*'], verdict: deny}]"
    gateway = await started(start_gateway, settings | {"policy.rules": rules}, clock)
    assert (await get(gateway, "/ours/ours-1.0-py3-none-any.whl")).status == 200
    assert await shown(gateway) == []


async def test_a_copy_that_was_kept_before_the_rule(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, faulty: FaultyBucket
) -> None:
    before = await started(start_gateway, settings | {"policy.min_age": "0"}, clock)
    assert before.mount.fallback is not None
    assert isinstance(before.mount.fallback.upstream, UpstreamIndex)
    assert (await get(before, FILE)).body == CONTENT
    await faulty.until(lambda: f".mirror{FILE}" in faulty.objects)
    after = await started(start_gateway, settings, clock)
    assert (await get(after, FILE)).status == 403
    assert (await get(after, f"/.mirror{FILE}")).status == 404


@pytest.mark.parametrize("lost", ["page", "file", "index"])
async def test_a_copy_whose_page_is_lost_is_judged_by_itself(
    start_gateway: StartGateway,
    settings: dict[str, str],
    clock: Clock,
    faulty: FaultyBucket,
    public: PublicIndex,
    lost: str,
) -> None:
    before = await started(start_gateway, settings | {"policy.min_age": "0"}, clock)
    for name in (NAME, OLD):
        assert (await get(before, f"/public-lib/{name}")).status == 200
        await faulty.until(lambda name=name: f".mirror/public-lib/{name}" in faulty.objects)  # type: ignore[misc]
    if lost == "page":
        public.projects = {}
    elif lost == "file":
        public.projects["public-lib"] = {"public_lib-0.1.tar.gz": b"x"}
    else:
        public.down = True
    after = await started(start_gateway, settings, clock)
    assert (await get(after, f"/public-lib/{OLD}")).body == OLD_CONTENT
    assert (await get(after, FILE)).status == 403


async def test_a_page_is_judged_once_for_all_who_ask_meanwhile(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await started(start_gateway, settings | {"index.refresh": "60"}, clock)
    assert gateway.mount.fallback is not None
    screen = gateway.mount.fallback.upstream.screen
    records = screen.source(SeenRecords) if screen is not None else None
    assert records is not None
    asked, go_on, known = 0, asyncio.Event(), records.about

    async def about(page: Project, read: float, name: str | None) -> Mapping[str, Any]:
        nonlocal asked
        asked += 1
        await go_on.wait()
        return await known(page, read, name)

    monkeypatch.setattr(records, "about", about)
    pages = [asyncio.ensure_future(gateway.mount.fallback.upstream.project("public-lib")) for _ in range(9)]
    while not asked:
        done, _ = await asyncio.wait(pages, timeout=0.01)
        assert not done
    go_on.set()
    found = await asyncio.gather(*pages)
    assert asked == 1
    assert len({id(one.value) for one in found}) == 1


async def test_a_clock_that_is_set_back(start_gateway: StartGateway, settings: dict[str, str], clock: Clock) -> None:
    gateway = await started(start_gateway, settings, clock)
    clock.now += 5 * DAY
    assert await shown(gateway) == [OLD, NAME]
    clock.now -= 5 * DAY
    assert await shown(gateway) == [OLD]
    assert (await get(gateway, FILE)).status == 403


BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
HELD = f"{NAME} is held until 2027-01-20 08:00 UTC: it has not been out for 7 days yet"


async def test_pages_say_what_is_withheld_and_warned_of(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock
) -> None:
    rules = "[{projects: [public-lib], versions: ==1.0, verdict: warn, reason: <old>}]"
    gateway = await started(start_gateway, settings | {"policy.rules": rules}, clock)
    assert (await page(gateway))["_policy"] == {
        NAME: {"verdict": "hold", "reason": "it has not been out for 7 days yet"},
        OLD: {"verdict": "warn", "reason": "<old>"},
    }
    html = (await get(gateway, "/simple/public-lib/", accept=HTML)).body.decode()
    assert f"<p>{HELD}</p>" in html
    people = (await get(gateway, "/public-lib/", accept=BROWSER)).body.decode()
    assert "Withheld by the policy" in people
    assert HELD.partition(" ")[2] in people
    assert "&lt;old&gt;" in people
    assert "<old>" not in people + html


async def test_a_page_whose_files_are_all_held_says_so(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    public.projects["public-lib"] = {NAME: CONTENT}
    gateway = await started(start_gateway, settings, clock)
    found = await page(gateway)
    assert (found["files"], found["versions"], "project-status" in found) == ([], [], False)
    assert NAME in found["_policy"]
    assert HELD in (await get(gateway, "/simple/public-lib/", accept=HTML)).body.decode()
    assert "No files that may come in." in (await get(gateway, "/public-lib/", accept=BROWSER)).body.decode()


async def test_what_is_withheld_is_told_beside_files_of_ours(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, faulty: FaultyBucket
) -> None:
    faulty.objects["public-lib/public_lib-0.1.tar.gz"] = b"ours"
    gateway = await started(start_gateway, settings | {"fallback.always_show_upstream": "true"}, clock)
    found = await page(gateway)
    assert [file["filename"] for file in found["files"]] == ["public_lib-0.1.tar.gz", OLD]
    assert list(found["_policy"]) == [NAME]
    assert (await get(gateway, FILE)).status == 403


async def test_who_may_not_read_a_file_is_not_told_that_it_is_withheld(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock
) -> None:
    people = {"access.authenticators": "tests.support.people:People", "access.default_read": "everyone"}
    rules = f"[{{paths: [{FILE}], read: ['group:data'], only: true}}]"
    gateway = await started(start_gateway, settings | people | {"access.rules": rules}, clock)
    for user, told in (("alice", True), ("dave", False)):
        for target in ("/simple/public-lib/", "/pypi/public-lib/2.0/json"):
            headers = {"Accept": JSON, **basic(user)}
            answer = await fetch(int(gateway.url.rpartition(":")[2]), target, headers=headers)
            assert (NAME in answer.body.decode() if "simple" in target else answer.status == 200) is told, target
