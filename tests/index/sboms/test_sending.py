"""How much memory SBOMs take that clients are slow to read."""

import pytest

from gateway.errors import UpstreamBusyError
from gateway.index.sboms.sending import SMALL_BYTES, Sending
from gateway.messages import BufferedResponse, Stream

LARGE = bytes(range(256)) * 1024


async def sent(answer: BufferedResponse | Stream) -> bytes:
    assert isinstance(answer, Stream)
    assert answer.body is not None
    return b"".join([piece async for piece in answer.body])


async def test_large_ones_are_sent_while_there_is_room() -> None:
    sending = Sending(2 * len(LARGE))
    first, second = (sending.answer("GET", {"ETag": "x"}, LARGE) for _ in range(2))
    for refused in (lambda: sending.answer("GET", {}, LARGE), lambda: sending.demand_room(SMALL_BYTES + 1)):
        with pytest.raises(UpstreamBusyError, match=f"{2 * len(LARGE)} bytes"):
            refused()
    assert await sent(first) == LARGE
    assert isinstance(first, Stream)
    assert first.headers == {"ETag": "x", "Content-Length": str(len(LARGE))}
    first.close()
    first.close()
    assert sending.used == len(LARGE)
    assert await sent(sending.answer("GET", {}, LARGE)) == LARGE
    assert await sent(second) == LARGE


async def test_small_ones_and_heads_need_no_room() -> None:
    sending = Sending(0)
    small = sending.answer("GET", {}, bytes(SMALL_BYTES))
    assert isinstance(small, BufferedResponse)
    sending.demand_room(SMALL_BYTES)
    head = sending.answer("HEAD", {}, LARGE)
    assert isinstance(head, Stream)
    assert (head.body, head.headers["Content-Length"], sending.used) == (None, str(len(LARGE)), 0)
