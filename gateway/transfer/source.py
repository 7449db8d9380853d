"""Where the bytes of objects come from, as transfers and caches see it."""

from typing import Protocol

from gateway.messages import ObjectRequest, Stream


class ObjectSource(Protocol):
    """Answers requests for objects. A storage backend is one, and so is each decorator that adds to its answers."""

    async def fetch(self, request: ObjectRequest) -> Stream:
        """Answers GET or HEAD for one key, honouring Range and If-*. Raises GatewayErrors only."""
