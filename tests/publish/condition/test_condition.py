"""Uploads in front of a storage that would let them replace files."""

import asyncio

import pytest

from gateway.errors import ConditionIgnoredError, GatewayError
from gateway.publish.condition.condition import Condition
from gateway.publish.condition.probe import FOLDER
from gateway.storage.s3.upload import PART_BYTES
from tests.conftest import StartGateway
from tests.e2e.test_publish_faults import large_wheel
from tests.support.faults import Answer, FaultyBucket, error, healthy, on
from tests.support.uploads import upload, wheel

OPEN = {"publish.enabled": "true", "publish.allow_anonymous": "true"}
UNSAFE = OPEN | {"publish.unsafe": "true"}
FILE, CONTENT = wheel("acme_web", "1.0")
_, OTHER = wheel("acme_web", "1.0", summary="another")
KEY = f"acme-web/{FILE}"


def tries(faulty: FaultyBucket) -> int:
    return sum(request.method == "PUT" and request.key.startswith(FOLDER) for request in faulty.requests)


async def test_the_bucket_is_tried_once_at_the_start(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN)
    assert tries(faulty) == 2
    for content, status in ((CONTENT, 200), (CONTENT, 200), (OTHER, 409)):
        assert (await upload(gateway.url, FILE, content))[0] == status
    assert tries(faulty) == 2
    assert faulty.objects == {KEY: CONTENT}


async def test_without_publishing_nothing_is_written(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    await start_gateway(faulty_settings)
    assert tries(faulty) == 0


async def test_a_bucket_that_ignores_the_condition_takes_no_uploads(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty.heeds_conditions = False
    gateway = await start_gateway(faulty_settings | OPEN)
    assert "ignores the condition If-None-Match when it writes objects: uploads are refused" in caplog.text
    status, reason, text = await upload(gateway.url, FILE, CONTENT)
    assert status == 503
    assert reason.startswith("Uploads are refused")
    assert "publish.unsafe" in text
    assert faulty.objects == {}
    assert tries(faulty) == 2


async def test_what_could_not_be_tried_is_tried_before_the_first_upload(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty.then(error(403, "AccessDenied"))
    faulty.heeds_conditions = False
    gateway = await start_gateway(faulty_settings | OPEN)
    assert "could not be tried, it is tried again with the first upload" in caplog.text
    faulty.then(on("PUT", error(403, "AccessDenied")))
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 502
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 503
    assert faulty.objects == {}


async def test_unsafe_uploads_look_first_and_again_before_the_end(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty.heeds_conditions = False
    gateway = await start_gateway(faulty_settings | UNSAFE)
    assert "the last wins (publish.unsafe)" in caplog.text
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    assert (await upload(gateway.url, FILE, OTHER))[0] == 409
    file, content = wheel("acme_web", "2.0")
    key = f"acme-web/{file}"

    async def written_after_the_first_look(answer: Answer) -> None:
        await healthy(answer)
        if answer.request.method == "HEAD" and answer.request.key == key:
            faulty.objects[key] = OTHER

    faulty.then(written_after_the_first_look, times=20)
    assert (await upload(gateway.url, file, content))[0] == 409
    assert faulty.objects == {KEY: CONTENT, key: OTHER}
    writes = [request for request in faulty.requests if request.key in (key, KEY) and request.method == "PUT"]
    assert len(writes) == 1
    assert "if-none-match" not in writes[0].headers


async def test_unsafe_changes_nothing_where_the_condition_is_heeded(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | UNSAFE)
    assert (await upload(gateway.url, FILE, CONTENT))[0] == 200
    [put] = [request for request in faulty.requests if request.method == "PUT" and request.key == KEY]
    assert put.headers["if-none-match"] == "*"


async def test_parts_are_tried_before_the_first_file_that_has_some_and_found_again_later(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    now = 0.0
    storage = (await start_gateway(faulty_settings)).storage
    condition = Condition(storage, unsafe=False, clock=lambda: now)
    assert await condition.demand(PART_BYTES)
    faulty.heeds_conditions = False
    assert await condition.demand(PART_BYTES)
    for _ in range(2):
        with pytest.raises(ConditionIgnoredError):
            await condition.demand(PART_BYTES + 1)
    starts = sum(request.target.endswith("?uploads=") for request in faulty.requests)
    assert starts == 1
    faulty.heeds_conditions, now = True, 61.0
    assert await condition.demand(PART_BYTES + 1)
    assert faulty.objects == {}


async def test_uploads_at_once_share_a_try(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    condition = Condition((await start_gateway(faulty_settings)).storage, unsafe=False)
    assert await asyncio.gather(*(condition.demand(1) for _ in range(5))) == [True] * 5
    assert tries(faulty) == 2


async def test_a_gateway_that_stops_does_not_wait_for_a_bucket_that_hangs(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    async def hang(answer: Answer) -> None:
        await asyncio.Event().wait()

    storage = (await start_gateway(faulty_settings)).storage
    faulty.then(hang)
    condition = Condition(storage, unsafe=False)
    condition.start()
    await faulty.until(lambda: tries(faulty) == 1)
    asked = asyncio.ensure_future(condition.demand(1))
    await asyncio.wait_for(condition.close(), 3)
    with pytest.raises((asyncio.CancelledError, GatewayError)):
        await asked


async def test_a_file_in_parts_that_another_writer_replaced_at_once_is_a_conflict(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    gateway = await start_gateway(faulty_settings | OPEN)
    large = large_wheel(PART_BYTES + 1)

    async def replaced(answer: Answer) -> None:
        await healthy(answer)
        if answer.request.method == "POST" and answer.request.key == KEY and "uploadId" in answer.request.target:
            faulty.objects[KEY] = OTHER

    faulty.then(replaced, times=30)
    assert (await upload(gateway.url, FILE, large))[0] == 409
    assert faulty.objects == {KEY: OTHER}
    del faulty.objects[KEY]
    faulty.script.clear()
    assert (await upload(gateway.url, FILE, large))[0] == 200
    assert faulty.objects == {KEY: large}
