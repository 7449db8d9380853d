"""Looks at an sdist while it passes, in bounded memory: its members, and its PKG-INFO. No I/O.

https://packaging.python.org/en/latest/specifications/source-distribution-format/
"""

import tarfile
import zlib
from itertools import dropwhile
from posixpath import normpath

from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.publish.rules import Rule, Rules, refused
from gateway.publish.tar_member import EXTENSIONS, FILES, LINKS, extended, head_of

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_PIECE_BYTES = 256 * 1024
# As of a wheel, and as many extensions: Python writes one for each member.
_MAX_MEMBERS = 0xFFFF
# Of a long name, or of a member's extended header.
_MAX_EXTENSION_BYTES = 64 * 1024
# Of folders in each other.
_MAX_DEPTH = 250
# Unpacked, an sdist is small enough, or at most so many times as large as it is.
SMALL_BYTES, MAX_RATIO = 64 * 1024 * 1024, 50


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
        self._heads = {True: 0, False: 0}  # of extensions, and of members
        self._links = set[int]()  # their places
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
        if not self._gzip.eof or not self._ended or self._skip or self.unpacked_size % _BLOCK:
            raise refused("it breaks off")

    def _take(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            if self._keep or self._skip:
                at += self._pass(data, at)
            elif self._ended:
                if data[at:] != bytes(len(data) - at):
                    raise refused("something follows its end")
                at = len(data)
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
        if block == _ZEROS:
            if self._kind in EXTENSIONS:
                raise refused("it breaks off")
            self._ended = True
            return
        member = head_of(block)
        extends = member.type in EXTENSIONS
        self._heads[extends] += 1
        if self._heads[extends] > _MAX_MEMBERS:
            raise refused(f"it has more than {_MAX_MEMBERS} {'extended heads' if extends else 'members'}")
        self._kind = member.type
        if extends:
            if member.size > _MAX_EXTENSION_BYTES:
                raise refused("the name of a member is too long")
            if not member.size:
                raise refused("it is damaged")  # some take an empty name from it
            self._keep = member.size
        else:
            said, self._extended = self._extended, {}
            if said.get("size", str(member.size)) != str(member.size):
                raise refused("it has a member of two sizes")
            name = said.get("path", member.name)
            self._place(name, member)
            places = _places(name)
            if not self._links.isdisjoint(places):
                raise refused("a member lies behind a link, or takes its place")  # some would write where it leads
            if member.type in LINKS:
                self._follow(name, said.get("linkpath", member.linkname))
                self._links.update(places[-1:])
        self._skip = -member.size % _BLOCK + (0 if self._keep else member.size)

    def _place(self, name: str, member: tarfile.TarInfo) -> None:
        folder, *inner = name.removesuffix("/").split("/")
        leads_out = ".." in inner or folder != self._stem or "\0" in name or "\\" in name
        self._rules.demand(Rule.LAYOUT, not leads_out, f"not all of it lies in the folder {self._stem}")
        if folder == self._stem and [part for part in inner if part not in ("", ".")] == ["PKG-INFO"]:
            if self.pkg_info is not None or member.size > MAX_METADATA_BYTES or member.type not in FILES:
                raise refused("its PKG-INFO is too large, a link, or one of many")
            self._keep = member.size
            self.pkg_info = b""

    def _follow(self, name: str, target: str) -> None:
        """Symbolic links are relative to where they are, hard links to the root."""
        plain = target[:1] not in ("", "/") and "\0" not in target and "\\" not in target
        if self._kind == tarfile.SYMTYPE:
            folder = name.removesuffix("/").rpartition("/")[0]
            path = normpath(f"{folder}/{target}")
            # A folder may be a link, from which `..` leads to another place than from its name.
            plain = plain and ".." not in dropwhile(lambda part: part in ("", ".", ".."), target.split("/"))
        else:
            path = normpath(target)
            plain = plain and self._links.isdisjoint(_places(target))
        inside = plain and f"{path}/".startswith(f"{self._stem}/")
        self._rules.demand(Rule.LAYOUT, inside, f"a link leads out of the folder {self._stem}")

    def _know(self, content: bytes) -> None:
        """Takes what has been kept: PKG-INFO, or what an extension says of the next member."""
        if self._kind not in EXTENSIONS:
            self.pkg_info = content
            return
        found = extended(self._kind, content)
        # Which one counts, programs don't agree about.
        if not found.keys().isdisjoint(self._extended):
            raise refused("a member has two names")
        self._extended |= found


def _places(path: str) -> list[int]:
    """What tells the folders on a path, and at last itself, from others: names would take much memory."""
    place, places = 0, list[int]()
    for part in path.split("/"):
        if part in ("", "."):
            continue
        if len(places) == _MAX_DEPTH:
            raise refused("a member lies too deep")
        place = hash((place, part))
        places.append(place)
    return places
