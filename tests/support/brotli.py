"""Brotli streams (RFC 7932), without a library: the bytes are in them as they are."""

_MOST = 1 << 16


def stored(content: bytes) -> bytes:
    """Blocks that are not compressed, and the end. Every reader of Brotli gets `content` out of it."""
    parts = []
    for start in range(0, len(content), _MOST):
        block = content[start : start + _MOST]
        # 9.2: not the last, a length of four nibbles, uncompressed; 9.1: in front of the first, a window of 64 KB.
        bits = (len(block) - 1) << 3 | 1 << 19
        parts += [(bits << (1 if start == 0 else 0)).to_bytes(3, "little"), block]
    return b"".join([*parts, b"\x03" if parts else b"\x06"])


def content(stream: bytes) -> bytes:
    """What `stored` was given."""
    parts, position, shift = [], 0, 1
    while stream[position] not in (3, 6) or position + 1 < len(stream):
        bits = int.from_bytes(stream[position : position + 3], "little") >> shift
        length = (bits >> 3 & 0xFFFF) + 1
        parts.append(stream[position + 3 : position + 3 + length])
        position, shift = position + 3 + length, 0
    return b"".join(parts)
