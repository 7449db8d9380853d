"""Reads the records of a zip archive: a quarter of a million small files, for which zipfile takes too long.

https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

The archive is not trusted: each record is inflated up to a limit, and so are all of them together. Only what a record
needs is looked at: archives in parts, encrypted ones, and files of over 4 GB are not read.
"""

import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Protocol, overload

_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_HEAD = struct.Struct("<4s22s2H")
_MAX_COMMENT_BYTES = 65535
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_SUFFIX = b".json"
MAX_RECORDS = 1_000_000
MAX_RECORD_BYTES = 4 * 1024 * 1024
_MAX_BYTES = 4 * 1024**3


class Archive(Protocol):
    """Bytes, or a file that is mapped to memory."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, at: int, /) -> int: ...
    @overload
    def __getitem__(self, part: slice, /) -> bytes: ...
    def rfind(self, sub: bytes, start: int = ..., stop: int = ..., /) -> int: ...


class ArchiveError(ValueError):
    """It is no archive, or one that holds too much."""


def records(
    archive: Archive, number: int = 0, of: int = 1, max_bytes: int = _MAX_BYTES
) -> Iterator[bytes | ValueError]:
    """Every `of`-th record, from that with this `number` on, or why it can't be read. Raises ArchiveError."""
    total = 0
    for entry in islice(_entries(archive), number, None, of):
        try:
            record = _inflated(archive, entry)
        except (ValueError, struct.error, zlib.error) as error:
            yield ValueError(str(error))
            continue
        total += len(record)
        if total > max_bytes:
            raise ArchiveError(f"its records have over {max_bytes} bytes")
        yield record


def _entries(archive: Archive) -> Iterator[tuple[int, ...]]:
    """Of the directory, those of records: flags, method, checksum, compressed and plain length, and place."""
    count, at = _directory(archive)
    if count > MAX_RECORDS:
        raise ArchiveError(f"it has over {MAX_RECORDS} files")
    for _ in range(count):
        try:
            fields = _ENTRY.unpack(archive[at : at + _ENTRY.size])
        except struct.error:
            raise ArchiveError("its directory is cut short") from None
        signature, _, _, flags, method, _, _, crc, packed, plain, name, extra, comment, _, _, _, place = fields
        if signature != b"PK\x01\x02":
            raise ArchiveError("its directory is damaged")
        at += _ENTRY.size
        if archive[at : at + name].endswith(_SUFFIX):
            yield flags, method, crc, packed, plain, place
        at += name + extra + comment


def _directory(archive: Archive) -> tuple[int, int]:
    """How many entries it has, and where they begin."""
    end = archive.rfind(b"PK\x05\x06", max(len(archive) - _MAX_COMMENT_BYTES - _END.size, 0))
    try:
        _, _, _, _, count, _, at, _ = _END.unpack(archive[end : end + _END.size] if end >= 0 else b"")
        if count == 0xFFFF or at == 0xFFFFFFFF:
            locator = archive[max(end - _END64_LOCATOR.size, 0) : end]
            signature, _, at, _ = _END64_LOCATOR.unpack(locator)
            if signature != b"PK\x06\x07":
                raise ArchiveError("it has no directory")
            signature, _, _, _, _, _, _, count, _, at = _END64.unpack(archive[at : at + _END64.size])
            if signature != b"PK\x06\x06":
                raise ArchiveError("it has no directory")
    except struct.error:
        raise ArchiveError("it is no zip archive, or is cut short") from None
    return count, at


def _inflated(archive: Archive, entry: tuple[int, ...]) -> bytes:
    flags, method, crc, packed, plain, place = entry
    if flags & _ENCRYPTED or method not in (_STORED, _DEFLATED):
        raise ValueError("it is encrypted, or compressed in an unusual way")
    if plain > MAX_RECORD_BYTES or packed > MAX_RECORD_BYTES:
        raise ValueError(f"it has over {MAX_RECORD_BYTES} bytes")
    signature, _, name, extra = _HEAD.unpack(archive[place : place + _HEAD.size])
    if signature != b"PK\x03\x04":
        raise ValueError("it is not where the directory says")
    start = place + _HEAD.size + name + extra
    content = archive[start : start + packed]
    if method == _DEFLATED:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        content = inflater.decompress(content, plain + 1)
    if len(content) != plain or zlib.crc32(content) != crc:
        raise ValueError("it is not as long as the directory says, or damaged")
    return content
