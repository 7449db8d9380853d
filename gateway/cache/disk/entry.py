"""One object in a file: its body, then its metadata and the hashes of its blocks, then a footer.

    body | JSON: id, etag, modified, headers | SHA-256 of each MiB | magic, lengths of the JSON and of the body, SHA-256
    of the bytes between body and footer

The body is first, so that the kernel can send any part of it. The hashes replace fsync: when a process first reads an
entry that a crash, the disk or an edit has damaged, it detects the damage and drops the entry.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.cache.disk.blocks import hashes_length

_MAGIC = b"gateway2"
_FOOTER = struct.Struct(">8sIQ32s")
_MAX_JSON_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class EntryHeader:
    """Describes the object in an entry. `id` names its storage and key; `headers` are those of a 200, for clients;
    `modified` is in seconds since the epoch, if known."""

    id: str
    etag: str
    modified: int | None
    headers: Mapping[str, str]


def end_of_entry(header: EntryHeader, size: int, hashes: bytes) -> bytes:
    """Returns the bytes that follow a body of `size` bytes; `hashes` are those of its blocks."""
    text = json.dumps(
        {"id": header.id, "etag": header.etag, "modified": header.modified, "headers": dict(header.headers)}
    ).encode()
    end = text + hashes
    return end + _FOOTER.pack(_MAGIC, len(text), size, hashlib.sha256(end).digest())


def read_end(descriptor: int) -> tuple[EntryHeader, int, bytes]:
    """Returns an entry's header, the size of its body in bytes, and the hashes of its blocks. Raises ValueError if the
    file is not an entry, or has changed after the body; does not read the body."""
    footer = os.fstat(descriptor).st_size - _FOOTER.size
    magic, length, size, digest = _FOOTER.unpack(_read(descriptor, _FOOTER.size, footer))
    if magic != _MAGIC or length > _MAX_JSON_BYTES or size + length + hashes_length(size) != footer:
        raise ValueError("the file has no valid footer")
    end = _read(descriptor, footer - size, size)
    if hashlib.sha256(end).digest() != digest:
        raise ValueError("the bytes after the body have changed")
    try:
        header = EntryHeader(**json.loads(end[:length]))
    except TypeError as error:
        raise ValueError(f"the header is invalid: {error}") from error
    return header, size, end[length:]


def _read(descriptor: int, count: int, position: int) -> bytes:
    block = os.pread(descriptor, count, position) if position >= 0 else b""
    if len(block) != count:
        raise ValueError("the file is too short")
    return block
