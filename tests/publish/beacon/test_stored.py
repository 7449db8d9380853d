"""What the storage answers is read within bounds."""

from collections.abc import AsyncIterator

from gateway.messages import ObjectRequest, Stream
from gateway.publish.beacon.ring import MOST_BYTES
from gateway.publish.beacon.stored import Found, StoredBeacon
from tests.support.scriptedstorage import ScriptedStorage


class EndlessStorage(ScriptedStorage):
    """Its objects never end, and have ETags of 5,000 characters."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0
        self.closed = False

    async def fetch(self, request: ObjectRequest) -> Stream:
        return Stream(200, {"ETag": f'"{"x" * 5000}"'}, self._body(), self._close)

    async def _body(self) -> AsyncIterator[bytes]:
        while self.given < 10 * MOST_BYTES:
            self.given += 1000
            yield b"[" * 1000

    def _close(self) -> None:
        self.closed = True


async def test_an_object_without_an_end_is_given_up() -> None:
    storage = EndlessStorage()
    assert await StoredBeacon(storage).read() == Found(None, None, f"over {MOST_BYTES} bytes")
    assert storage.given <= MOST_BYTES + 1000
    assert storage.closed
