"""The policy for the files of the storage itself, where it is asked to judge them."""

import json
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.errors import ConfigError
from tests.conftest import StartGateway
from tests.index.screening.test_screen import BROWSER, DAY, HTML, NOW, Clock, get, public
from tests.index.screening.test_screen import OLD as THEIRS
from tests.index.screening.test_screen import OLD_CONTENT as THEIR_CONTENT
from tests.publish.test_uploads import basic
from tests.support.faults import FaultyBucket, error
from tests.support.http import fetch
from tests.support.publicindex import JSON, PublicIndex
from tests.support.wheels import sboms_wheel, wheel

__all__ = ["public"]  # the fixture
NEW, NEW_CONTENT = sboms_wheel("acme", "2.0", {"a.cdx.json": b"{}"})
OLD, OLD_CONTENT = wheel("acme", "1.0")


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {
        f"acme/{NEW}": NEW_CONTENT,
        f"acme/{NEW}.metadata": b"Name: acme",
        f"acme/{NEW}.yanked": b"",
        f"acme/{OLD}": OLD_CONTENT,
        "acme/notes.txt": b"notes",
    }
    faulty.modified = {f"acme/{NEW}": "2027-01-14T08:00:00.000Z", f"acme/{OLD}": "2020-01-01T00:00:00.000Z"}
    mine = {"index.mode": "generated", "index.compute_hashes": "false", "policy.untrusted": "true"}
    return faulty_settings | mine | {"policy.min_age": "7d", "index.refresh": "0"}


async def started(start_gateway: StartGateway, settings: dict[str, str], clock: Clock) -> Gateway:
    gateway = await start_gateway(settings)
    assert gateway.mount.own_files is not None
    gateway.mount.own_files.screen.clock = clock
    return gateway


async def page(gateway: Gateway) -> Any:
    return json.loads((await get(gateway, "/simple/acme/", accept=JSON)).body)


async def test_a_young_file_is_held_until_its_day(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    clock = Clock()
    gateway = await started(start_gateway, settings, clock)
    found = await page(gateway)
    assert [file["filename"] for file in found["files"]] == [OLD, "notes.txt"]
    assert (found["versions"], list(found["_policy"])) == (["1.0"], [NEW])
    html = (await get(gateway, "/simple/acme/", accept=HTML)).body.decode()
    assert f">{NEW}</a>" not in html
    assert "is held until 2027-01-21 08:00 UTC" in (await get(gateway, "/acme/", accept=BROWSER)).body.decode()
    for target in (
        f"/acme/{NEW}",
        f"/simple/acme/{NEW}",
        f"/Acme/{NEW}",
        f"/acme/{NEW}.metadata",
        f"/acme/{NEW}.yanked",
        f"/acme/{NEW}.sboms/",
        f"/acme/{NEW}.sboms/a.cdx.json",
        f"/simple/acme/{NEW}.sboms/a.cdx.json",
    ):
        answer = await get(gateway, target)
        assert answer.status in (403, 404), target
        assert answer.status == 403 or "Acme" in target
    assert (await get(gateway, f"/acme/{OLD}")).body == OLD_CONTENT
    assert (await get(gateway, "/acme/notes.txt")).body == b"notes"
    clock.now = NOW + 7 * DAY
    assert [file["filename"] for file in (await page(gateway))["files"]] == [OLD, NEW, "notes.txt"]
    assert (await get(gateway, f"/acme/{NEW}")).body == NEW_CONTENT
    assert (await get(gateway, f"/acme/{NEW}.sboms/a.cdx.json")).body == b"{}"


async def test_in_a_flat_bucket_too(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects = {NEW: NEW_CONTENT, f"deep/{OLD}": OLD_CONTENT}
    faulty.modified = {NEW: "2027-01-14T08:00:00.000Z", f"deep/{OLD}": "2027-01-14T08:00:00.000Z"}
    gateway = await started(start_gateway, settings | {"index.layout": "flat"}, Clock())
    assert (await page(gateway))["files"] == []
    assert (await get(gateway, f"/{NEW}")).status == 403
    assert (await get(gateway, f"/{NEW}.sboms/")).status == 403
    assert (await get(gateway, f"/deep/{OLD}")).status == 403


async def test_a_warning_is_shown(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    rules = "[{kinds: [wheel], verdict: warn, reason: look}]"
    gateway = await started(start_gateway, settings | {"policy.rules": rules}, Clock())
    found = await page(gateway)
    assert (len(found["files"]), found["_policy"][NEW]) == (3, {"verdict": "warn", "reason": "look"})


async def test_a_list_that_can_t_be_had_lets_nothing_in(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await started(start_gateway, settings | {"storage.max_attempts": "1"}, Clock())
    faulty.of_key[""] = error(500, "InternalError")
    assert (await get(gateway, f"/acme/{NEW}")).status in (502, 503)


@pytest.mark.parametrize("mode", ["auto", "static"])
async def test_it_needs_generated_pages(start_gateway: StartGateway, settings: dict[str, str], mode: str) -> None:
    with pytest.raises(ConfigError, match=r"policy\.untrusted.*needs index\.mode generated"):
        await start_gateway(settings | {"index.mode": mode})


@pytest.mark.parametrize(
    ("layout", "key"),
    [
        ("project", "acme/acme-3.0.tar"),  # which pip installs
        ("flat", "acme-3.0.tar"),
        ("project", "beta/acme-3.0.tar.gz"),  # which no page lists
        ("project", "simple/beta/acme-3.0.tar.gz"),
        ("project", "Acme/acme-3.0.tar.gz"),
        ("flat", "deep/acme-3.0.tar.gz"),
    ],
)
async def test_files_that_pages_do_not_list_are_judged(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, layout: str, key: str
) -> None:
    faulty.objects[key] = b"3.0"
    faulty.modified[key] = "2027-01-14T08:00:00.000Z"
    layout_settings = settings | {"index.layout": layout}
    rules = "[{projects: [acme], verdict: allow}]"
    gateway = await started(start_gateway, layout_settings | {"policy.rules": rules}, Clock())
    assert (await get(gateway, f"/{key}")).body == b"3.0"
    gateway = await started(start_gateway, layout_settings, Clock())
    assert (await get(gateway, f"/{key}")).status == 403
    assert (await get(gateway, f"/simple/{key}")).status in (403, 404)
    assert (await get(gateway, f"/{key}.sha256")).status == 403
    assert (await get(gateway, "/beta/acme-9.tar.gz")).status == 404  # there is none


async def test_beside_another_index(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, public: PublicIndex
) -> None:
    mirror = {"fallback.mode": "mirror", "fallback.base_url": public.url, "fallback.always_show_upstream": "true"}
    faulty.objects[f"public-lib/{THEIRS}"] = b"ours"
    faulty.modified[f"public-lib/{THEIRS}"] = "2027-01-14T08:00:00.000Z"
    faulty.objects["public-lib/public_lib-0.1.tar.gz"] = b"old"
    gateway = await started(start_gateway, settings | mirror, Clock())
    page = json.loads((await get(gateway, "/simple/public-lib/", accept=JSON)).body)
    assert [file["filename"] for file in page["files"]] == ["public_lib-0.1.tar.gz"]
    assert (await get(gateway, f"/public-lib/{THEIRS}")).status == 403
    del faulty.objects[f"public-lib/{THEIRS}"]
    gateway = await started(start_gateway, settings | mirror, Clock())
    assert (await get(gateway, f"/public-lib/{THEIRS}")).body == THEIR_CONTENT


async def test_what_is_withheld_is_reported_and_counted(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    gateway = await started(start_gateway, settings, Clock())
    assert (await get(gateway, f"/acme/{NEW}")).status == 403
    report = json.loads((await get(gateway, "/-/policy")).body)
    assert [file["file"] for file in report["files"]] == [NEW]
    assert 'gateway_policy_refusals_total{mount="default",verdict="hold"} 1.0' in gateway.metrics.render().decode()


@pytest.mark.parametrize(("user", "told"), [("alice", True), ("bob", False)])
async def test_no_verdict_tells_a_name_that_is_hidden(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, user: str, told: bool
) -> None:
    faulty.objects = {NEW: NEW_CONTENT, f"internal/{OLD}": OLD_CONTENT, "acme-0.1.tar.gz": b"0.1"}
    faulty.modified = dict.fromkeys((NEW, f"internal/{OLD}"), "2027-01-14T08:00:00.000Z")
    access = {
        "access.authenticators": "tests.support.people:People",
        "access.rules": "[{paths: [/internal/], read: [user:alice], only: true}]",
    }
    gateway = await started(start_gateway, settings | access | {"index.layout": "flat"}, Clock())
    port = int(gateway.url.rpartition(":")[2])
    for accept in (JSON, HTML, BROWSER):
        answer = await fetch(port, "/simple/acme/", headers=basic(user) | {"Accept": accept})
        assert b"acme-0.1.tar.gz" in answer.body
        assert (OLD.encode() in answer.body) is told, accept


async def test_a_stored_page_is_not_shown(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects["acme/index.html"] = f'<a href="{NEW}">{NEW}</a>'.encode()
    gateway = await started(start_gateway, settings, Clock())
    for target in ("/acme/index.html", "/simple/acme/index.html", "/acme/", "/simple/acme/"):
        assert f'href="{NEW}"' not in (await get(gateway, target)).body.decode()
