"""Which storages let only one of several writers of a key win."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from gateway.errors import GatewayError, UpstreamError
from gateway.publish.condition.probe import FOLDER, Finding, Way, at_once, findings, twice
from gateway.storage.base import Storage
from tests.conftest import StartGateway
from tests.support.bucket import Bucket
from tests.support.faults import Answer, Behaviour, FaultyBucket, error, healthy, reset
from tests.support.moto import Moto
from tests.support.nightly import NIGHTLY


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Moto(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
async def faulty_storage(start_gateway: StartGateway, faulty_settings: dict[str, str]) -> Storage:
    return (await start_gateway(faulty_settings)).storage


async def left(storage: Storage) -> list[str]:
    return [item.key async for item in storage.list(FOLDER)]


# Swift lets several of many writers win; SeaweedFS and moto only where they write parts, which takes seconds.
@pytest.mark.parametrize(
    ("server", "atomic"),
    [("bucket", {Way.WHOLE}), ("swift_bucket", set()), ("moto", {Way.WHOLE}), ("file", {Way.WHOLE, Way.PARTS})],
)
async def test_real_storages_heed_it_and_most_let_one_of_many_win(
    request: pytest.FixtureRequest, start_gateway: StartGateway, tmp_path: Path, server: str, atomic: set[Way]
) -> None:
    if server == "file":
        (tmp_path / "root").mkdir()
        settings = {"storage.dir": str(tmp_path / "root")}
    else:
        found = request.getfixturevalue(server)
        settings = (found if isinstance(found, Bucket) else Bucket(found)).settings()
    storage = (await start_gateway(settings)).storage
    assert [(await twice(storage, way)).heeded for way in Way] == [True, True]
    for way in Way if NIGHTLY else atomic:
        finding = await at_once(storage, way)
        assert finding.heeded or way not in atomic, finding
    assert await left(storage) == []


async def test_a_bucket_that_ignores_it_is_found_out_one_after_the_other(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    faulty.heeds_conditions = False
    told = [finding async for finding in findings(faulty_storage)]
    assert told == [Finding(way, 2, 2, at_once=False) for way in Way]
    assert not any(finding.heeded for finding in told)
    assert faulty.objects == {}
    assert await at_once(faulty_storage, Way.WHOLE) == Finding(Way.WHOLE, 8, 8, at_once=True)
    bodies = {request.body for request in faulty.requests[-9:] if request.method == "PUT"}
    assert len(bodies) == 8


async def test_a_bucket_that_looks_too_early_is_found_out_at_once(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    arrived = 0

    async def late(answer: Answer) -> None:
        nonlocal arrived
        arrived += 1
        faulty.heeds_conditions = False
        await faulty.until(lambda: arrived == Way.WHOLE.at_once)
        await healthy(answer)

    assert (await twice(faulty_storage, Way.WHOLE)).heeded
    faulty.then(late, times=Way.WHOLE.at_once)
    assert await at_once(faulty_storage, Way.WHOLE) == Finding(Way.WHOLE, 8, 8, at_once=True)


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "OperationAborted"])
async def test_who_meets_another_writer_has_not_written(
    faulty: FaultyBucket, start_gateway: StartGateway, faulty_settings: dict[str, str], code: str
) -> None:
    storage = (await start_gateway(faulty_settings | {"storage.max_attempts": "1"})).storage
    faulty.then(error(409, code), times=3)
    assert await at_once(storage, Way.WHOLE) == Finding(Way.WHOLE, 8, 1, at_once=True)
    faulty.then(error(409, code), times=8)
    with pytest.raises(UpstreamError, match="refused all"):
        await at_once(storage, Way.WHOLE)


async def test_a_bucket_that_does_not_know_the_condition_lets_the_last_one_win(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    async def conditional(answer: Answer) -> None:
        known = "if-none-match" not in answer.request.headers
        await (healthy if known else error(501, "NotImplemented"))(answer)

    faulty.then(conditional, times=4)
    assert await twice(faulty_storage, Way.WHOLE) == Finding(Way.WHOLE, 2, 2, at_once=False)
    assert [request.method for request in faulty.requests[-5:]] == ["PUT"] * 4 + ["DELETE"]


@pytest.mark.parametrize("behaviour", [error(412, "PreconditionFailed"), error(403, "AccessDenied"), reset])
async def test_where_nothing_can_be_known_nothing_is_claimed(
    faulty: FaultyBucket, faulty_storage: Storage, behaviour: Behaviour
) -> None:
    faulty.then(behaviour)
    with pytest.raises(GatewayError):
        await twice(faulty_storage, Way.WHOLE)
    assert faulty.requests[-1].method == "DELETE"
    assert faulty.objects == {}


async def test_without_the_permission_to_delete_the_answer_is_known_all_the_same(
    faulty: FaultyBucket, faulty_storage: Storage
) -> None:
    faulty.then(healthy, healthy, error(403, "AccessDenied"))
    assert (await twice(faulty_storage, Way.WHOLE)).heeded
    [key] = faulty.objects
    assert key.startswith(FOLDER)
