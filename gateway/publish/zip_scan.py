"""Looks at a wheel while it passes, in bounded memory: its members, and the few that describe it. No I/O.

The format is ZIP (PKWARE's APPNOTE.TXT, 4.3). What a reader finds who goes from member to member is compared with what
the directory at the end says, so that all programs see the same files. https://docs.pypi.org/archives/
"""

import hashlib
import struct
from dataclasses import dataclass

from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.publish.rules import Rule, Rules, refused
from gateway.publish.zip_directory import (
    MAX_MEMBERS,
    STORED,
    Member,
    demand_plain,
    directory_of,
    extra_fields,
    name_of,
    wide_sizes,
)

_MAX_DIRECTORY_BYTES = 8 * 1024 * 1024
_HEAD = struct.Struct("<4s5H3L2H")
_MEMBER, _DIRECTORY = b"PK\3\4", (b"PK\1\2", b"PK\5\6", b"PK\6\6")
_MAX_DESCRIPTIONS = 8


@dataclass(slots=True)
class _Passing:
    """A member of which `left` bytes are yet to come. `kept` are those that have, of a member that describes the
    wheel."""

    member: Member
    left: int
    kept: bytearray | None


class ZipScan:
    """`descriptions` are the members METADATA and WHEEL of folders `….dist-info`, as they are in the archive."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self.size = 0
        self.unpacked_size = 0
        self.descriptions: list[tuple[Member, bytes]] = []
        self._members = 0
        self._seen = hashlib.sha256()
        self._head = bytearray()
        self._passing: _Passing | None = None
        self._directory: bytearray | None = None

    def feed(self, data: bytes) -> None:
        """Raises BadRequestError for what is no wheel."""
        at = 0
        while at < len(data):
            if self._passing is not None:
                at += self._pass(data, at)
            elif self._directory is not None:
                self._directory += data[at:]
                at = len(data)
                if len(self._directory) > _MAX_DIRECTORY_BYTES:
                    raise refused("its directory is too large")
            else:
                at += self._take_head(data, at)
        self.size += len(data)

    def finish(self) -> frozenset[str]:
        """The names of the members. Raises BadRequestError if the archive breaks off, or is not as its directory
        says."""
        if self._directory is None:
            raise refused("it is not a ZIP archive, or breaks off")
        start = self.size - len(self._directory)
        seen, names = hashlib.sha256(), set[str]()
        members = 0
        for member in directory_of(bytes(self._directory), start):
            members += 1
            seen.update(member.packed_fields())
            self._rules.demand(Rule.DUPLICATES, member.name not in names, f"it has {member.shown} twice")
            names.add(member.name)
        same = members == self._members and seen.digest() == self._seen.digest()
        self._rules.demand(Rule.FRAMING, same, "its members are not those of its directory")
        return frozenset(names)

    def _pass(self, data: bytes, at: int) -> int:
        """How many bytes of `data` belong to the member that is passing."""
        passing = self._passing
        assert passing is not None
        count = min(passing.left, len(data) - at)
        if passing.kept is not None:
            passing.kept += data[at : at + count]
        passing.left -= count
        if not passing.left:
            self._passing = None
            if passing.kept is not None:
                self.descriptions.append((passing.member, bytes(passing.kept)))
        return count

    def _take_head(self, data: bytes, at: int) -> int:
        """How many bytes of `data` belong to the head of a member, or begin the directory."""
        head, before = self._head, len(self._head)
        head += data[at : at + _HEAD.size - before] if before < _HEAD.size else b""
        if head[:4] in _DIRECTORY:
            self._directory, self._head = bytearray(head), bytearray()
            return len(self._directory) - before
        if not any(signature.startswith(head[:4]) for signature in (_MEMBER, *_DIRECTORY)):
            raise refused("it is not a ZIP archive, or has something between its members")
        if len(head) < _HEAD.size:
            return len(head) - before
        *_, name_length, extra_length = _HEAD.unpack_from(head)
        whole = _HEAD.size + name_length + extra_length
        taken = len(head) - before
        more = data[at + taken : at + taken + whole - len(head)]
        head += more
        if len(head) == whole:
            self._head = bytearray()
            self._begin(bytes(head), self.size + at + taken + len(more) - whole)
        return taken + len(more)

    def _begin(self, head: bytes, offset: int) -> None:
        _, version, flags, method, _, _, crc, packed, size, name_length, _ = _HEAD.unpack_from(head)
        name_end = _HEAD.size + name_length
        demand_plain(version, flags, method)
        extra = extra_fields(head[name_end:])
        size, packed = wide_sizes(extra, size, packed)
        if method == STORED and size != packed:
            raise refused("a member that is not compressed has two sizes")
        member = Member(name_of(head[_HEAD.size : name_end], flags, extra), method, crc, packed, size, offset)
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise refused(f"it has more than {MAX_MEMBERS} members")
        self._seen.update(member.packed_fields())
        self.unpacked_size += size
        describes = member.describes
        if describes and (packed > MAX_METADATA_BYTES or len(self.descriptions) >= _MAX_DESCRIPTIONS):
            raise refused(f"{member.shown} is too large, or one of many")
        self._passing = _Passing(member, packed, bytearray() if describes else None)
        if not packed:
            self._pass(b"", 0)
