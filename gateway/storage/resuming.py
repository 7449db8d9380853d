"""Transfers that survive: bodies are verified, resumed, and fetched in parallel ranges."""

from collections.abc import Mapping

from gateway.config.settings import ParallelSettings
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Backend
from gateway.storage.decorator import StorageDecorator
from gateway.transfer.parallel import MemoryBudget
from gateway.transfer.reader import ObjectReader


class ResumingStorage(StorageDecorator):
    """A StorageDecorator for a backend that answers ranges and conditions."""

    def __init__(self, inner: Backend, parallel: ParallelSettings, window: MemoryBudget) -> None:
        """`window` is the memory for large bodies."""
        super().__init__(inner)
        self._window = window
        self._reader = ObjectReader(inner, parallel, window)

    async def fetch(self, request: ObjectRequest) -> Stream:
        return await self._reader.fetch(request)

    def stats(self) -> Mapping[str, int]:
        return {**self.inner.stats(), "window_free": self._window.free}
