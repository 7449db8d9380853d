"""Reads the metadata and other members of a remote wheel with few requests: a few kilobytes of its end, and perhaps
one member.

The format is ZIP (PKWARE's APPNOTE.TXT, 4.3), with the content that the binary distribution format specifies.
Sizes and offsets in the archive are checked against the file's size before they are used.
"""

import struct
import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from gateway.executors import FOREIGN
from gateway.index.simple.names import normalize
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES

# Bytes `start` to `stop` (exclusive), exactly.
Read = Callable[[int, int], Awaitable[bytes]]

# The end of most wheels contains their directory, and their metadata too, which tools write last.
TAIL_BYTES = 64 * 1024
MAX_DIRECTORY_BYTES = 8 * 1024 * 1024  # some 70,000 members
# What compression may add to a member that can't be compressed.
_PACKING_BYTES = 1024
# Bytes that may stand between a member's header and its content, besides its name.
_EXTRA_BYTES = 256
_END = struct.Struct("<4s4H2LH")
_END64_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY = struct.Struct("<4s4B4HL2L5H2L")
_LOCAL = struct.Struct("<4s2B4HL2L2H")
_END_SIGNATURE = b"PK\x05\x06"
_MAX_END_BYTES = _END.size + 0xFFFF  # with the longest comment
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_IN_ZIP64 = 0xFFFFFFFF
_ZIP64_EXTRA = 1
_NAME = b"METADATA"
_METADATA = b".dist-info/" + _NAME


class WheelError(ValueError):
    """The file is not a wheel with readable metadata; the text says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as its entry in the directory describes it."""

    method: int
    flags: int
    crc: int
    packed: int
    size: int
    offset: int
    name_length: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries of all members, as they are in the archive. They lie at `start`, behind the members."""

    start: int
    entries: bytes


async def read_metadata(project: str, size: int, tail: bytes, read: Read) -> bytes:
    """METADATA of a wheel of `size` bytes that ends with `tail`. `project` is the normalised name in the file's name.

    Bytes in `tail` are not read again. Raises WheelError, and the errors of `read`.
    """
    first = size - len(tail)

    async def part(start: int, stop: int) -> bytes:
        return tail[start - first : stop - first] if start >= first else await read(start, stop)

    directory = await read_directory(size, tail, part)
    _, member = await FOREIGN.run(find_metadata, directory.entries, project)
    return await read_member(member, directory.start, part, limit=MAX_METADATA_BYTES, what="its METADATA")


async def read_directory(size: int, tail: bytes, read: Read) -> Directory:
    """That of a wheel of `size` bytes that ends with `tail`. Raises WheelError, and the errors of `read`."""
    start, stop = await _directory(size, tail, read)
    if stop - start > MAX_DIRECTORY_BYTES:
        raise WheelError("its directory is too large")
    return Directory(start, await read(start, stop) if stop > start else b"")


async def read_member(member: Member, directory_start: int, read: Read, *, limit: int, what: str) -> bytes:
    """The content of a member that has `limit` bytes at most. Raises WheelError, whose text calls the member `what`,
    and the errors of `read`."""
    packed = await _packed(member, directory_start, read, limit, what)
    return await FOREIGN.run(_unpacked, member, packed, what)


async def _directory(size: int, tail: bytes, read: Read) -> tuple[int, int]:
    """Where the central directory is."""
    at, length, offset = await FOREIGN.run(_end_record, tail)
    end = size - len(tail) + at
    if at >= _END64_LOCATOR.size and tail[at - _END64_LOCATOR.size :].startswith(b"PK\x06\x07"):
        _, _, place, _ = _END64_LOCATOR.unpack_from(tail, at - _END64_LOCATOR.size)
        end = place
        if place + _END64.size > size:
            raise WheelError("its end record lies beyond its end")
        record = await read(place, place + _END64.size)
        signature, *_, length, offset = _END64.unpack(record)
        if signature != b"PK\x06\x06":
            raise WheelError("its ZIP64 end record is invalid")
    if offset + length > end:
        raise WheelError("its directory lies beyond its end")
    return offset, offset + length


def _end_record(tail: bytes) -> tuple[int, int, int]:
    """Where the end record is, and the length and offset of the directory in it."""
    first = max(len(tail) - _MAX_END_BYTES, 0)
    at = tail.rfind(_END_SIGNATURE, first)
    while at >= 0:
        if len(tail) - at >= _END.size:
            *_, length, offset, comment = _END.unpack_from(tail, at)
            if at + _END.size + comment == len(tail):
                return at, length, offset
        at = tail.rfind(_END_SIGNATURE, first, at)
    raise WheelError("it is not a ZIP archive")


def find_metadata(directory: bytes, project: str) -> tuple[bytes, Member]:
    """The folder of the wheel's own metadata, with its slash, and the only METADATA of the project. Two are refused,
    because installers would not agree on which one counts."""
    ending = ((name, member) for name, member in entries(directory, ending=_METADATA) if _is_of(name, project))
    found = [*islice(ending, 2)]
    if len(found) != 1:
        raise WheelError(f"it has {len(found)} METADATA files of {project}")
    [(name, member)] = found
    return name.removesuffix(_NAME), member


def entries(directory: bytes, *, beginning: bytes = b"", ending: bytes = b"") -> Iterator[tuple[bytes, Member]]:
    """The members whose names begin and end so, with their names. Raises WheelError where the directory is damaged."""
    at = 0
    while at < len(directory):
        if len(directory) - at < _ENTRY.size:
            raise WheelError("its directory breaks off")
        signature, *fields = _ENTRY.unpack_from(directory, at)
        name_length, extra_length, comment_length = fields[11:14]
        name_at = at + _ENTRY.size
        extra_at = name_at + name_length
        at = extra_at + extra_length + comment_length
        if signature != b"PK\x01\x02" or at > len(directory):
            raise WheelError("its directory is damaged")
        if directory.endswith(ending, name_at, extra_at) and directory.startswith(beginning, name_at, extra_at):
            flags, method, crc, packed, size, offset = fields[4], fields[5], *fields[8:11], fields[-1]
            member = Member(method, flags, crc, packed, size, offset, name_length)
            yield directory[name_at:extra_at], _widened(member, directory[extra_at : extra_at + extra_length])


def _widened(member: Member, extra: bytes) -> Member:
    """The member, with the 64-bit values from the extra field for those that don't fit into 32 bits."""
    if _IN_ZIP64 not in (member.packed, member.size, member.offset):
        return member
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        values = extra[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == _ZIP64_EXTRA:
            wide = iter(struct.unpack_from(f"<{len(values) // 8}Q", values))
            try:
                size, packed, offset = (
                    next(wide) if value == _IN_ZIP64 else value for value in (member.size, member.packed, member.offset)
                )
            except RuntimeError:  # a StopIteration in the generator becomes one
                break
            return replace(member, packed=packed, size=size, offset=offset)
    raise WheelError("its ZIP64 sizes are missing")


def _is_of(name: bytes, project: str) -> bool:
    folder, _, file = name.partition(b"/")
    return file == _NAME and normalize(folder.decode("utf-8", "replace").split("-")[0]) == project


async def _packed(member: Member, directory_start: int, read: Read, limit: int, what: str) -> bytes:
    """The member's bytes as they are in the archive, in one read unless its header is unusually long."""
    if member.flags & _ENCRYPTED or member.method not in (_STORED, _DEFLATED):
        raise WheelError(f"{what} is encrypted, or compressed in an unsupported way")
    if member.size > limit or member.packed > limit + _PACKING_BYTES:
        raise WheelError(f"{what} is too large: it may have {limit} bytes")
    if member.offset + _LOCAL.size > directory_start:
        raise WheelError(f"{what} lies beyond its members")
    guess = member.offset + _LOCAL.size + member.name_length + _EXTRA_BYTES + member.packed
    found = await read(member.offset, min(guess, directory_start))
    signature, *_, name_length, extra_length = _LOCAL.unpack_from(found)
    start = member.offset + _LOCAL.size + name_length + extra_length
    stop = start + member.packed
    if signature != b"PK\x03\x04" or stop > directory_start:
        raise WheelError(f"{what} is not where its directory says")
    if stop - member.offset <= len(found) or not member.packed:
        return found[start - member.offset : stop - member.offset]
    return await read(start, stop)


def _unpacked(member: Member, packed: bytes, what: str) -> bytes:
    content = packed
    if member.method == _DEFLATED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)
        except zlib.error as error:
            raise WheelError(f"{what} can't be unpacked: {error}") from error
    if len(content) != member.size or zlib.crc32(content) != member.crc:
        raise WheelError(f"{what} does not match its directory")
    return content
