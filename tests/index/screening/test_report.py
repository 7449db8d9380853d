"""`/-/policy`: what is withheld, and which exceptions there are."""

import json

import pytest

from gateway.index.screening import report
from gateway.ops.output import STDOUT
from tests.conftest import StartGateway
from tests.index.screening.test_screen import (
    BROWSER,
    FILE,
    HELD,
    NAME,
    OLD,
    Clock,
    clock,
    get,
    page,
    public,
    settings,
    started,
)
from tests.publish.test_uploads import basic
from tests.support.http import fetch

__all__ = ["clock", "public", "settings"]  # the fixtures
ACCESS = {
    "access.authenticators": "tests.support.people:People",
    "access.default_read": "user:alice",
    "access.rules": "[{projects: [public-lib], read: [user:bob]}]",
}
EXCEPTION = "[{project: left-pad, until: 2027-01-16, reason: <SEC-12>, author: ann}]"


async def test_it_lists_files_and_exceptions(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock
) -> None:
    gateway = await started(start_gateway, settings | {"policy.exceptions": EXCEPTION}, clock)
    answer = await get(gateway, "/-/policy")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert json.loads(answer.body)["files"] == []
    await page(gateway)
    assert json.loads((await get(gateway, "/-/policy")).body) == {
        "files": [
            {
                "project": "public-lib",
                "file": NAME,
                "verdict": "hold",
                "reason": "it has not been out for 7 days yet",
                "by": "policy.min_age",
                "opens": "2027-01-20 08:00 UTC",
            }
        ],
        "more_files": 0,
        "exceptions": [
            {
                "project": "left-pad",
                "versions": "",
                "until": "2027-01-16 00:00 UTC",
                "over": False,
                "reason": "<SEC-12>",
                "author": "ann",
            }
        ],
        "sources": {},
    }
    people = (await get(gateway, "/-/policy", accept=BROWSER)).body.decode()
    assert f"<li>{HELD}</li>" in people
    assert "left-pad until 2027-01-16 00:00 UTC, by ann: &lt;SEC-12&gt;" in people


async def test_it_lists_some_of_many_files(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await started(start_gateway, settings | {"policy.min_age": "500d"}, clock)
    await page(gateway)
    for most, more in ((2, 0), (1, 1)):
        monkeypatch.setattr(report, "_MOST_FILES", most)
        found = json.loads((await get(gateway, "/-/policy")).body)
        assert ([file["file"] for file in found["files"]], found["more_files"]) == ([OLD, NAME][:most], more)
        people = (await get(gateway, "/-/policy", accept=BROWSER)).body.decode()
        assert people.count("<li>") == most
        assert ("<p>And 1 more.</p>" in people) == bool(more)


async def test_refusals_are_counted_and_logged(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, capfd: pytest.CaptureFixture[str]
) -> None:
    gateway = await started(start_gateway, settings | {"log.access": "true"}, clock)
    for _ in range(2):
        assert (await get(gateway, FILE)).status == 403
    assert (await get(gateway, f"/public-lib/{OLD}")).status == 200
    said = gateway.metrics.render().decode()
    assert 'gateway_policy_refusals_total{mount="default",verdict="hold"} 2.0' in said
    assert 'gateway_policy_refusals_total{mount="default",verdict="deny"} 0.0' in said
    STDOUT.flush(20)
    refused = [line for line in capfd.readouterr().out.splitlines() if " status=403 " in line]
    assert len(refused) == 2
    assert HELD in refused[0]
    assert "PolicyHold" in refused[0]


async def test_without_a_policy_there_is_no_such_page(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    gateway = await start_gateway(settings | {"policy.min_age": "0"})
    assert (await get(gateway, "/-/policy")).status == 404


@pytest.mark.parametrize(("user", "status"), [("", 401), ("alice", 200), ("bob", 403)])
async def test_it_is_for_whoever_may_read_everything(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, user: str, status: int
) -> None:
    gateway = await started(start_gateway, settings | ACCESS, clock)
    headers = basic(user) if user else {}
    port = int(gateway.url.rpartition(":")[2])
    answer = await fetch(port, "/-/policy", headers=headers)
    assert answer.status == status
    if status == 200:
        assert "private" in answer.headers["cache-control"]
