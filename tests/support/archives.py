"""Archives byte by byte, with whatever lies about them. Nothing is checked."""

import gzip
import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

STEM = "foo-1.0"
FOLDER = f"{STEM}.dist-info"
WHEEL_FILE, SDIST_FILE = f"{STEM}-py3-none-any.whl", f"{STEM}.tar.gz"
METADATA = b"Metadata-Version: 2.1\nName: foo\nVersion: 1.0\n"
SENTINEL = 0xFFFFFFFF


@dataclass(frozen=True)
class Head:
    """One of the two heads of a member. What is None is said as it is."""

    name: bytes | None = None
    version: int = 20
    flags: int | None = None
    method: int | None = None
    crc: int | None = None
    packed: int | None = None
    size: int | None = None
    offset: int | None = None
    extra: bytes = b""
    comment: bytes = b""


@dataclass(frozen=True)
class Entry:
    """A member with a head in front of it, `local`, and one in the directory, `central`."""

    name: str
    content: bytes = b""
    deflated: bool = False
    local: Head = Head()
    central: Head = Head()
    before: bytes = b""

    def both(self, head: Head) -> "Entry":
        return replace(self, local=head, central=head)


@dataclass(frozen=True)
class End:
    """What ends an archive. What is None is said as it is."""

    disks: tuple[int, int] = (0, 0)
    here: int | None = None
    count: int | None = None
    size: int | None = None
    offset: int | None = None
    comment: bytes = b""
    comment_length: int | None = None
    zip64: bytes | None = None
    before: bytes = b""


def description(folder: str = FOLDER, metadata: bytes = METADATA) -> list[Entry]:
    """The members that each wheel has."""
    files = {"METADATA": metadata, "WHEEL": b"Wheel-Version: 1.0\n", "RECORD": b""}
    return [Entry(f"{folder}/{name}", content) for name, content in files.items()]


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _common(entry: Entry, head: Head, packed: bytes) -> tuple[bytes, bytes]:
    name = head.name if head.name is not None else entry.name.encode("utf-8", "surrogateescape")
    flags = _or(head.flags, 0 if name.isascii() else 0x800)
    fields = struct.pack(
        "<HHHHHLLLHH",
        head.version,
        flags,
        _or(head.method, 8 if entry.deflated else 0),
        0,
        0x21,
        _or(head.crc, zlib.crc32(entry.content)),
        _or(head.packed, len(packed)),
        _or(head.size, len(entry.content)),
        len(name),
        len(head.extra),
    )
    return fields, name


def zip_of(entries: Iterable[Entry], end: End = End(), between: bytes = b"") -> bytes:
    """The archive, with `between` in front of its directory."""
    data, directory, count = bytearray(), bytearray(), 0
    for entry in entries:
        data += entry.before
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = deflate.compress(entry.content) + deflate.flush() if entry.deflated else entry.content
        offset = len(data)
        fields, name = _common(entry, entry.local, packed)
        data += b"PK\3\4" + fields + name + entry.local.extra + packed
        fields, name = _common(entry, entry.central, packed)
        head = entry.central
        rest = struct.pack("<HHHLL", len(head.comment), 0, 0, 0, _or(head.offset, offset))
        directory += b"PK\1\2\x14\0" + fields + rest + name + head.extra + head.comment
        count += 1
    data += between
    start = len(data)
    data += directory + end.before + (end.zip64 or b"")
    return bytes(data) + end_of(end, count, len(directory), start)


def end_of(end: End, count: int, size: int, start: int) -> bytes:
    return (
        struct.pack(
            "<4s4H2LH",
            b"PK\5\6",
            *end.disks,
            _or(end.here, _or(end.count, count)),
            _or(end.count, count),
            _or(end.size, size),
            _or(end.offset, start),
            _or(end.comment_length, len(end.comment)),
        )
        + end.comment
    )


def end64(
    count: int,
    size: int,
    start: int,
    *,
    length: int = 44,
    disks: tuple[int, int] = (0, 0),
    here: int | None = None,
    at: int | None = None,
    locator: tuple[int, int] = (0, 1),
    extended: bytes = b"",
) -> bytes:
    """The ZIP64 end record, and where it is."""
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", length, 45, 45, *disks, _or(here, count), count, size, start)
    return record + extended + struct.pack("<4sLQL", b"PK\6\7", locator[0], _or(at, start + size), locator[1])


def extra(kind: int, *values: int) -> bytes:
    return struct.pack(f"<HH{len(values)}Q", kind, 8 * len(values), *values)


def tar_head(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "", *, field: bytes | None = None
) -> bytes:
    """One block. `field` replaces the 12 bytes of the size."""
    block = bytearray(512)
    block[:100] = name.encode("utf-8", "surrogateescape")[:100].ljust(100, b"\0")
    block[100:136] = b"0000644\0" + b"0000000\0" * 2 + (field or b"%011o\0" % size)
    block[136:148] = b"%011o\0" % 0
    block[156:157] = kind
    block[157:257] = link.encode()[:100].ljust(100, b"\0")
    block[257:265] = b"ustar\x0000"
    return summed(bytes(block))


def summed(block: bytes) -> bytes:
    """The block with the checksum that it needs."""
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


def tar_member(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    return tar_head(name, len(content), kind, link) + content + bytes(-len(content) % 512)


def pax(records: dict[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header."""
    content = b""
    for name, value in records.items():
        said = f" {name}={value}\n".encode("utf-8", "surrogateescape")
        length = len(said) + len(str(len(said)))
        length = len(said) + len(str(length))
        content += str(length).encode() + said
    return tar_member("pax", content, kind)


PKG_INFO = tar_member(f"{STEM}/PKG-INFO", METADATA)


def sdist_of(*members: bytes, end: bytes = bytes(1024)) -> bytes:
    return gzip.compress(b"".join(members) + end, mtime=0)


def tar_by(form: int, names: Sequence[str], headers: dict[str, str] | None = None) -> bytes:
    """A tar archive made by the standard library, in one of its formats; each file has its own name in it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, pax_headers=headers) as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            content = name.encode("utf-8", "surrogateescape")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
