"""Decodes a stored page, by its bytes and its headers. Pure."""

import re
import zlib
from collections.abc import Mapping

_CHARSET = re.compile(r"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)
# All other charsets in use encode the ASCII of a link as UTF-8 does. Browsers read Latin-1 as windows-1252
# (https://encoding.spec.whatwg.org/#names-and-labels).
_CODECS = {
    "utf-16": "utf-16-le",
    "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be",
    "iso-8859-1": "cp1252",
    "windows-1252": "cp1252",
}
_BYTE_ORDER_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
# Values of Content-Encoding that uploaders set and that mean no encoding.
_NO_CODING = frozenset({"", "identity", "aws-chunked", "utf-8"})


def text_of(content: bytes, headers: Mapping[str, str], max_bytes: int) -> str:
    """The page as text, with bytes that can't be decoded replaced. `headers` has names as clients get them.

    Raises ValueError for a page with an unknown encoding, one that is damaged, or one over `max_bytes` bytes unpacked.
    """
    for coding in reversed(headers.get("Content-Encoding", "").lower().split(",")):
        content = _unpacked(content, coding.strip(), max_bytes)
    for mark, codec in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return content[len(mark) :].decode(codec, "replace")
    charset = _CHARSET.search(headers.get("Content-Type", ""))
    return content.decode(_CODECS.get(charset[1].lower(), "utf-8") if charset else "utf-8", "replace")


def _unpacked(content: bytes, coding: str, max_bytes: int) -> bytes:
    if coding in _NO_CODING:
        return content
    if coding not in ("gzip", "x-gzip"):
        raise ValueError(f"it is encoded as {coding}")
    return gunzip(content, max_bytes)


def gunzip(content: bytes, max_bytes: int) -> bytes:
    """Raises ValueError if `content` is damaged, cut short, or over `max_bytes` bytes unpacked."""
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        content = unpacking.decompress(content, max_bytes)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError("it is incomplete, or too large")
    return content
