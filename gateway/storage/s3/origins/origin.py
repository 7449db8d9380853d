"""The interface of origins, and the bucket as an origin."""

from collections.abc import Coroutine, Hashable
from typing import Any, Protocol

from gateway.messages import Caller
from gateway.storage.s3.client import Answer, SignedClient, SignedQuery


class Origin(Protocol):
    """A server from which the gateway and its clients read objects. Paths are encoded and start with `/`."""

    async def open(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        """Requests an object. Raises the error that remains after all remedies."""

    def url(self, path: str) -> str:
        """The object's URL, without a signature."""

    @property
    def shared(self) -> bool:
        """Whether a URL works for every caller, not only for the one it was signed for."""

    def serves(self, caller: Caller) -> bool:
        """Whether a URL can be made that works for this caller."""

    def variant(self, caller: Caller | None) -> Hashable:
        """A value that differs when URLs of the same object would be signed differently."""

    def scope(self, path: str) -> str:
        """The resource that one signature covers: objects of the same scope share it."""

    async def grant(self, method: str, path: str, caller: Caller | None, lifetime: int) -> SignedQuery:
        """Signs a URL for `lifetime` seconds or less."""


class BucketOrigin:
    """The bucket itself: presigned URLs, or plain ones if its client does not sign."""

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    def open(self, method: str, path: str, headers: dict[str, str]) -> Coroutine[Any, Any, Answer]:
        return self._client.send(method, path, headers=headers)

    @property
    def shared(self) -> bool:
        return True

    def url(self, path: str) -> str:
        endpoint = self._client.endpoint
        return f"{endpoint.origin}{endpoint.base_path}{path}"

    def serves(self, caller: Caller) -> bool:
        return True

    def variant(self, caller: Caller | None) -> Hashable:
        return self._client.endpoint.region, self._client.access_key()

    def scope(self, path: str) -> str:
        return path

    def grant(self, method: str, path: str, caller: Caller | None, lifetime: int) -> Coroutine[Any, Any, SignedQuery]:
        return self._client.presign(method, path, lifetime)
