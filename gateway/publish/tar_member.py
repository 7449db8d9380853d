"""The heads of members of a tar archive, and what extends them. Pure.

https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html#tag_20_94_13
"""

import re
import tarfile
from collections.abc import Mapping

from gateway.publish.rules import refused

FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
OTHERS = (tarfile.DIRTYPE, *LINKS)
EXTENSIONS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_GNU_NAMES = {tarfile.GNUTYPE_LONGNAME: "path", tarfile.GNUTYPE_LONGLINK: "linkpath"}
# What would be said of all members that follow. The header of `git archive` has a comment only.
_OF_ONE_MEMBER = ("path", "linkpath", "size")
_PAX = re.compile(rb"([0-9]{1,6}) ([^=\n]{1,300})=")
# Of a size in octal digits: other programs stop where Python's int() reads on.
_SIZE = re.compile(rb" *[0-7]*[ \0]*")
_SIZE_FIELD = 124, 136
# Only heads with this magic have a prefix of the name; Python's tarfile reads it in others too, GNU tar does not.
_MAGIC_FIELD, _POSIX, _PREFIX = slice(257, 263), b"ustar\0", 345
_BASE_256 = 0x80


def head_of(block: bytes) -> tarfile.TarInfo:
    """Raises BadRequestError for a damaged head, or one that programs read differently."""
    try:
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise refused("it is damaged") from error
    if block[_SIZE_FIELD[0]] != _BASE_256 and not _SIZE.fullmatch(block, *_SIZE_FIELD):
        raise refused("it is damaged")
    if block[_PREFIX] and block[_MAGIC_FIELD] != _POSIX:
        raise refused("a member has two names")
    if member.type not in (*FILES, *OTHERS, *EXTENSIONS):
        raise refused(f"it has a member of an unusual kind ({member.type!r})")
    if member.type in OTHERS and member.size:
        raise refused("it has a link or a folder with a size")
    return member


def extended(kind: bytes, content: bytes) -> Mapping[str, str]:
    """What an extension says of the next member. Raises BadRequestError."""
    if kind in _GNU_NAMES:
        return {_GNU_NAMES[kind]: content.rstrip(b"\0").decode("utf-8", "surrogateescape")}
    records = _records(content)
    found = dict(records)
    if len(found) != len(records):
        raise refused("it says one thing of a member twice")
    if any(name.startswith("GNU.sparse") for name in found):
        raise refused("it has a sparse file")
    if kind == tarfile.XHDTYPE:
        return found
    if not found.keys().isdisjoint(_OF_ONE_MEMBER):
        raise refused("one name is given to all members")
    return {}


def _records(content: bytes) -> list[tuple[str, str]]:
    """The records of an extended header: `length name=value`."""
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
