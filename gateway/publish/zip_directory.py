"""The directory at the end of a ZIP archive (PKWARE's APPNOTE.TXT, 4.3.12 to 4.3.16). Pure."""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gateway.errors import BadRequestError
from gateway.publish.rules import refused

_ENTRY = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_FIELDS = struct.Struct("<QHLQQ")
_END64_LENGTH = _END64.size - 12  # as the record says it, when nothing extends it
_ONE_DISK = ({0}, {0, 0xFFFF})
_IN_ZIP64, _ZIP64_EXTRA, _NAME_EXTRA = 0xFFFFFFFF, 1, 0x7075
STORED, _DEFLATED = 0, 8
_SIZES_FOLLOW, _LEVEL, _UTF8 = 0x8, 0x6, 0x800
_NEWEST = 63  # that programs know, in tenths
_CONTROL = re.compile("[\0-\x1f\x7f]")
_DESCRIPTIONS = ("METADATA", "WHEEL")
_MAX_SHOWN = 100
MAX_MEMBERS = 0xFFFF


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
        return fields + self.name.encode() + b"\0"


def directory_of(data: bytes, start: int) -> Iterator[Member]:
    """Reads the directory, which `data` begins with, and what ends it; `start` is its offset in the archive. Raises
    BadRequestError, at the end too, unless the archive ends with it."""
    members = at = 0
    try:
        while data.startswith(b"PK\1\2", at):
            fields = _ENTRY.unpack_from(data, at)
            version, flags, method, crc, packed, size = *fields[2:5], *fields[7:10]
            demand_plain(version, flags, method)
            name_length, extra_length, comment_length = fields[10:13]
            name_end = at + _ENTRY.size + name_length
            extra_end = name_end + extra_length
            raw, extra = data[at + _ENTRY.size : name_end], extra_fields(data[name_end:extra_end])
            size, packed, offset = wide_sizes(extra, size, packed, fields[-1])
            members += 1
            if members > MAX_MEMBERS:
                raise refused(f"it has more than {MAX_MEMBERS} members")
            yield Member(name_of(raw, flags, extra), method, crc, packed, size, offset)
            # A comment could hold another end of the directory, for those who look for it from behind.
            if comment_length:
                raise refused("a member has a comment")
            at = extra_end
        if _end(data, at) != (members, at, start, len(data)):
            raise _damaged()
    except struct.error as error:
        raise _damaged() from error


def _end(data: bytes, at: int) -> tuple[int, int, int, int]:
    """The number of members, and the length and offset of the directory, as its end record says; and where that
    ends."""
    place, wide = at, None
    if data.startswith(b"PK\6\6", at):
        _, length, _, _, disk, first, here, *wide = _END64.unpack_from(data, at)
        at += _END64.size
        signature, locator_disk, end64, disks = _LOCATOR64.unpack_from(data, at)
        # Some readers find the record from behind, and some by its offset.
        if signature != b"PK\6\7" or end64 != wide[2] + place or length != _END64_LENGTH:
            raise _damaged()
        if (disk, first, here) != (0, 0, wide[0]) or locator_disk or disks > 1:
            raise _damaged()
        at += _LOCATOR64.size
    elif data.startswith(b"PK\6\7", max(at - _LOCATOR64.size, 0)):
        raise _damaged()
    signature, disk, first, here, count, size, offset, comment = _END.unpack_from(data, at)
    at += _END.size
    if signature != b"PK\5\6" or not {disk, first} <= _ONE_DISK[wide is not None] or here != count:
        raise _damaged()
    if data.find(b"PK\5\6", at - 3) >= 0:
        raise refused("its comment could be taken for a directory")
    if wide is not None:
        told = zip((count, size, offset), wide, (0xFFFF, _IN_ZIP64, _IN_ZIP64), strict=True)
        if any(short not in (long, most) for short, long, most in told):
            raise _damaged()
        count, size, offset = wide
    return count, size, offset, at + comment


def demand_plain(version: int, flags: int, method: int) -> None:
    """Raises BadRequestError for a member that is encrypted, or otherwise not for every reader."""
    if flags & _SIZES_FOLLOW:
        raise refused("a member's size stands behind it: build the wheel into a file, not into a pipe")
    if flags & ~(_LEVEL | _UTF8) or method not in (STORED, _DEFLATED) or version & 0xFF > _NEWEST:
        raise refused("a member is encrypted, or compressed in an unusual way")


def extra_fields(extra: bytes) -> Mapping[int, bytes]:
    """The fields by their kind. Raises BadRequestError if readers could differ about one that matters."""
    fields: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        at += 4 + length
        if at > len(extra) or (kind in fields and kind in (_ZIP64_EXTRA, _NAME_EXTRA)):
            raise _damaged()
        fields[kind] = extra[at - length : at]
    return fields


def wide_sizes(extra: Mapping[int, bytes], *values: int) -> tuple[int, ...]:
    """The values, with those from the ZIP64 extra field for those that don't fit into 32 bits. Raises BadRequestError
    if there are none, or if those that are not needed differ: there are tools that always write them, and readers that
    always take them."""
    field = extra.get(_ZIP64_EXTRA, b"")
    wide = struct.unpack_from(f"<{len(field) // 8}Q", field)
    needed = values.count(_IN_ZIP64)
    left = iter(wide)
    found = tuple(next(left, value) if value == _IN_ZIP64 else value for value in values)
    if len(wide) < needed or (len(wide) > needed and wide[: len(found)] != found[: len(wide)]):
        raise _damaged()
    return found


def name_of(raw: bytes, flags: int, extra: Mapping[int, bytes]) -> str:
    """Raises BadRequestError for a name that is not the same to every reader."""
    try:
        name = raw.decode()
    except UnicodeDecodeError as error:
        raise refused("the name of a member is not UTF-8") from error
    if not (name.isascii() or flags & _UTF8) or extra.get(_NAME_EXTRA, b"\1crc4" + raw)[5:] != raw:
        raise refused(f"the name of a member is not marked as UTF-8, or it has two: {name[:_MAX_SHOWN]!r}")
    if _CONTROL.search(name):
        raise refused(f"the name of a member has control characters: {name[:_MAX_SHOWN]!r}")
    return name


def _damaged() -> BadRequestError:
    return refused("its ZIP directory is damaged")
