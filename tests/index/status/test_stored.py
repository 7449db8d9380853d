"""The document changes by compare-and-swap, whoever else changes it."""

import asyncio
import json

import pytest

from gateway.errors import BadRequestError, ForbiddenError, GatewayError, UpstreamBusyError, UpstreamError
from gateway.index.status import stored
from gateway.index.status.document import MOST_BYTES, ProjectStatus, Statuses
from gateway.index.status.stored import StoredStatuses
from tests.conftest import StartGateway
from tests.index.status.test_obeyed import KEY, say
from tests.support.faults import Answer, FaultyBucket, error, healthy, on

ARCHIVED, QUARANTINED, ACTIVE = ProjectStatus("archived"), ProjectStatus("quarantined"), ProjectStatus()


@pytest.fixture
async def statuses(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> StoredStatuses:
    monkeypatch.setattr(stored, "_PAUSE_SECONDS", 0.001)
    gateway = await start_gateway(faulty_settings | {"storage.max_attempts": "1"})
    return StoredStatuses(gateway.storage, "")


def projects(faulty: FaultyBucket) -> dict[str, dict[str, str]]:
    return dict(json.loads(faulty.objects[KEY])["projects"])


async def test_many_writers_lose_nothing(statuses: StoredStatuses, faulty: FaultyBucket) -> None:
    names = [f"p{number}" for number in range(6)]
    await asyncio.gather(*(statuses.change(name, ARCHIVED) for name in names))
    assert sorted(projects(faulty)) == names
    await asyncio.gather(*(statuses.change(name, ACTIVE) for name in names[1:]))
    assert sorted(projects(faulty)) == names[:1]


async def test_what_is_so_already_is_not_written(statuses: StoredStatuses, faulty: FaultyBucket) -> None:
    await statuses.change("p", ACTIVE)
    assert KEY not in faulty.objects
    await statuses.change("p", ARCHIVED)
    before = len([seen for seen in faulty.requests if seen.method == "PUT"])
    await statuses.change("p", ARCHIVED)
    assert len([seen for seen in faulty.requests if seen.method == "PUT"]) == before == 1
    assert await statuses.of("p") == ARCHIVED
    assert await statuses.of("q") == ACTIVE


async def test_a_quarantine_that_comes_first_is_not_ended_by_who_may_not(
    statuses: StoredStatuses, faulty: FaultyBucket
) -> None:
    async def quarantined_meanwhile(answer: Answer) -> None:
        say(faulty, p="quarantined")
        await healthy(answer)

    say(faulty, p="deprecated")
    faulty.then(on("PUT", quarantined_meanwhile))
    with pytest.raises(ForbiddenError):
        await statuses.change("p", ARCHIVED, may_lift=False)
    assert projects(faulty)["p"]["status"] == "quarantined"
    await statuses.change("p", ARCHIVED)
    assert projects(faulty)["p"]["status"] == "archived"


async def test_who_always_comes_too_late_gives_up(statuses: StoredStatuses, faulty: FaultyBucket) -> None:
    for answer in (error(412, "PreconditionFailed"), error(404, "NoSuchKey")):
        faulty.then(*[on("PUT", answer)] * 10)
        with pytest.raises(UpstreamBusyError, match="others change"):
            await statuses.change("p", ARCHIVED)
        faulty.script.clear()


@pytest.mark.parametrize("there", [False, True])
async def test_what_may_not_be_read_is_written_only_if_it_is_absent(
    statuses: StoredStatuses, faulty: FaultyBucket, there: bool
) -> None:
    """As S3 denies access to absent objects where the bucket may not be listed."""
    if there:
        say(faulty, other="quarantined")

    async def denied(answer: Answer) -> None:
        await (healthy if answer.request.method == "PUT" else error(403, "AccessDenied"))(answer)

    faulty.of_key[KEY] = denied
    if not there:
        await statuses.change("p", ARCHIVED)
        assert projects(faulty) == {"p": {"status": "archived"}}
        return
    with pytest.raises(UpstreamError, match="may not be read"):
        await statuses.change("p", ARCHIVED)
    assert list(projects(faulty)) == ["other"]


async def test_what_fails_changes_nothing(statuses: StoredStatuses, faulty: FaultyBucket) -> None:
    faulty.objects[KEY] = b"garbage"
    with pytest.raises(UpstreamError, match="can't be understood"):
        await statuses.change("p", ARCHIVED)
    reason = ProjectStatus("archived", "r" * 1000)
    each = len(Statuses({"p1000": reason, "p1001": reason}).encode()) - len(Statuses({"p1000": reason}).encode())
    full = Statuses({f"p{1000 + number}": reason for number in range(MOST_BYTES // each)}).encode()
    faulty.objects[KEY] = full
    with pytest.raises(BadRequestError, match=str(MOST_BYTES)):
        await statuses.change("p", reason)
    assert faulty.objects[KEY] == full
    faulty.of_key[KEY] = error(500, "InternalError")
    with pytest.raises(GatewayError):
        await statuses.change("p", ARCHIVED)
