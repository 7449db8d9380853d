"""Which requests share a fill, by disk or by memory."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from gateway.cache.channel import DiskChannel, MemoryChannel
from gateway.cache.disk.cache import DiskCache
from gateway.cache.fills import Fills
from gateway.errors import GatewayError, UpstreamError
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.transfer.open_file import read_parts
from gateway.transfer.parallel import MemoryBudget
from tests.support.eventually import eventually
from tests.support.fills import (
    BODY,
    DISK_BYTES,
    KEY,
    WINDOW_BYTES,
    Answer,
    Kept,
    NoSource,
    body_of,
    on_disk_now,
    parts_of,
    stats,
)


@pytest.fixture
def in_memory(budget: MemoryBudget, kept: Kept) -> Fills:
    return Fills(NoSource(), budget, None, kept)


async def test_requests_that_come_while_the_storage_is_asked_share_a_fill(in_memory: Fills) -> None:
    answer, never = Answer(), Answer()
    assert (in_memory.asking(KEY), in_memory.flowing(KEY), stats(in_memory)) == (False, None, (0, 0))
    first, second = in_memory.claim(KEY, answer), in_memory.claim(KEY, never)
    other = in_memory.claim("another", answer)
    assert first.fill is second.fill is not other.fill
    assert (first.fill.key, other.fill.key) == (KEY, "another")
    assert (in_memory.asking(KEY), in_memory.flowing(KEY), stats(in_memory)) == (True, None, (2, 3))
    answer.at_once()
    assert await first.head() is await second.head()
    assert in_memory.flowing(KEY) is first.fill
    assert first.fill.current
    assert isinstance(first.fill.channel, MemoryChannel)
    assert (first.take(), never.asked, answer.asked) == (None, [], [first.fill, other.fill])
    bodies = asyncio.gather(*(body_of(parts_of(claim)) for claim in (first, second)))
    answer.go_on.set()
    assert {*await bodies} == {BODY}
    with other:
        assert stats(in_memory) == (1, 1)
    await eventually(lambda: stats(in_memory) == (0, 0))
    assert (in_memory.asking(KEY), in_memory.flowing(KEY)) == (False, None)


async def test_a_request_that_is_alone_has_the_stream_and_the_next_ones_share_another(
    in_memory: Fills, budget: MemoryBudget
) -> None:
    first = in_memory.claim(KEY, Answer().at_once())
    await first.head()
    assert (first.fill.channel, in_memory.asking(KEY), in_memory.flowing(KEY)) == (None, False, None)
    stream = first.take()
    assert stream is not None
    elsewhere = in_memory.claim("another", Answer().at_once())
    await elsewhere.head()
    assert elsewhere.fill.channel is None, "that concerns another key"
    second = in_memory.claim(KEY, Answer().at_once())
    await second.head()
    assert second.fill is not first.fill
    assert isinstance(second.fill.channel, MemoryChannel)
    assert budget.free < WINDOW_BYTES
    third = in_memory.claim(KEY, Answer())
    assert third.fill is second.fill is in_memory.flowing(KEY)
    stream.close()
    assert in_memory.flowing(KEY) is second.fill, "the end of an older fill ends no other one"
    assert stats(in_memory) == (2, 3)
    for claim in (second, third, elsewhere):
        with claim:
            pass
    await eventually(lambda: stats(in_memory) == (0, 0))
    assert budget.free == WINDOW_BYTES
    again = in_memory.claim(KEY, Answer().at_once())
    await again.head()
    assert again.fill.channel is None
    with again:
        pass


@pytest.mark.parametrize("flows", [False, True])
async def test_no_request_joins_a_fill_that_is_being_cancelled(on_disk: Fills, flows: bool) -> None:
    first = on_disk.claim(KEY, Answer().at_once() if flows else Answer())
    if flows:
        await first.head()
        assert on_disk.flowing(KEY) is first.fill
    left = first.fill
    with first:
        pass  # the last claim is given back; the task of the fill ends in a later step
    assert (on_disk.asking(KEY), on_disk.flowing(KEY)) == (False, None)
    with on_disk.claim(KEY, Answer().at_once()) as second:
        assert second.fill is not left
        await second.head()
    await eventually(lambda: stats(on_disk) == (0, 0))


async def test_a_stream_that_no_request_has_taken_makes_no_channel(in_memory: Fills) -> None:
    first = in_memory.claim(KEY, Answer().at_once())
    await first.head()
    second = in_memory.claim(KEY, Answer().at_once())
    await second.head()
    assert second.fill is not first.fill
    assert second.fill.channel is None
    for claim in (first, second):
        with claim:
            pass
    await eventually(lambda: stats(in_memory) == (0, 0))


async def test_without_room_in_the_window_several_have_no_channel(in_memory: Fills, budget: MemoryBudget) -> None:
    assert budget.reserve(WINDOW_BYTES)
    answer = Answer().at_once()
    first, second = in_memory.claim(KEY, answer), in_memory.claim(KEY, answer)
    await first.head()
    assert first.fill.channel is None
    with first, second:
        stream = first.take()
        assert stream is not None
        assert second.take() is None
        stream.close()
    await eventually(lambda: stats(in_memory) == (0, 0))


async def test_with_a_disk_one_request_is_enough_and_what_is_there_is_told(
    on_disk: Fills, disk: DiskCache, kept: Kept
) -> None:
    answer = Answer().at_once()
    claim = on_disk.claim(KEY, answer)
    await claim.head()
    assert isinstance(claim.fill.channel, DiskChannel)
    later = on_disk.claim(KEY, Answer())
    assert later.fill is claim.fill is on_disk.flowing(KEY)
    bodies = asyncio.gather(body_of(parts_of(claim)), body_of(parts_of(later)))
    answer.go_on.set()
    assert {*await bodies} == {BODY}
    await eventually(lambda: stats(on_disk) == (0, 0))
    assert kept.heard == [(KEY, answer.found)]
    assert on_disk_now(disk) == BODY


async def test_an_object_that_the_disk_does_not_take_is_shared_as_without_one(on_disk: Fills, kept: Kept) -> None:
    answer = Answer(size=DISK_BYTES).at_once()
    alone = on_disk.claim("alone", answer)
    await alone.head()
    assert alone.fill.channel is None
    first, second = on_disk.claim(KEY, answer), on_disk.claim(KEY, answer)
    await first.head()
    assert isinstance(first.fill.channel, MemoryChannel)
    with alone, first, second:
        pass
    await eventually(lambda: stats(on_disk) == (0, 0))
    assert kept.heard == []


class Source:
    """Has the rest of the body."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked.append(dict(request.headers))
        headers = {"ETag": '"1"', "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"}
        return Stream(206, headers, self._rest(), nothing_to_close)

    async def _rest(self) -> AsyncIterator[bytes]:
        yield BODY[1000:]


async def test_a_reader_that_falls_out_of_the_window_goes_on_from_the_source(kept: Kept) -> None:
    source = Source()
    fills = Fills(source, MemoryBudget(len(BODY), 4), None, kept)  # a fill has a quarter of it
    answer = Answer().at_once()
    slow, left = fills.claim(KEY, answer), fills.claim(KEY, answer)
    await slow.head()
    parts = parts_of(slow)
    assert await anext(parts) == BODY[:1000]
    answer.go_on.set()
    with left:
        assert b"".join([chunk async for chunk in read_parts(parts)]) == BODY[1000:]
    assert source.asked == [{"range": f"bytes=1000-{len(BODY) - 1}", "if-match": '"1"'}]
    await eventually(lambda: stats(fills) == (0, 0))


async def test_a_fill_that_is_over_is_held_by_nothing(in_memory: Fills) -> None:
    answer = Answer().at_once()
    claim = in_memory.claim(KEY, answer)
    await claim.head()
    answer.asked.clear()
    fill = weakref.ref(claim.fill)
    with claim:
        pass
    await eventually(lambda: stats(in_memory) == (0, 0))
    gc.collect()
    assert fill() is None


async def test_a_bug_in_a_body_is_not_told_as_the_gateway_s_end(
    on_disk: Fills, caplog: pytest.LogCaptureFixture
) -> None:
    class Backend(Answer):
        async def _body(self) -> AsyncIterator[bytes]:
            yield BODY[:1000]
            await self.go_on.wait()
            raise OSError("a backend of the user's own")

    answer = Backend().at_once()
    claim = on_disk.claim(KEY, answer)
    await claim.head()
    parts, leave = claim.read(0, len(BODY))
    answer.go_on.set()
    with pytest.raises(GatewayError, match="unexpected exception, see the log above"):
        await body_of(parts)
    leave()
    assert f"reading '{KEY}' failed: this is a bug" in caplog.text
    assert "a backend of the user's own" in caplog.text
    await eventually(lambda: stats(on_disk) == (0, 0))


async def test_close_ends_all_fills_and_their_streams(on_disk: Fills, budget: MemoryBudget) -> None:
    asked, flowing = Answer(), Answer().at_once()
    waiting, reader = on_disk.claim("another", asked), on_disk.claim(KEY, flowing)
    await reader.head()
    parts, leave = reader.read(0, len(BODY))
    reading = asyncio.ensure_future(body_of(parts))
    await on_disk.close()
    with waiting, pytest.raises(UpstreamError, match="the gateway stops"):
        await waiting.head()
    with pytest.raises(UpstreamError, match="the gateway stops"):
        await reading
    assert flowing.closed == 1
    leave()
    assert stats(on_disk) == (0, 0)
    assert budget.free == WINDOW_BYTES
