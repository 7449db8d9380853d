"""Nobody gets bytes of an upload before they have been inspected, in order, one piece at a time."""

import threading
from collections.abc import AsyncIterator
from typing import cast

import pytest

from gateway.errors import BadRequestError, ContentTooLargeError
from gateway.publish.content import Content, FormReader
from gateway.publish.form import UploadForm
from gateway.publish.inspection import Inspection
from tests.support.uploads import FORM, form

FILE = bytes(range(256)) * 8000  # four pieces, almost
MOST = len(FILE)


class Seen:
    """In the place of an inspection: what it was fed, and where it refuses."""

    def __init__(self, refuses: int = MOST) -> None:
        self.data = b""
        self._refuses = refuses
        self._lock = threading.Lock()

    def feed(self, data: bytes) -> None:
        assert self._lock.acquire(blocking=False), "two at once"
        try:
            self.data += data
            if len(self.data) > self._refuses:
                raise BadRequestError("refused")
        finally:
            self._lock.release()

    def finish(self) -> str:
        return "digest"


async def content(seen: Seen, most: int = MOST) -> Content:
    body = form("a-1.0.tar.gz", FILE, {})

    async def arriving() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    reader = FormReader(UploadForm(FORM["Content-Type"], len(body)), arriving())
    assert await reader.to_file() == "a-1.0.tar.gz"
    return Content(reader.pieces(), cast(Inspection, seen), most)


async def test_all_of_it_is_given_after_it_has_been_inspected() -> None:
    seen, given = Seen(), b""
    made = await content(seen)
    async for chunk in made.chunks():
        given += chunk
        assert seen.data.startswith(given)
        assert made.sha256 == ""
    assert given == seen.data == FILE
    assert (made.sha256, made.size) == ("digest", len(FILE))


@pytest.mark.parametrize("refuses", [0, 600_000, 1_200_000, MOST - 1])
async def test_what_is_refused_is_not_given(refuses: int) -> None:
    made, given = await content(Seen(refuses)), bytearray()

    async def take() -> None:
        async for chunk in made.chunks():
            given.extend(chunk)

    with pytest.raises(BadRequestError):
        await take()
    assert len(given) <= refuses
    assert made.sha256 == ""


async def test_what_is_too_long_does_not_end() -> None:
    made = await content(Seen(), MOST - 1)
    with pytest.raises(ContentTooLargeError):
        async for _ in made.chunks():
            pass
    assert made.sha256 == ""
