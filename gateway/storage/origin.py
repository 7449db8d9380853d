"""Where the bytes of objects are had, by the gateway and by its clients."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from gateway.model import Caller
from gateway.storage.signed import Answer, SignedClient


@dataclass(frozen=True, slots=True)
class Grant:
    """The query string that opens URLs, and until when, in seconds since the epoch."""

    query: str
    expires_at: float


class Origin(Protocol):
    """Where the bytes of objects are had, by the gateway and by its clients. Paths are encoded and start with `/`."""

    async def open(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        """Asks for an object. Raises the error that remained after all healing."""

    def url(self, path: str) -> str:
        """The object's URL, without what opens it."""

    def serves(self, caller: Caller) -> bool:
        """Whether a URL can be made that works for this caller."""

    def slot(self, method: str, path: str, caller: Caller | None) -> Hashable:
        """What a grant is good for: where slots are equal, so are grants."""

    async def grant(self, method: str, path: str, caller: Caller | None, lifetime: int) -> Grant:
        """Signs, for `lifetime` seconds or less."""


class BucketOrigin:
    """The bucket itself: presigned URLs, or plain ones where its client does not sign."""

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def open(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        return await self._client.send(method, path, headers=headers)

    def url(self, path: str) -> str:
        endpoint = self._client.endpoint
        return f"{endpoint.origin}{endpoint.base_path}{path}"

    def serves(self, caller: Caller) -> bool:
        return True

    def slot(self, method: str, path: str, caller: Caller | None) -> Hashable:
        # With other credentials, or in another region, a URL is another.
        return method, path, self._client.endpoint, self._client.access_key()

    async def grant(self, method: str, path: str, caller: Caller | None, lifetime: int) -> Grant:
        return Grant(*await self._client.presign(method, path, lifetime))
