"""The document of exceptions, as it lies in the storage."""

import asyncio
import random
from collections.abc import Callable, Sequence

from gateway.errors import (
    ACCESS_DENIED,
    UNREADABLE,
    BadRequestError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamBusyError,
    UpstreamError,
)
from gateway.executors import FOREIGN
from gateway.messages import ObjectRequest
from gateway.policy.exceptions import MOST_BYTES, PolicyException, decode, encode
from gateway.storage.base import Storage
from gateway.storage.content import content_of, swap_content

_TRIES = 10
_PAUSE_SECONDS = 0.1
# Changes the exceptions.
Change = Callable[[Sequence[PolicyException]], Sequence[PolicyException]]


class StoredExceptions:
    """One object for all projects of an index, which is changed by compare-and-swap."""

    def __init__(self, storage: Storage, root: str) -> None:
        """`root` is the key above all projects: other indexes in the same storage have others."""
        self._storage = storage
        self.key = f".gateway/policy{f'/{root}'.rstrip('/')}.json"

    async def read(self, known: str | None = None) -> tuple[Sequence[PolicyException], str | None] | None:
        """The exceptions, and the ETag of their document; None if that is still `known`. There are none where there is
        no document. Raises GatewayErrors, and ValueError if the document can't be understood."""
        headers = {"if-none-match": known} if known is not None else {}
        try:
            answer = await self._storage.fetch(ObjectRequest("GET", self.key, headers, uncached=True))
        except NotFoundError as error:
            if error.code in (ACCESS_DENIED, UNREADABLE):  # it may be there, for those who may read it
                raise UpstreamError(f"{self.key} may not be read: {error.detail}", code=error.code) from error
            return (), None
        content = await content_of(answer, MOST_BYTES)
        if answer.status == 304:
            return None
        return await FOREIGN.run(decode, content), answer.headers.get("ETag")

    async def change(self, change: Change) -> None:
        """Raises GatewayErrors."""
        for _ in range(_TRIES):
            try:
                found = await self.read()
            except ValueError as error:
                message = f"{self.key} can't be understood: {error}. Repair or remove it"
                raise UpstreamError(message, public=message) from error
            assert found is not None, "it was read without a condition"
            before, etag = found
            try:
                document = await FOREIGN.run(encode, change(before))
            except ValueError as error:
                raise BadRequestError(str(error), public=f"{self.key} has no room for more exceptions") from error
            try:
                await swap_content(self._storage, self.key, document, "application/json", etag)
            except (PreconditionFailedError, NotFoundError):  # the latter if somebody has removed it
                await asyncio.sleep(_PAUSE_SECONDS * random.random())  # noqa: S311  those who met must not meet again
            else:
                return
        raise UpstreamBusyError(f"others change {self.key} all the time")
