"""Exceptions that gateways read from the bucket."""

import asyncio

import pytest

from gateway.errors import UpstreamBusyError, UpstreamError
from gateway.index.screening.exceptions import Exceptions
from gateway.index.screening.screened_index import ScreenedIndex
from gateway.index.screening.stored_exceptions import StoredExceptions
from gateway.policy.exceptions import PolicyException, encode, having, without
from tests.conftest import StartGateway
from tests.index.screening.test_screen import (
    DAY,
    FILE,
    NAME,
    NOW,
    OLD,
    Clock,
    clock,
    get,
    public,
    settings,
    shown,
    started,
)
from tests.support.faults import Answer, FaultyBucket, error, healthy
from tests.support.publicindex import PublicIndex

__all__ = ["clock", "public", "settings"]  # the fixtures
KEY = ".gateway/policy.json"
ONE = PolicyException("public-lib", "==2.0", NOW + DAY, "SEC-12", "ann", NOW)


async def test_one_that_is_stored_lets_a_release_in_until_its_end(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "gateway.policy")
    gateway = await started(start_gateway, settings, clock)
    assert gateway.mount.fallback is not None
    index = gateway.mount.fallback.upstream
    assert isinstance(index, ScreenedIndex)
    assert await shown(gateway) == [OLD]
    await StoredExceptions(gateway.storage, "").change(lambda known: having(known, ONE, NOW))
    await index.screen.exceptions.read()
    assert await shown(gateway) == [OLD, NAME]
    assert (await get(gateway, FILE)).status == 200
    clock.now += DAY
    assert await shown(gateway) == [OLD]
    assert (await get(gateway, FILE)).status == 403
    await StoredExceptions(gateway.storage, "").change(lambda known: without(known, ONE.about, NOW))
    await index.screen.exceptions.read()
    assert [record.getMessage() for record in caplog.records if record.name == "gateway.policy"] == [
        "Exception from the policy for public-lib==2.0, by ann: SEC-12",
        "No exception from the policy for public-lib==2.0, by ann, any more",
    ]


@pytest.fixture
async def exceptions(start_gateway: StartGateway, settings: dict[str, str], public: PublicIndex) -> Exceptions:
    gateway = await start_gateway(settings | {"policy.min_age": "0", "storage.max_attempts": "1"})
    return Exceptions(StoredExceptions(gateway.storage, ""), [])


async def test_what_can_t_be_read_changes_nothing(exceptions: Exceptions, faulty: FaultyBucket) -> None:
    await exceptions.read()
    assert exceptions.known == ()
    await exceptions._stored.change(lambda _: [ONE])
    await exceptions.read()
    version = exceptions.version
    for body in (b"{", b"[" * 100_000, b'{"format": 1, "exceptions": [{}]}', b" " * 2_000_000):
        faulty.objects[KEY] = body
        with pytest.raises(UpstreamError):
            await exceptions.read()
    faulty.of_key[KEY] = error(503, "SlowDown")
    with pytest.raises(UpstreamBusyError):
        await exceptions.read()
    assert list(exceptions.known) == [ONE]
    assert exceptions.version == version
    faulty.of_key.clear()
    del faulty.objects[KEY]
    await exceptions.read()
    assert exceptions.known == ()


async def test_the_start_waits_a_while_for_those_that_count_already(
    exceptions: Exceptions, faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that changes the mount would withhold for a moment what they let in."""
    monkeypatch.setattr("gateway.index.screening.exceptions._FIRST_SECONDS", 20)
    await exceptions._stored.change(lambda _: [ONE])
    released = asyncio.Event()

    async def slow(answer: Answer) -> None:
        await released.wait()
        await healthy(answer)

    faulty.of_key[KEY] = slow
    faulty.requests.clear()
    starting = asyncio.create_task(exceptions.start())
    await faulty.until(lambda: len(faulty.requests) == 1)
    assert not starting.done()
    released.set()
    await starting
    assert list(exceptions.known) == [ONE]
    await exceptions.close()

    released.clear()
    monkeypatch.setattr("gateway.index.screening.exceptions._FIRST_SECONDS", 0.01)
    other = Exceptions(exceptions._stored, [])
    await other.start()
    assert other.known == ()
    await other.close()
    released.set()


async def test_two_who_change_them_at_once_lose_nothing(exceptions: Exceptions, faulty: FaultyBucket) -> None:
    stored = exceptions._stored
    other = PolicyException("other", "", NOW, "r", "bob")
    raced = False

    def change(known: object) -> list[PolicyException]:
        nonlocal raced
        if not raced:
            raced = True
            faulty.objects[KEY] = encode([other])
            return [ONE]
        return [*known, ONE]  # type: ignore[misc]

    await stored.change(change)
    found = await stored.read()
    assert found is not None
    assert list(found[0]) == [other, ONE]


async def test_one_whose_reading_was_ended_too_early_is_read_again(
    exceptions: Exceptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exceptions._stored.change(lambda _: [ONE])

    def late(_: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patch:
        patch.setattr("gateway.index.screening.exceptions._rules", late)
        with pytest.raises(TimeoutError):
            await exceptions.read()
    await exceptions.read()
    assert list(exceptions.known) == [ONE]
    assert len(exceptions.rules) == 1
