"""The objects of a site with the content types that they have there."""

from collections.abc import Mapping

from gateway.http.content_types import UNTYPED, suffix_of, type_of, with_charset
from gateway.messages import ObjectRequest, Redirect, Stream
from gateway.storage.base import Storage


class TypedObjects:
    """Fetches objects. The type of one that was uploaded without a type is what its name says."""

    def __init__(self, storage: Storage, types: Mapping[str, str]) -> None:
        """`types` are more of them, by extension, and count before those that are known."""
        self._storage = storage
        self._stores_types = not getattr(storage, "local", False)  # a directory gives those that names say
        self._types = {suffix: with_charset(value) for suffix, value in types.items()}

    async def fetch(self, request: ObjectRequest) -> Stream | Redirect:
        """Raises the errors of the storage."""
        answer = await self._storage.fetch(request)
        if isinstance(answer, Redirect):
            return answer
        if answer.status == 304:
            # Clients would put a 304's in the place of their own, and that of the storage says less.
            answer.headers = {name: value for name, value in answer.headers.items() if not name.startswith("Content-")}
            return answer
        given = answer.headers.get("Content-Type", "")
        content_type = self._type(request.key, given)
        if content_type != given:
            answer.headers = {**answer.headers, "Content-Type": content_type}
        return answer

    def _type(self, key: str, given: str) -> str:
        if given not in UNTYPED and (self._stores_types or not self._types):
            return given
        known = type_of(key)
        if given in UNTYPED or given == known:
            return self._types.get(suffix_of(key), known or given or "application/octet-stream")
        return given
