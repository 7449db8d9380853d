"""Looks at an sdist while it passes, in bounded memory: its members, and its PKG-INFO. No I/O.

https://packaging.python.org/en/latest/specifications/source-distribution-format/
"""

import re
import tarfile
import zlib

from gateway.errors import BadRequestError
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.publish.rules import Rule, Rules

_BLOCK = 512
_PIECE_BYTES = 256 * 1024
_MAX_MEMBERS = 100_000
# Of a long name, or of a member's extended header.
_MAX_EXTENSION_BYTES = 64 * 1024
# Unpacked, an sdist is small enough, or at most so many times as large as it is.
SMALL_BYTES, MAX_RATIO = 64 * 1024 * 1024, 50
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_OTHERS = (tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
_EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX = re.compile(rb"([0-9]{1,6}) ([^=\n]{1,200})=")


class TarScan:
    """`pkg_info` is None until the sdist's own PKG-INFO has been found."""

    def __init__(self, stem: str, rules: Rules) -> None:
        """All members lie in the folder `stem`."""
        self._stem = stem
        self._rules = rules
        self.size = 0
        self.unpacked_size = 0
        self.pkg_info: bytes | None = None
        self._gzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self._block = bytearray()
        self._skip = 0  # bytes of a member, or that fill its last block
        self._keep = 0  # bytes of a member that are kept
        self._kept = bytearray()
        self._kind = b""
        self._extended: dict[str, str] = {}  # of the next member
        self._members = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Raises BadRequestError for what is no sdist."""
        self.size += len(data)
        try:
            while data:
                if self._gzip.eof:
                    raise refused("something follows its compressed part")
                piece = self._gzip.decompress(data, _PIECE_BYTES)
                self.unpacked_size += len(piece)
                large = self.unpacked_size > max(SMALL_BYTES, MAX_RATIO * self.size)
                self._rules.demand(Rule.SIZE_RATIO, not large, f"unpacked, it is over {MAX_RATIO} times as large")
                self._take(piece)
                data = self._gzip.unused_data if self._gzip.eof else self._gzip.unconsumed_tail
        except zlib.error as error:
            raise refused("it is not a .tar.gz, or is damaged") from error

    def finish(self) -> None:
        """Raises BadRequestError if the archive breaks off."""
        if not self._gzip.eof or not self._ended or self._skip or self._block:
            raise refused("it breaks off")

    def _take(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._keep or self._skip:
                at += self._pass(data, at)
            else:
                count = min(_BLOCK - len(self._block), len(data) - at)
                self._block += data[at : at + count]
                at += count
                if len(self._block) == _BLOCK:
                    block, self._block = bytes(self._block), bytearray()
                    self._begin(block)

    def _pass(self, data: bytes, at: int) -> int:
        """How many bytes of `data` belong to the member that is passing."""
        if not self._keep:
            count = min(self._skip, len(data) - at)
            self._skip -= count
            return count
        count = min(self._keep, len(data) - at)
        self._kept += data[at : at + count]
        self._keep -= count
        if not self._keep:
            content, self._kept = bytes(self._kept), bytearray()
            self._know(content)
        return count

    def _begin(self, block: bytes) -> None:
        if not any(block):
            self._ended = True
            return
        if self._ended:
            raise refused("something follows its end")
        try:
            member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise refused("it is damaged") from error
        self._members += 1
        if self._members > _MAX_MEMBERS:
            raise refused(f"it has more than {_MAX_MEMBERS} members")
        self._kind = member.type
        size = member.size
        if member.type in _EXTENSIONS:
            if size > _MAX_EXTENSION_BYTES:
                raise refused("the name of a member is too long")
            self._keep = size
        elif member.type in (*_FILES, *_OTHERS):
            extended, self._extended = self._extended, {}
            if any(name.startswith("GNU.sparse") for name in extended):
                raise refused("it has a sparse file")
            if "size" in extended:
                size = _number(extended["size"])
            size = size if member.type in _FILES else 0
            self._place(extended.get("path", member.name), size, member.type)
        else:
            raise refused(f"it has a member of an unusual kind ({member.type!r})")
        if size < 0:
            raise refused("it is damaged")
        self._skip = -size % _BLOCK + (0 if self._keep else size)

    def _place(self, name: str, size: int, kind: bytes) -> None:
        folder, *inner = name.removesuffix("/").split("/")
        leads_out = ".." in inner or folder != self._stem or "\0" in name or "\\" in name
        self._rules.demand(Rule.LAYOUT, not leads_out, f"not all of it lies in the folder {self._stem}")
        if inner == ["PKG-INFO"] and folder == self._stem and kind in _FILES:
            if self.pkg_info is not None or size > MAX_METADATA_BYTES:
                raise refused("its PKG-INFO is too large, or one of many")
            self._keep = size
            self.pkg_info = b""

    def _know(self, content: bytes) -> None:
        """Takes what has been kept: PKG-INFO, or what an extension says of the next member."""
        if self._kind in (tarfile.XHDTYPE, tarfile.XGLTYPE):
            for name, value in _pax(content):
                if self._kind == tarfile.XHDTYPE:
                    self._extended[name] = value
                elif name in ("path", "size") or name.startswith("GNU."):
                    raise refused("one name is given to all members")
        elif self._kind == tarfile.GNUTYPE_LONGNAME:
            self._extended["path"] = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
        elif self._kind != tarfile.GNUTYPE_LONGLINK:
            self.pkg_info = content


def _pax(content: bytes) -> list[tuple[str, str]]:
    """The records of an extended header: `length name=value` (POSIX.1, pax)."""
    found, at = [], 0
    while at < len(content):
        match = _PAX.match(content, at)
        end = at + int(match[1]) if match is not None else 0
        if match is None or not match.end() < end <= len(content) or content[end - 1 : end] != b"\n":
            raise refused("it is damaged")
        value = content[match.end() : end - 1]
        found.append((match[2].decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")))
        at = end
    return found


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,18}", text):
        raise refused("it is damaged")
    return int(text)


def refused(why: str) -> BadRequestError:
    return BadRequestError(f"the archive: {why}", public=f"Invalid file: {why}")
