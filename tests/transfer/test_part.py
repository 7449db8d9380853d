"""Parts of an object, from a source that is down or ends early."""

from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamError, UpstreamUnavailableError
from gateway.messages import ObjectRequest, Stream, nothing_to_close
from gateway.transfer import part
from gateway.transfer.body import Body
from gateway.transfer.part import fetch_part

SIZE = 1000


def unavailable(wait: float) -> UpstreamUnavailableError:
    error = UpstreamUnavailableError("down")
    error.wait = wait
    return error


class Source:
    """Is down for so many requests, then has an object."""

    def __init__(self, down_for: float) -> None:
        self.down_for = down_for
        self.asked = 0

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked += 1
        if self.asked <= self.down_for:
            raise unavailable(0.001)
        headers = {"ETag": '"e"', "Content-Range": f"bytes 10-{SIZE - 1}/{SIZE}"}
        return Stream(206, headers, chunks(), nothing_to_close)


async def chunks(*given: bytes) -> AsyncIterator[bytes]:
    for chunk in given:
        yield chunk


async def test_a_part_waits_for_a_source_that_is_down_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would wait as long, and give up before."""
    source = Source(3)
    assert (await fetch_part(source, "k", '"e"', 10, SIZE, SIZE)).status == 206
    assert source.asked == 4
    monkeypatch.setattr(part, "_WAIT_SECONDS", 0.02)
    source = Source(float("inf"))
    with pytest.raises(UpstreamUnavailableError):
        await fetch_part(source, "k", '"e"', 10, SIZE, SIZE)
    assert source.asked > 1


@pytest.mark.parametrize("headers", [{}, {"ETag": '"e"'}])
async def test_a_body_that_ends_early_is_not_taken_for_a_whole_one(headers: dict[str, str]) -> None:
    """Whatever the backend says: one from a plug-in may not notice."""
    stream = Stream(200, headers | {"Content-Length": str(SIZE)}, chunks(bytes(SIZE - 1)), nothing_to_close)
    body = Body(Source(0), "k", stream)
    assert await body.read() == bytes(SIZE - 1)
    with pytest.raises(UpstreamError, match="ended at byte 999 of 1000"):
        await body.read()
