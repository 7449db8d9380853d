"""The SBOMs of a wheel as answers to a request."""

from gateway.cache.lru import MemoryLimit
from gateway.errors import NotFoundError
from gateway.http.conditions import not_modified
from gateway.index.etags import conditional, etag_of
from gateway.index.sboms.contents import Sboms
from gateway.index.sboms.listing import form_for, headers_of, render
from gateway.index.sboms.media_types import media_type
from gateway.index.sboms.sending import Sending
from gateway.index.sboms.wheel_sboms import MAX_SBOM_BYTES, WheelSboms
from gateway.index.wheels.parts import RemoteWheel
from gateway.index.wheels.wheel import WheelError
from gateway.messages import BufferedResponse, PageRequest, Stream

_MAX_SENDING_BYTES = 4 * MAX_SBOM_BYTES
# Somebody else has written it: no browser may take it for a page of ours, whatever its type and its content.
_FOREIGN_HEADERS = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class SbomAnswers:
    """Whether the wheel itself may be read was decided before."""

    def __init__(self, memory: MemoryLimit) -> None:
        self._wheels = WheelSboms(memory)
        self.sending = Sending(_MAX_SENDING_BYTES)

    async def answer(self, wheel: RemoteWheel, path: str, request: PageRequest) -> BufferedResponse | Stream:
        """One SBOM, or the list if `path` is empty. Raises NotFoundError, with the reason, if there is none, or none
        that can be read; and the errors of reading the wheel."""
        try:
            sboms = await self._wheels.of(wheel)
            if not path:
                return _listed(wheel, sboms, request)
            if path not in sboms.members:
                raise NotFoundError(f"no SBOM {path!r}", public=f"{wheel.name} has no such SBOM")
            return await self._document(wheel, sboms, path, request)
        except WheelError as error:
            public = f"The SBOMs of {wheel.name} can't be read: {error}"
            raise NotFoundError(str(error), public=public) from error

    async def _document(
        self, wheel: RemoteWheel, sboms: Sboms, path: str, request: PageRequest
    ) -> BufferedResponse | Stream:
        headers = {"Content-Type": media_type(path), **_FOREIGN_HEADERS}
        if wheel.version:
            headers["ETag"] = etag_of(f"{wheel.version}\n{path}".encode())
            if not_modified(request.wanted, etag=headers["ETag"], modified=None):
                return BufferedResponse(304, b"", headers)
        self.sending.demand_room(min(sboms.members[path].size, MAX_SBOM_BYTES))
        return self.sending.answer(request.method, headers, await self._wheels.document(wheel, sboms, path))


def _listed(wheel: RemoteWheel, sboms: Sboms, request: PageRequest) -> BufferedResponse:
    form = form_for(request.accept)
    body = render(form, wheel.name, sboms)
    return conditional(body, etag_of(body), headers_of(form), request.wanted)
