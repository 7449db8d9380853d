"""When the status of projects can't be read: the last one counts, and without one nothing is served."""

import logging

import pytest

from gateway.index.status.document import ProjectStatus, Statuses
from tests.conftest import StartGateway
from tests.index.status.test_obeyed import CONTENT, FILE, KEY, ON, get, page, say
from tests.support.faults import Behaviour, FaultyBucket, error, reset

PATH = f"/acme-web/{FILE}"
DENIED = error(403, "AccessDenied")


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = {f"acme-web/{FILE}": CONTENT}
    return faulty_settings | ON | {"storage.max_attempts": "1", "index.refresh": "3600"}


@pytest.mark.parametrize("behaviour", [error(500, "InternalError"), error(503, "SlowDown"), DENIED, reset])
async def test_an_outage_keeps_the_last(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str], behaviour: Behaviour
) -> None:
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(settings | {"index.refresh": "0.001"})
    assert (await get(gateway, PATH))[0] == 403
    faulty.of_key[KEY] = behaviour
    for _ in range(2):
        gateway.refresh_all()
        assert (await get(gateway, PATH))[0] == 403
        assert (await page(gateway))["files"] == []
    del faulty.of_key[KEY]
    say(faulty)
    gateway.refresh_all()
    assert (await get(gateway, PATH))[0] == 200


@pytest.mark.parametrize("behaviour", [error(500, "InternalError"), error(503, "SlowDown"), reset])
async def test_nothing_is_served_that_may_be_quarantined(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str], behaviour: Behaviour
) -> None:
    faulty.of_key[KEY] = behaviour
    gateway = await start_gateway(settings)
    for path in (PATH, "/simple/acme-web/"):
        status, body, _ = await get(gateway, path)
        assert status == 503
        assert "Which projects are quarantined can't be known now" in body
    assert (await get(gateway, "/simple/"))[0] == 200
    del faulty.of_key[KEY]
    gateway.refresh_all()
    assert (await get(gateway, PATH))[0] == 200


async def test_a_document_that_can_t_be_understood_changes_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(settings)
    assert (await get(gateway, PATH))[0] == 403
    faulty.objects[KEY] = b"{"
    with caplog.at_level(logging.WARNING):
        gateway.refresh_all()
        assert (await get(gateway, PATH))[0] == 403
    assert "status.json can't be understood: not JSON" in caplog.text
    gateway.refresh_all()
    assert (await get(gateway, PATH))[0] == 403
    new = await start_gateway(settings)
    assert (await get(new, PATH))[0] == 503
    say(faulty)
    for one in (gateway, new):
        one.refresh_all()
        assert (await get(one, PATH))[0] == 200


async def test_garbage_is_not_fetched_for_each_request(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    faulty.objects[KEY] = b"x" * 3_000_000
    gateway = await start_gateway(settings)
    for _ in range(5):
        assert (await get(gateway, PATH))[0] == 503
    assert sum(request.key == KEY for request in faulty.requests) == 1


async def test_a_document_that_is_gone_counts_until_a_restart(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    say(faulty, acme_web="quarantined")
    gateway = await start_gateway(settings)
    assert (await get(gateway, PATH))[0] == 403
    del faulty.objects[KEY]
    for _ in range(2):
        gateway.refresh_all()
        assert (await get(gateway, PATH))[0] == 403
    assert "is gone: the last one counts until a restart" in caplog.text
    assert (await get(await start_gateway(settings), PATH))[0] == 200
    say(faulty, other="archived")
    gateway.refresh_all()
    assert (await get(gateway, PATH))[0] == 200


async def test_a_denied_document_counts_as_absent_and_the_log_says_so(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    faulty.of_key[KEY] = DENIED
    gateway = await start_gateway(settings)
    assert (await get(gateway, PATH))[0] == 200
    assert f"denies access to {KEY}" in caplog.text


async def test_it_is_read_under_a_condition_and_only_when_it_is_due(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    say(faulty, acme_web="archived")
    gateway = await start_gateway(settings)
    for _ in range(5):
        await page(gateway)
    gateway.refresh_all()
    await page(gateway)
    asked = [request.headers.get("if-none-match") for request in faulty.requests if request.key == KEY]
    assert asked[0] is None
    assert [etag for etag in asked[1:] if etag is None] == []
    assert len(asked) == 2


async def test_a_long_document_is_read_off_the_loop(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    said = {f"p{number}": ProjectStatus("archived") for number in range(5000)}
    faulty.objects[KEY] = Statuses(said | {"acme-web": ProjectStatus("quarantined")}).encode()
    assert (await get(await start_gateway(settings), PATH))[0] == 403
