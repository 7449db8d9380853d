"""JSON that is saved compressed, and read back within limits: others may have written it. Pure."""

import json
import zlib
from typing import Any


def packed(value: Any) -> bytes:
    return zlib.compress(json.dumps(value).encode())


def unpacked(document: bytes, most: int) -> Any:
    """Raises ValueError if it is none, is damaged, or has more than `most` bytes."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(document, most)
        if not unpacker.eof:
            raise ValueError("damaged, or too long")
        return json.loads(text)
    except (zlib.error, RecursionError):
        raise ValueError("damaged") from None
