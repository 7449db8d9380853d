"""The directory at the end of a ZIP archive (PKWARE's APPNOTE.TXT, 4.3.12 to 4.3.16). Pure."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.errors import BadRequestError

_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_FIELDS = struct.Struct("<QHLQQ")
_IN_ZIP64, _ZIP64_EXTRA = 0xFFFFFFFF, 1
_DESCRIPTIONS = ("METADATA", "WHEEL")
_MAX_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: `packed` bytes there, `size` unpacked. Its head is at `offset`."""

    name: str
    method: int
    crc: int
    packed: int
    size: int
    offset: int

    @property
    def shown(self) -> str:
        """For messages."""
        return repr(self.name[:_MAX_SHOWN])

    @property
    def describes(self) -> bool:
        """Whether it is one of the files that describe a wheel."""
        folder, _, file = self.name.partition("/")
        return folder.endswith(".dist-info") and file in _DESCRIPTIONS

    def packed_fields(self) -> bytes:
        """The same for two members that are the same to every reader."""
        fields = _FIELDS.pack(self.offset, self.method, self.crc, self.packed, self.size)
        return fields + self.name.encode("utf-8", "surrogateescape") + b"\0"


def directory_of(data: bytes, start: int) -> Sequence[Member]:
    """Reads the directory, which `data` begins with, and what ends it; `start` is its offset in the archive. Raises
    BadRequestError unless the archive ends with it."""
    members, at = [], 0
    try:
        while data.startswith(b"PK\1\2", at):
            fields = _ENTRY.unpack_from(data, at)
            method, crc, packed, size = fields[4], *fields[7:10]
            name_length, extra_length, comment_length = fields[10:13]
            name_end = at + _ENTRY.size + name_length
            extra_end = name_end + extra_length
            size, packed, offset = wide_sizes(data[name_end:extra_end], size, packed, fields[-1])
            name = data[at + _ENTRY.size : name_end].decode("utf-8", "surrogateescape")
            members.append(Member(name, method, crc, packed, size, offset))
            at = extra_end + comment_length
        count, length, offset, end = _end(data, at)
    except struct.error as error:
        raise _damaged() from error
    if (count, length, offset, end) != (len(members), at, start, len(data)):
        raise _damaged()
    return members


def _end(data: bytes, at: int) -> tuple[int, int, int, int]:
    """The number of members, and the length and offset of the directory, as its end record says; and where that
    ends."""
    place, wide = at, None
    if data.startswith(b"PK\6\6", at):
        _, length, *_, count, size, offset = _END64.unpack_from(data, at)
        wide = count, size, offset
        at += 12 + length
        signature, _, end64, _ = _LOCATOR64.unpack_from(data, at)
        if signature != b"PK\6\7" or end64 != offset + place:
            raise _damaged()
        at += _LOCATOR64.size
    signature, _, _, _, count, size, offset, comment = _END.unpack_from(data, at)
    if signature != b"PK\5\6":
        raise _damaged()
    if wide is not None:
        told = zip((count, size, offset), wide, (0xFFFF, _IN_ZIP64, _IN_ZIP64), strict=True)
        if any(short not in (long, most) for short, long, most in told):
            raise _damaged()
        count, size, offset = wide
    return count, size, offset, at + _END.size + comment


def wide_sizes(extra: bytes, *values: int) -> tuple[int, ...]:
    """The values, with those from the ZIP64 extra field for those that don't fit into 32 bits. Raises
    BadRequestError."""
    if _IN_ZIP64 not in values:
        return values
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        field = extra[at + 4 : at + 4 + length]
        at += 4 + length
        if kind == _ZIP64_EXTRA:
            wide = [*struct.unpack_from(f"<{len(field) // 8}Q", field)]
            if len(wide) >= values.count(_IN_ZIP64):
                return tuple(wide.pop(0) if value == _IN_ZIP64 else value for value in values)
    raise _damaged()


def _damaged() -> BadRequestError:
    return BadRequestError("the archive's directory is damaged", public="Invalid file: its ZIP directory is damaged")
