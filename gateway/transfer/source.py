"""The protocol through which transfers and caches fetch objects."""

from typing import Protocol

from gateway.messages import ObjectRequest, Stream


class ObjectSource(Protocol):
    """Answers requests for objects. Storage backends and their decorators implement it."""

    async def fetch(self, request: ObjectRequest) -> Stream:
        """Answers GET or HEAD for one key, honouring Range and If-*. Raises GatewayErrors only."""
