"""Finds the end of a request's head in the bytes that arrive. No I/O."""

import re

from gateway.errors import BadRequestError, GatewayError, HeadersTooLargeError, UriTooLongError
from gateway.server.connections.limits import REQUEST_LINE_BYTES, Limits

_END = b"\r\n\r\n"
_HTTP_2 = b"PRI "  # RFC 9113, 3.4: aiohttp's parser would wait for what follows this head
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_TLS = b"\x16\x03"  # RFC 8446, 5.1: a handshake record


class Head:
    """Reads one head after the other, each in any number of pieces."""

    __slots__ = ("_bytes", "_limits", "_lines", "_max_bytes", "_seam", "whole")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._max_bytes = limits.max_head_bytes
        self.whole: bytes | None = None
        """The bytes of the last head, if they came together."""
        self.begin()

    def begin(self) -> None:
        """The next bytes belong to another head."""
        self._bytes = self._lines = 0
        self._seam = b""  # the last bytes of a piece, which may be the start of the empty line

    def cut(self, piece: bytes) -> tuple[bytes, bytes | None]:
        """Splits `piece` into the bytes of the head, and those after its end, which are None while the head goes on. In
        the request line, bytes that no URI has (RFC 3986, 2) are percent-encoded: curl sends names as they are typed,
        and aiohttp would refuse them. Raises UriTooLongError or HeadersTooLargeError for a head that is too long."""
        seam = self._seam
        found = (seam + piece).find(_END)
        stop = found + len(_END) - len(seam) if found >= 0 else len(piece)
        self._bytes += stop
        if self._bytes > self._max_bytes:
            raise self._too_long(piece)
        part, first = piece[:stop], self._lines == 0
        self._lines += part.count(b"\n")
        if found < 0:
            self._seam = (seam + piece)[1 - len(_END) :]
            return _as_uri(part) if first else part, None
        self.whole = part if len(part) == self._bytes else None
        return _as_uri(part) if first else part, piece[stop:]

    def claim(self, headers: int) -> bool:
        """Whether a request with so many headers is made of exactly this head, which must have as many lines. True for
        one request at most."""
        same, self._lines = self._lines == headers + 2, -1
        return same

    def clear(self) -> None:
        self.whole, self._seam = None, b""

    def _too_long(self, piece: bytes) -> GatewayError:
        if self._lines or b"\n" in piece[: self._limits.max_target_bytes + REQUEST_LINE_BYTES]:
            return HeadersTooLargeError(f"head over {self._max_bytes} bytes")
        return UriTooLongError(f"target over {self._limits.max_target_bytes} bytes")


def _as_uri(part: bytes) -> bytes:
    """With the bytes up to the first end of a line in ASCII."""
    if part.isascii():
        return part
    line, end, rest = part.partition(b"\n")
    return _NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line) + end + rest


def other_protocol(start: bytes) -> GatewayError | None:
    """The error for bytes that begin like another protocol; None if they may be HTTP/1."""
    if start.startswith(_HTTP_2):
        return BadRequestError("HTTP/2", public="The request is not valid HTTP")
    if start.startswith(_TLS):
        hint = "TLS on a port without TLS: use http://, or set server.tls_cert and server.tls_key"
        return BadRequestError(hint, public="The request is not valid HTTP")
    return None
