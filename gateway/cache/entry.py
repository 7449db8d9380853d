"""One object in a file: its bytes, then what is known of it, then a footer that proves both.

    body | JSON: id, etag, modified, headers | magic, length of the JSON, SHA-256 of all that is before the footer

The body is first, so that the kernel can send any part of it. The hash stands in for fsync: what a crash has torn, a
disk has forgotten or somebody has edited is told when a process first opens it, and dropped.
"""

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_MAGIC = b"gateway1"
_FOOTER = struct.Struct(">8sI32s")
_MAX_JSON_BYTES = 64 * 1024
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class EntryFacts:
    """Of the object in an entry. `id` names where it comes from; `headers` are those of a 200, for clients; `modified`
    is in seconds since the epoch, if that is told."""

    id: str
    etag: str
    modified: int | None
    headers: Mapping[str, str]


def end_of_entry(facts: EntryFacts, digest: "hashlib._Hash") -> bytes:
    """What follows the body; `digest` has seen the body, and is used up."""
    text = json.dumps(
        {"id": facts.id, "etag": facts.etag, "modified": facts.modified, "headers": dict(facts.headers)}
    ).encode()
    digest.update(text)
    return text + _FOOTER.pack(_MAGIC, len(text), digest.digest())


def read_facts(descriptor: int) -> tuple[EntryFacts, int]:
    """What an entry's file says of its object, and how many bytes the body has. Raises ValueError if it is no entry."""
    end = os.fstat(descriptor).st_size - _FOOTER.size
    magic, length, _ = _FOOTER.unpack(_read(descriptor, _FOOTER.size, end))
    size = end - length
    if magic != _MAGIC or length > _MAX_JSON_BYTES or size < 0:
        raise ValueError("no entry's footer")
    try:
        facts = EntryFacts(**json.loads(_read(descriptor, length, size)))
    except TypeError as error:
        raise ValueError(f"not an entry's facts: {error}") from error
    return facts, size


def verify(descriptor: int) -> None:
    """Reads all of it. Raises ValueError if a byte differs from what was written."""
    position, end = 0, os.fstat(descriptor).st_size - _FOOTER.size
    digest = hashlib.sha256()
    while position < end:
        block = _read(descriptor, min(_BLOCK_BYTES, end - position), position)
        digest.update(block)
        position += len(block)
    if digest.digest() != _FOOTER.unpack(_read(descriptor, _FOOTER.size, end))[2]:
        raise ValueError("its bytes have changed")


def _read(descriptor: int, count: int, position: int) -> bytes:
    block = os.pread(descriptor, count, position) if position >= 0 else b""
    if len(block) != count:
        raise ValueError("it is too short")
    return block
