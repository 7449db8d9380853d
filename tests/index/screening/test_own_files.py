"""The policy for the files of the storage itself, where it is asked to judge them."""

import json
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.errors import ConfigError
from tests.conftest import StartGateway
from tests.index.screening.test_screen import BROWSER, DAY, HTML, NOW, Clock, get
from tests.support.faults import FaultyBucket, error
from tests.support.publicindex import JSON
from tests.support.wheels import wheel

NEW, NEW_CONTENT = wheel("acme", "2.0")
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
    ):
        answer = await get(gateway, target)
        assert answer.status in (403, 404), target
        assert answer.status == 403 or "Acme" in target
    assert (await get(gateway, f"/acme/{OLD}")).body == OLD_CONTENT
    assert (await get(gateway, "/acme/notes.txt")).body == b"notes"
    clock.now = NOW + 7 * DAY
    assert [file["filename"] for file in (await page(gateway))["files"]] == [OLD, NEW, "notes.txt"]
    assert (await get(gateway, f"/acme/{NEW}")).body == NEW_CONTENT


async def test_in_a_flat_bucket_too(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects = {NEW: NEW_CONTENT, f"deep/{OLD}": OLD_CONTENT}
    faulty.modified = {NEW: "2027-01-14T08:00:00.000Z", f"deep/{OLD}": "2027-01-14T08:00:00.000Z"}
    gateway = await started(start_gateway, settings | {"index.layout": "flat"}, Clock())
    assert (await page(gateway))["files"] == []
    assert (await get(gateway, f"/{NEW}")).status == 403
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


async def test_what_is_withheld_is_reported_and_counted(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    gateway = await started(start_gateway, settings, Clock())
    await page(gateway)
    assert [one["file"] for one in json.loads((await get(gateway, "/-/policy")).body)["files"]] == [NEW]
    assert (await get(gateway, f"/acme/{NEW}")).status == 403
    said = gateway.metrics.render().decode()
    assert 'gateway_policy_refusals_total{mount="default",verdict="hold"} 1.0' in said
