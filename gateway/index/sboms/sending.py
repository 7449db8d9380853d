"""The memory of large SBOMs that are being sent: clients decide how slowly they read, and how many they ask for."""

from collections.abc import AsyncIterator, Mapping

from gateway.errors import UpstreamBusyError
from gateway.messages import BufferedResponse, Stream, nothing_to_close

SMALL_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024


class Sending:
    """Small ones need no turn."""

    def __init__(self, max_bytes: int) -> None:
        """What large ones may take together."""
        self.used = 0
        self._max_bytes = max_bytes

    def demand_room(self, size: int) -> None:
        """Raises UpstreamBusyError if an SBOM of this size could not be sent now."""
        if size > SMALL_BYTES and self.used + size > self._max_bytes:
            public = "Too many large SBOMs are being sent; try again"
            raise UpstreamBusyError(f"large SBOMs of {self.used} bytes are being sent", public=public)

    def answer(self, method: str, headers: Mapping[str, str], body: bytes) -> BufferedResponse | Stream:
        """Raises as `demand_room`."""
        if len(body) <= SMALL_BYTES:
            return BufferedResponse(200, body, dict(headers))
        headers = {**headers, "Content-Length": str(len(body))}
        if method == "HEAD":
            return Stream(200, headers, None, nothing_to_close)
        self.demand_room(len(body))
        self.used += len(body)
        held = [len(body)]

        def close() -> None:
            while held:
                self.used -= held.pop()

        return Stream(200, headers, _pieces(body), close)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), _PIECE_BYTES):
        yield body[at : at + _PIECE_BYTES]
