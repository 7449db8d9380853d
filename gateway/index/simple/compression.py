"""Compresses bodies for clients that accept it (RFC 9110, 8.4)."""

import gzip
import sys
from collections.abc import Callable, Mapping

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_FROM_BYTES = 1400  # a body that fits into one packet gains nothing


def _gzip(body: bytes) -> bytes:
    return gzip.compress(body, compresslevel=6, mtime=0)


_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {"gzip": _gzip, "zstd": zstd.compress}


def compress(body: bytes, encoding: str | None) -> tuple[bytes, str | None]:
    """The body as it is sent, and its Content-Encoding; None if the body is too small to be worth compressing."""
    if encoding is None or len(body) < _FROM_BYTES:
        return body, None
    return _ENCODERS[encoding](body), encoding
