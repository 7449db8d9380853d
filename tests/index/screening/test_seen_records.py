"""What is remembered of when files were seen first, through the gateway."""

from math import inf

import pytest

from gateway.index.screening import saved_records
from gateway.index.wheels import metadata_store
from gateway.policy.seen import from_bytes
from tests.conftest import StartGateway
from tests.index.screening.test_screen import (
    CONTENT,
    DAY,
    FILE,
    HTML,
    NAME,
    OLD,
    OLD_CONTENT,
    Clock,
    clock,
    get,
    public,
    seen_key,
    settings,
    shown,
    started,
    time,
)
from tests.support.faults import Answer, FaultyBucket, error, healthy
from tests.support.publicindex import JSON, PublicIndex

__all__ = ["clock", "public", "settings"]  # the fixtures


def looked(faulty: FaultyBucket, url: str) -> float | None:
    """When the page was read last, as the bucket has it."""
    record = from_bytes(faulty.objects.get(seen_key(url), b""), inf)
    return record.looked if record is not None else None


async def test_a_page_without_times_opens_when_it_has_been_known_long_enough(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, public: PublicIndex, faulty: FaultyBucket
) -> None:
    public.form = "html"
    one = await started(start_gateway, settings, clock)
    assert await shown(one) == []
    await faulty.until(lambda: seen_key(settings["fallback.base_url"]) in faulty.objects)
    clock.now += 7 * DAY
    assert await shown(one) == [OLD, NAME]
    other = await started(start_gateway, settings, clock)  # it has it from the bucket
    assert await shown(other) == [OLD, NAME]


async def test_a_new_file_that_says_it_is_old_is_new(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, public: PublicIndex
) -> None:
    public.projects["public-lib"] = {OLD: OLD_CONTENT}
    gateway = await started(start_gateway, settings, clock)
    assert await shown(gateway) == [OLD]
    public.projects["public-lib"] = {OLD: OLD_CONTENT, NAME: CONTENT}
    public.fields[NAME] = {"upload-time": time(-900)}
    clock.now += 2 * DAY
    assert await shown(gateway) == [OLD]
    assert (await get(gateway, FILE)).status == 403
    clock.now += 7 * DAY
    assert await shown(gateway) == [OLD, NAME]


@pytest.mark.parametrize("gateways", [1, 2])
async def test_looks_at_a_page_that_stays_the_same_count(
    start_gateway: StartGateway,
    settings: dict[str, str],
    clock: Clock,
    public: PublicIndex,
    faulty: FaultyBucket,
    gateways: int,
) -> None:
    public.projects["public-lib"] = {OLD: OLD_CONTENT}
    known = [await started(start_gateway, settings, clock) for _ in range(gateways)]
    for gateway in known:
        assert await shown(gateway) == [OLD]
    for _ in range(8):
        clock.now += DAY
        assert await shown(known[0]) == [OLD]
    await faulty.until(lambda: looked(faulty, public.url) == clock.now)
    public.projects["public-lib"] = {OLD: OLD_CONTENT, NAME: CONTENT}
    public.fields[NAME] = {"upload-time": time(0.5)}
    after = known[1] if gateways == 2 else await started(start_gateway, settings, clock)
    assert await shown(after) == [OLD]
    assert (await get(after, FILE)).status == 403


async def test_what_can_t_be_saved_is_saved_at_the_next_look(
    start_gateway: StartGateway,
    settings: dict[str, str],
    clock: Clock,
    faulty: FaultyBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(saved_records, "_MOST_WAITING", 0)
    gateway = await started(start_gateway, settings, clock)
    assert await shown(gateway) == [OLD]
    assert not any(".gateway/seen/" in key for key in faulty.objects)
    monkeypatch.undo()
    clock.now += DAY
    assert await shown(gateway) == [OLD]
    await faulty.until(lambda: seen_key(settings["fallback.base_url"]) in faulty.objects)


async def test_what_a_failure_kept_from_being_saved_is_saved_later(
    start_gateway: StartGateway,
    settings: dict[str, str],
    clock: Clock,
    public: PublicIndex,
    faulty: FaultyBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A gateway that is started later believes no file that says it is old."""
    monkeypatch.setattr(saved_records, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(metadata_store, "_OFF_SECONDS_OF_NEEDED", 0.0)
    public.projects["public-lib"] = {OLD: OLD_CONTENT}
    key = seen_key(settings["fallback.base_url"])
    refused = 0

    async def no_writes(answer: Answer) -> None:
        nonlocal refused
        refused += answer.request.method == "PUT"
        await (error(403, "AccessDenied") if answer.request.method == "PUT" else healthy)(answer)

    faulty.of_key[key] = no_writes
    assert await shown(await started(start_gateway, settings, clock)) == [OLD]
    await faulty.until(lambda: refused > 0)
    assert key not in faulty.objects
    del faulty.of_key[key]
    await faulty.until(lambda: key in faulty.objects)
    clock.now += DAY
    public.projects["public-lib"] = {OLD: OLD_CONTENT, NAME: CONTENT}
    public.fields[NAME] = {"upload-time": time(-900)}
    restarted = await started(start_gateway, settings, clock)
    assert await shown(restarted) == [OLD]
    assert (await get(restarted, FILE)).status == 403


@pytest.mark.parametrize("answer", [(500, "InternalError"), (403, "AccessDenied")])
async def test_while_it_can_t_be_known_when_files_were_seen_first_nothing_comes_in(
    start_gateway: StartGateway,
    settings: dict[str, str],
    clock: Clock,
    faulty: FaultyBucket,
    answer: tuple[int, str],
) -> None:
    gateway = await started(start_gateway, settings | {"storage.max_attempts": "1"}, clock)
    faulty.of_key[seen_key(settings["fallback.base_url"])] = error(*answer)
    for accept in (JSON, HTML):
        assert (await get(gateway, "/simple/public-lib/", accept=accept)).status == 503
    assert (await get(gateway, FILE)).status == 503


async def test_each_other_index_is_looked_at_for_the_first_time(
    start_gateway: StartGateway, settings: dict[str, str], clock: Clock, faulty: FaultyBucket, public: PublicIndex
) -> None:
    """What the one has had for long may be missing at the other, which is changed to later."""
    other = PublicIndex()
    other.projects = {"public-lib": {OLD: OLD_CONTENT}}
    other.fields = dict(public.fields)
    async with other.running():
        first = await started(start_gateway, settings | {"fallback.base_url": other.url}, clock)
        assert await shown(first) == [OLD]
        await faulty.until(lambda: seen_key(other.url) in faulty.objects)
    clock.now += 30 * DAY
    assert await shown(await started(start_gateway, settings, clock)) == [OLD, NAME]
