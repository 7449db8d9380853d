"""A token is used once, whatever the storage answers; and what has ended is removed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.storage_settings import StorageSettings
from gateway.errors import ConditionIgnoredError, GatewayError, PreconditionFailedError, UpstreamBusyError
from gateway.publish.condition.condition import Condition
from gateway.publish.condition.probe import FOLDER as PROBES
from gateway.publish.trusted.used_tokens import _SWEPT_AT_ONCE, FOLDER, UsedTokens
from gateway.storage.local.storage import LocalStorage
from tests.support.eventually import eventually
from tests.support.memorystorage import MemoryStorage

NOW = 1_800_000_000.0  # 08:00 UTC
ISSUER = "https://issuer.example"


class Storage(MemoryStorage):
    """`heeds` conditions or not; `fault` is raised by writes of used tokens, which happen before if `writes`."""

    def __init__(self) -> None:
        super().__init__(StorageSettings())
        self.heeds = True
        self.writes = True
        self.fault: GatewayError | None = None
        self.denied = False

    async def put(self, key, chunks, **options):  # type: ignore[no-untyped-def]
        if not self.heeds:
            options["only_new"] = False
        if self.fault is None or not key.startswith(FOLDER):
            return await super().put(key, chunks, **options)
        if self.writes:
            await super().put(key, chunks, **options)
        raise self.fault

    async def delete(self, key: str) -> None:
        if self.denied and not key.startswith(PROBES):
            raise UpstreamBusyError("denied")
        await super().delete(key)

    @property
    def used(self) -> list[str]:
        return sorted(key for key in self._objects if key.startswith(FOLDER))


class Times:
    def __init__(self) -> None:
        self.now = NOW
        self.clock = 0.0


@asynccontextmanager
async def tokens(
    storage: MemoryStorage | LocalStorage, times: Times | None = None, *, unsafe: bool = False
) -> AsyncIterator[UsedTokens]:
    times = times or Times()
    used = UsedTokens(storage, Condition(storage, unsafe=unsafe), now=lambda: times.now, clock=lambda: times.clock)
    yield used
    await used.close()


async def test_once_by_issuer_and_name() -> None:
    storage = Storage()
    async with tokens(storage) as used, tokens(storage) as other:
        assert await used.use(ISSUER, "one", NOW + 60)
        assert not await used.use(ISSUER, "one", NOW + 60)
        assert not await other.use(ISSUER, "one", NOW + 60)
        assert await other.use(ISSUER, "two", NOW + 60)
        assert await used.use(ISSUER + "/", "one", NOW + 60)
    assert len(storage.used) == 3
    assert all(key.startswith(f"{FOLDER}2027-01-15T08/") for key in storage.used)
    assert "one" not in "".join(storage.used)


@pytest.mark.parametrize("make", [lambda path: Storage(), LocalStorage])
async def test_of_many_at_once_one_uses_it(
    tmp_path: Path, make: Callable[[Path], MemoryStorage | LocalStorage]
) -> None:
    storage = make(tmp_path)
    async with tokens(storage) as used, tokens(storage) as other:
        told = await asyncio.gather(*(each.use(ISSUER, "one", NOW + 60) for each in [used, other] * 10))
    assert told.count(True) == 1


async def test_a_lost_answer_is_no_other_s_use() -> None:
    storage = Storage()
    storage.fault = UpstreamBusyError("the answer is lost")
    async with tokens(storage) as used:
        assert await used.use(ISSUER, "one", NOW + 60)
        storage.fault = None
        assert not await used.use(ISSUER, "one", NOW + 60)


async def test_a_write_that_was_repeated_is_no_other_s_use() -> None:
    storage = Storage()
    storage.fault = PreconditionFailedError("the first attempt, answered with 500, had written it")
    async with tokens(storage) as used:
        assert await used.use(ISSUER, "one", NOW + 60)
        assert not await used.use(ISSUER, "one", NOW + 60)


async def test_a_write_that_failed_lets_nobody_in() -> None:
    storage = Storage()
    storage.fault, storage.writes = UpstreamBusyError("away"), False
    async with tokens(storage) as used:
        with pytest.raises(UpstreamBusyError):
            await used.use(ISSUER, "one", NOW + 60)
        storage.fault = None
        assert await used.use(ISSUER, "one", NOW + 60)
        # A conflict of two writers, of which the other one has won.
        storage.fault = UpstreamBusyError("conflict", code="ConditionalRequestConflict")
        assert not await used.use(ISSUER, "one", NOW + 60)
        storage.fault = PreconditionFailedError("there")
        assert not await used.use(ISSUER, "two", NOW + 60)


async def test_a_storage_that_ignores_conditions_is_not_relied_on() -> None:
    storage = Storage()
    storage.heeds = False
    async with tokens(storage) as used:
        with pytest.raises(ConditionIgnoredError):
            await used.use(ISSUER, "one", NOW + 60)
    async with tokens(storage, unsafe=True) as used:
        assert await used.use(ISSUER, "one", NOW + 60)
        assert not await used.use(ISSUER, "one", NOW + 60)


@pytest.mark.parametrize("make", [lambda path: Storage(), LocalStorage])
async def test_what_has_ended_is_removed_now_and_then(
    tmp_path: Path, make: Callable[[Path], MemoryStorage | LocalStorage]
) -> None:
    storage, times = make(tmp_path), Times()

    async def left() -> int:
        return len([item async for item in storage.list(FOLDER)])

    async with tokens(storage, times) as used:
        await used.use(ISSUER, "young", NOW + 6 * 3600)
        assert used._sweeping is not None
        await used._sweeping
        for number in range(_SWEPT_AT_ONCE + 10):
            await used.use(ISSUER, f"old {number}", NOW + 60)
        times.now, times.clock = NOW + 3 * 3600, 599
        await used.use(ISSUER, "another", NOW + 6 * 3600)
        await used._sweeping
        assert await left() == _SWEPT_AT_ONCE + 12
        times.clock = 600
        await used.use(ISSUER, "a third", NOW + 6 * 3600)
        await used._sweeping
        assert await left() == 3
        assert not await used.use(ISSUER, "young", NOW + 6 * 3600)


async def test_what_is_not_over_yet_anywhere_stays() -> None:
    storage, times = Storage(), Times()
    async with tokens(storage, times) as used:
        await used.use(ISSUER, "one", NOW + 60)
        for hours in (1, 2):
            times.now, times.clock = NOW + hours * 3600 + 1800, times.clock + 600
            await used.use(ISSUER, f"at {hours}", NOW + 9 * 3600)
            assert used._sweeping is not None
            await used._sweeping
            assert not await used.use(ISSUER, "one", NOW + 60)


async def test_who_may_not_remove_anything_still_uses_tokens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    storage, times = Storage(), Times()
    async with tokens(storage, times) as used:
        await used.use(ISSUER, "one", NOW + 60)
        storage.denied = True
        times.now, times.clock = NOW + 9 * 3600, 700
        assert await used.use(ISSUER, "two", NOW + 10 * 3600)
        await eventually(lambda: "stay below .gateway/jti/ for now: denied" in caplog.text)
    assert len(storage.used) == 2
