"""Archives that somebody wrote with bad intent, as many as are asked for. The seed decides which."""

import gzip
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.support.archives import (
    FOLDER,
    METADATA,
    PKG_INFO,
    SDIST_FILE,
    SENTINEL,
    STEM,
    WHEEL_FILE,
    End,
    Entry,
    Head,
    description,
    end64,
    extra,
    pax,
    sdist_of,
    tar_head,
    tar_member,
    zip_of,
)

_BASE = [*description(), Entry("foo/__init__.py", b"x = 1\n" * 50, deflated=True)]
_WHEEL, _SDIST = zip_of(_BASE), sdist_of(PKG_INFO, tar_member(f"{STEM}/foo.py", b"x = 1\n" * 200))
_EVIL_PATHS = ("../x", "/x", "a/../../x", "a\\..\\x", "C:/x", "a\0b", "a//b", "\udcff", "a\nb", "./x")
_LIES = (0, 1, 7, 0x7FFFFFFF, SENTINEL - 1)


def _mixed(choice: random.Random, *more: Entry) -> list[Entry]:
    entries = [*_BASE, *more]
    choice.shuffle(entries)
    return entries


def _one_more(choice: random.Random) -> Entry:
    return Entry(f"foo/m{choice.randrange(999)}.py", choice.randbytes(choice.randrange(1, 200)))


def _disagreeing(choice: random.Random) -> Head:
    """In the directory alone: what has the CRC of something else is damaged, but the same to all readers."""
    return choice.choice([Head(crc=choice.choice(_LIES)), Head(name=b"foo/other.py"), Head(offset=1)])


def _head(choice: random.Random) -> Head:
    lie = choice.choice(_LIES)
    return choice.choice(
        [
            Head(packed=lie),
            Head(size=lie),
            Head(flags=choice.choice([1, 8, 0x20, 0x40, 0x2000])),
            Head(method=choice.choice([1, 6, 9, 12, 14, 93, 99])),
            Head(version=choice.randrange(64, 256)),
            Head(extra=extra(1, lie + 1, lie)),
            Head(packed=SENTINEL, size=SENTINEL, extra=extra(1, lie)),
            Head(packed=SENTINEL, size=SENTINEL, extra=extra(1, 2**63, 2**64 - 1)),
            Head(extra=extra(1) * 2),
            Head(extra=struct.pack("<HH", 0x7075, 9) + b"\1crc4evil"),
            Head(extra=b"\1\0\xff\xff"),
            Head(name=choice.choice(_EVIL_PATHS).encode("utf-8", "surrogateescape")),
        ]
    )


def _end(choice: random.Random) -> bytes:
    start = _WHEEL.index(b"PK\1\2")
    size = len(_WHEEL) - 22 - start
    lie = choice.randrange(1, 999)
    records = [
        end64(len(_BASE) + lie, size, start),
        end64(len(_BASE), size, start + lie),
        end64(len(_BASE), size, start, at=start + size + lie),
        end64(len(_BASE), size, start, length=44 + lie, extended=bytes(lie)),
        end64(2**64 - 1, 2**64 - 1, 2**64 - 1, at=start + size),
    ]
    ends = [
        End(count=lie + 10),
        End(size=lie),
        End(offset=lie),
        End(disks=(lie, 0)),
        End(comment=zip_of([Entry("evil.py")])),
        End(comment_length=lie),
        End(before=bytes(lie)),
        End(before=end64(1, size, start)),
        *(End(zip64=record, count=0xFFFF, size=SENTINEL, offset=SENTINEL) for record in records),
    ]
    return zip_of(_BASE, choice.choice(ends))


def _joined(choice: random.Random) -> bytes:
    other = zip_of([Entry("evil.py", choice.randbytes(30))])
    junk = choice.randbytes(choice.randrange(1, 99))
    return choice.choice(
        [
            _WHEEL + other,
            other + _WHEEL,
            _WHEEL + junk,
            junk + _WHEEL,
            zip_of(_BASE, between=b"\0" + junk),
            other.partition(b"PK\1\2")[0] + _WHEEL,
            zip_of([*_BASE, Entry("last", before=b"\0" + junk)]),
            zip_of(_mixed(choice, choice.choice(_BASE))),
        ]
    )


def _wheel_lies(choice: random.Random) -> bytes:
    entry, head = _one_more(choice), _head(choice)
    ways = [entry.both(head), replace(entry, central=head), replace(entry, central=_disagreeing(choice))]
    return zip_of(_mixed(choice, choice.choice(ways)))


def _wheel_layout(choice: random.Random) -> bytes:
    return choice.choice(
        [
            zip_of(_mixed(choice, Entry(choice.choice(_EVIL_PATHS)))),
            zip_of(_mixed(choice, *description("evil-1.0.dist-info"))),
            zip_of(_mixed(choice, Entry(f"{FOLDER}/METADATA", b"Name: evil"))),
            zip_of(description(metadata=METADATA.replace(b"foo", b"evil"))),
            zip_of(description(metadata=METADATA + bytes(1024 * 1024))),
            zip_of(_mixed(choice, Entry("bomb", deflated=True).both(Head(size=2**30 + choice.randrange(2**30))))),
            zip_of(description(f"foo-{'1' * 5000}.dist-info")),
        ]
    )


def _tar_lies(choice: random.Random) -> bytes:
    name = f"{STEM}/evil{choice.randrange(999)}"
    size = choice.choice([b"-0000000001\0", b"\xff" * 12, b"\x80" + choice.randbytes(11), b"1_0 ".ljust(12), b"x" * 12])
    bad = choice.choice(_EVIL_PATHS[:6])
    members = [
        tar_head(name, field=size),
        tar_head(name, choice.randrange(1, 10**9)),
        tar_member(bad),
        tar_member("././@LongLink", bad.encode() + b"\0", b"L") + tar_member(name),
        pax({"path": bad}) + tar_member(name),
        pax({"path": f"{STEM}/PKG-INFO"}) + tar_member(name, METADATA),
        pax({"path": name}) + tar_member("x", b"evil\0", b"L") + tar_member(name),
        pax({"size": str(choice.randrange(1, 10**6))}) + tar_member(name),
        pax({"GNU.sparse.realsize": "1"}) + tar_member(name),
        pax({"path": name}, b"g") + tar_member(name),
        pax({"path": name}),
        tar_member("x", choice.randbytes(99), b"x") + tar_member(name),
        tar_head("x", choice.randrange(10**5, 10**9), choice.choice([b"x", b"g", b"L", b"K"])),
        tar_head(name, kind=bytes([choice.choice(b"346SDMVXN")])),
        tar_member(f"{STEM}/PKG-INFO", kind=choice.choice([b"1", b"2", b"5"]), link=f"{STEM}/x"),
        tar_member(name, kind=b"2", link=choice.choice(["/etc/passwd", "..", "../../x", "a/../../../x"])),
        tar_member(name, kind=b"1", link=choice.choice(["/etc/passwd", "x", f"{STEM}/../x"])),
        tar_member(name, b"x", choice.choice([b"1", b"2", b"5"]), "x"),
        tar_head(name)[:300] + choice.randbytes(212),
        choice.randbytes(512),
        bytes(512) + tar_member(name),
        PKG_INFO,
    ]
    return sdist_of(PKG_INFO, choice.choice(members))


def _tar_framing(choice: random.Random) -> bytes:
    member = tar_member(f"{STEM}/x", bytes(choice.randrange(1, 9999)))
    large = tar_head(f"{STEM}/x", 65 * 1024 * 1024) + bytes(65 * 1024 * 1024) if choice.random() < 0.05 else b"x" * 512
    return choice.choice(
        [
            _SDIST + b"\0",
            _SDIST + _SDIST,
            gzip.compress(PKG_INFO, mtime=0) + gzip.compress(bytes(1024), mtime=0),
            gzip.compress(_SDIST, mtime=0),
            sdist_of(PKG_INFO, member, end=b""),
            sdist_of(PKG_INFO, member, end=bytes(choice.randrange(1, 512))),
            _SDIST[:-8] + choice.randbytes(8),
            sdist_of(member),
            sdist_of(PKG_INFO, large),
            choice.randbytes(choice.randrange(999)),
            sdist_of(PKG_INFO.replace(b"Name: foo", b"Name: bar")),
        ]
    )


def _cut(choice: random.Random, whole: bytes) -> bytes:
    return whole[: choice.randrange(len(whole))]


_WHEELS: tuple[Callable[[random.Random], bytes], ...] = (
    _wheel_lies,
    _wheel_layout,
    _joined,
    _end,
    lambda choice: _cut(choice, _WHEEL),
)
_SDISTS: tuple[Callable[[random.Random], bytes], ...] = (
    _tar_lies,
    _tar_framing,
    lambda choice: _cut(choice, _SDIST),
)


def hostile(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """File names and archives, each of which has to be refused."""
    for number in range(count):
        choice = random.Random(f"{seed} {number}")
        if number % 2:
            yield SDIST_FILE, choice.choice(_SDISTS)(choice)
        else:
            yield WHEEL_FILE, choice.choice(_WHEELS)(choice)


def changed(seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Good archives of which some bytes are others: they may still be good."""
    for number in range(count):
        choice = random.Random(f"{seed} {number}")
        filename, data = (
            (WHEEL_FILE, bytearray(_WHEEL)) if number % 2 else (SDIST_FILE, bytearray(gzip.decompress(_SDIST)))
        )
        for _ in range(choice.randrange(1, 4)):
            data[choice.randrange(len(data))] = choice.choice([0, 1, 0xFF, choice.randrange(256)])
        yield filename, bytes(data) if number % 2 else gzip.compress(_summed(bytes(data)), mtime=0)


def _summed(data: bytes) -> bytes:
    """With checksums that are right, so that what they protect is read."""
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar":
            total = sum(block[:148]) + 256 + sum(block[156:])
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)
