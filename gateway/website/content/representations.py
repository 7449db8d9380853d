"""In which encoding a client gets an object (RFC 9110, 8.4 and 12.5.3).

Each encoding is a representation with an ETag of its own, and the conditions of a request are about the one that the
client would get. A range is one of the plain bytes, as for clients that know nothing of encodings, unless If-Range
names another representation, or the client refuses plain bytes. A date in If-Range can't tell representations apart:
it never holds.
"""

import re
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from gateway.errors import GatewayError
from gateway.http.content_types import is_compressed
from gateway.http.headers import is_package_file
from gateway.messages import ObjectRequest, Redirect, SiteRequest, Stream
from gateway.website.content.compression import ENCODINGS, Compression
from gateway.website.content.siblings import Siblings
from gateway.website.content.typed_objects import TypedObjects
from gateway.website.content.welcome import Welcome, welcome

_NAME = "Accept-Encoding"
_TAG = re.compile(r'\s*(?:W/)?"')


class Representations:
    """Fetches objects in the encoding that is best for the client."""

    def __init__(
        self,
        objects: TypedObjects,
        siblings: Siblings | None,
        compression: Compression | None,
        stored: tuple[str, ...],
    ) -> None:
        """`stored` are the encodings of `siblings`."""
        self._objects = objects
        self._siblings = siblings
        self._compression = compression
        self._offered = tuple(dict.fromkeys((*stored, *(ENCODINGS if compression is not None else ()))))

    async def close(self) -> None:
        if self._siblings is not None:
            await self._siblings.close()

    def expire(self) -> None:
        """Has siblings looked for anew."""
        if self._siblings is not None:
            self._siblings.expire()

    def fetch(self, asked: ObjectRequest, request: SiteRequest) -> Coroutine[Any, Any, Stream | Redirect]:
        """Raises the errors of the storage, for the representation that is asked for."""
        key = asked.key
        if not self._offered or asked.version or is_package_file(key) or is_compressed(key):
            return self._objects.fetch(asked)
        return self._negotiated(asked, request)

    async def _negotiated(self, asked: ObjectRequest, request: SiteRequest) -> Stream | Redirect:
        header = ", ".join(request.headers.getall(_NAME, ()))
        answer = await self._best(asked, request, welcome(header, self._offered))
        vary = answer.headers.get("Vary", "")
        headers = {**answer.headers, "Vary": _varied(vary)}
        if isinstance(answer, Redirect):
            return replace(answer, headers=headers)
        answer.headers = headers
        return answer

    async def _best(self, asked: ObjectRequest, request: SiteRequest, liked: Welcome) -> Stream | Redirect:
        if_range = asked.headers.get("if-range") if "range" in asked.headers else None
        if if_range is not None and not _TAG.match(if_range):
            kept = {name: value for name, value in asked.headers.items() if name not in ("range", "if-range")}
            asked = replace(asked, headers=kept)
        if not liked.encodings:
            return await self._objects.fetch(asked)
        if "range" in asked.headers:
            if if_range is not None:
                return await self._part(asked, request, liked)
            if liked.plain:
                return await self._objects.fetch(asked)
        return await self._encoded(asked, request, liked) or await self._objects.fetch(asked)

    async def _part(self, asked: ObjectRequest, request: SiteRequest, liked: Welcome) -> Stream | Redirect:
        """A part of the representation that If-Range names; the whole of the best one if it names none of now."""
        encoded = await self._encoded(asked, request, liked)
        if encoded is None or not isinstance(encoded, Stream) or encoded.status != 200:
            return encoded or await self._objects.fetch(asked)
        try:
            plain = await self._objects.fetch(replace(asked, redirect_for=None))
        except GatewayError:
            return encoded  # for which the conditions hold
        except BaseException:
            encoded.close()
            raise
        chosen, other = (plain, encoded) if plain.status == 206 else (encoded, plain)
        if isinstance(other, Stream):
            other.close()
        return chosen

    async def _encoded(self, asked: ObjectRequest, request: SiteRequest, liked: Welcome) -> Stream | Redirect | None:
        """None if there is nothing but the object itself."""
        if self._siblings is not None:
            found = await self._siblings.fetch(asked, liked.encodings, request.principal)
            if found is not None:
                return found
        return await self._compression.fetch(asked, liked.encodings) if self._compression is not None else None


def _varied(vary: str) -> str:
    named = [name.strip().lower() for name in vary.split(",")]
    if "*" in named or _NAME.lower() in named:
        return vary
    return f"{vary}, {_NAME}" if vary else _NAME
