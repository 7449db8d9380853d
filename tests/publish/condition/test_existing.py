"""What is found under a key while others delete it and write it again."""

from collections import deque
from hashlib import sha256

import pytest

from gateway.config.storage_settings import StorageSettings
from gateway.errors import FileExistsConflictError, GatewayError, NotFoundError, UpstreamBusyError
from gateway.publish.condition.existing import Existing
from gateway.storage.base import ObjectMetadata, one_chunk
from tests.support.memorystorage import MemoryStorage

KEY, CONTENT = "acme/acme-1.0.tar.gz", b"content"
MINE = sha256(CONTENT).hexdigest()


class Flickering(MemoryStorage):
    """Has the object whenever the next of `looks` says so."""

    def __init__(self, *looks: bool) -> None:
        super().__init__(StorageSettings())
        self._looks = deque(looks)

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        if not self._looks.popleft():
            raise NotFoundError(f"{key} is away")
        return await super().metadata(key, etag)


@pytest.mark.parametrize(
    ("looks", "sha256", "error"),
    [
        ((True,), MINE, None),
        ((True, True), "11" * 32, FileExistsConflictError),
        ((False, False), MINE, UpstreamBusyError),
        ((False, True), MINE, UpstreamBusyError),
    ],
)
async def test_only_other_bytes_are_a_conflict(
    looks: tuple[bool, ...], sha256: str, error: type[GatewayError] | None
) -> None:
    storage = Flickering(*looks)
    await storage.put(KEY, one_chunk(CONTENT))
    raised = None
    try:
        await Existing(storage).demand_same(KEY, len(CONTENT), sha256)
    except GatewayError as failure:
        raised = type(failure)
    assert raised is error
