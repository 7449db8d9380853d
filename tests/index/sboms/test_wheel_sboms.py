"""The SBOMs of wheels, good, odd and hostile."""

import asyncio
import io
import struct
import zipfile
import zlib
from urllib.parse import quote

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.http.target import parse_target
from gateway.index.sboms.contents import MAX_SBOMS, Sboms
from gateway.index.sboms.wheel_sboms import MAX_SBOM_BYTES, WheelSboms
from gateway.index.wheels.wheel import MAX_DIRECTORY_BYTES, WheelError
from tests.index.wheels.test_wheel import as_zip64
from tests.support.wheels import sboms_wheel

INFO = "my_project-1.0.dist-info"
METADATA = (f"{INFO}/METADATA".encode(), b"Name: my-project\n")
NAME = "my_project-1.0-py3-none-any.whl"
Named = tuple[bytes, bytes]


def archive(*members: Named, flags: int = 0, method: int = 0) -> bytes:
    """An archive with these names byte for byte, which no tool would write."""
    body, directory = bytearray(), bytearray()
    for name, content in members:
        packed = content
        if method == 8:
            packer = zlib.compressobj(wbits=-15)
            packed = packer.compress(content) + packer.flush()
        sums = zlib.crc32(content), len(packed), len(content)
        directory += struct.pack(
            "<4s4B4HL2L5H2L", b"PK\1\2", 20, 0, 20, 0, flags, method, 0, 0, *sums, len(name), *[0] * 5, len(body)
        )
        directory += name
        body += struct.pack("<4s2B4HL2L2H", b"PK\3\4", 20, 0, flags, method, 0, 0, *sums, len(name), 0) + name + packed
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), len(body), 0)
    return bytes(body + directory + end)


class Wheel:
    """A RemoteWheel in memory."""

    def __init__(self, content: bytes, name: str = NAME, version: str = "1") -> None:
        self.name, self.size, self.version = name, len(content), version
        self.content = content
        self.reads: list[int] = []
        self.hold: asyncio.Event | None = None

    async def read(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= self.size, "no read goes beyond the file"
        self.reads.append(stop - start)
        if self.hold is not None:
            await self.hold.wait()
        return self.content[start:stop]


def sbom(name: bytes | str, content: bytes = b"{}", info: str = INFO) -> Named:
    return f"{info}/sboms/".encode() + (name.encode() if isinstance(name, str) else name), content


def memory() -> WheelSboms:
    return WheelSboms(MemoryLimit(1_000_000))


async def found(content: bytes, name: str = NAME) -> Sboms:
    return await memory().of(Wheel(content, name))


async def test_those_of_a_real_wheel() -> None:
    name, content = sboms_wheel("my_project", "1.0", {"b.json": b"bb", "deep/er/a.json": b"a"})
    wheel, sboms = Wheel(content, name), memory()
    listed = await sboms.of(wheel)
    assert {path: member.size for path, member in listed.members.items()} == {"b.json": 2, "deep/er/a.json": 1}
    assert [await sboms.document(wheel, listed, path) for path in listed.members] == [b"bb", b"a"]
    assert listed.left_out == 0


async def test_only_the_wheels_own_count() -> None:
    others = "my_project-2.0.dist-info", "other-1.0.dist-info", f"sub/{INFO}", INFO.upper(), "my_project.dist-info"
    members = [sbom("no.json", info=info) for info in others]
    more = [
        (f"{INFO}/{name}".encode(), b"") for name in ("sboms.json", "sbomsx/a.json", "licenses/sboms/a.json", "sboms")
    ]
    foreign = (b"other-1.0.dist-info/METADATA", b"")
    listed = await found(archive(METADATA, foreign, *members, *more, sbom("yes.json")))
    assert (list(listed.members), listed.left_out) == (["yes.json"], 0)


async def test_folders_are_not_listed() -> None:
    listed = await found(archive(METADATA, sbom(""), sbom("deep/"), sbom("deep/a.json")))
    assert (list(listed.members), listed.left_out) == (["deep/a.json"], 0)


@pytest.mark.parametrize(
    "name",
    [
        *("../METADATA", "..", ".", "a/../b", "/etc/passwd", "//a", "a//b", "..%2Fa", "a/%2e%2e/b", "%252e%252e/a"),
        *("a\\b", "..\\a", "C:\\a", "a\nb", "a\0b", "a\x7fb", "a\x85b", ".gateway/a", "a/.mirror/b", "x" * 513),
        *(b"\xff.json", b"\xc0\xae\xc0\xae/a", b"\xed\xa0\x80"),
    ],
)
async def test_names_that_no_client_could_ask_for_are_left_out(name: str | bytes) -> None:
    listed = await found(archive(METADATA, sbom(name), sbom("a.json")))
    assert (list(listed.members), listed.left_out) == (["a.json"], 1)


@pytest.mark.parametrize(
    "name", ["a b+c%41?#&;=@:\xe9\u65e5.json", "...", "a..b", ".hidden", "x" * 512, "<script>", "a%"]
)
async def test_all_other_names_lead_to_what_they_name(name: str) -> None:
    listed = await found(archive(METADATA, sbom(name)))
    assert (list(listed.members), listed.left_out) == ([name], 0)
    assert parse_target(f"/x/{quote(name)}") == (f"/x/{name}", "")


async def test_of_two_with_one_name_neither_counts() -> None:
    members = sbom("a.json", b"1"), sbom("b.json"), sbom("a.json", b"2"), sbom("a.json", b"3")
    listed = await found(archive(METADATA, *members))
    assert (list(listed.members), listed.left_out) == (["b.json"], 3)


async def test_there_are_so_many_and_no_more() -> None:
    some = [sbom(f"{number}.json") for number in range(MAX_SBOMS)]
    assert len((await found(archive(METADATA, *some))).members) == MAX_SBOMS
    for more in (sbom("more.json"), sbom("0.json")):
        if more[0].endswith(b"more.json"):
            with pytest.raises(WheelError, match="it has over 256 SBOMs"):
                await found(archive(METADATA, *some, more))
        else:
            assert (await found(archive(METADATA, *some, more))).left_out == 2


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", NAME, "not a ZIP"),
        (archive(sbom("a.json")), NAME, "it has 0 METADATA"),
        (archive(METADATA, METADATA), NAME, "it has 2 METADATA"),
        (archive(METADATA), "other-1.0-py3-none-any.whl", "it has 0 METADATA"),
        (archive(METADATA), "notes.whl", "its name is not that of a wheel"),
        (archive(METADATA, sbom("a.json"))[:-1], NAME, "not a ZIP"),
        (archive(METADATA, sbom("a.json")).replace(b"PK\1\2", b"PK\1\3"), NAME, "directory is damaged"),
        (
            bytes(9_000_000) + struct.pack("<4s4H2LH", b"PK\5\6", *[0] * 4, MAX_DIRECTORY_BYTES + 1, 0, 0),
            NAME,
            "directory is too large",
        ),
    ],
)
async def test_what_is_no_good_wheel_is_refused_and_remembered(content: bytes, name: str, reason: str) -> None:
    wheel, sboms = Wheel(content, name), memory()
    for _ in range(2):
        with pytest.raises(WheelError, match=reason):
            await sboms.of(wheel)
    assert len(wheel.reads) <= 1


BOMB = archive(METADATA, sbom("a.json", bytes(50_000_000)), method=8)


def patched(content: bytes, at: int, form: str, value: int) -> bytes:
    """With another value in the last entry of its directory."""
    changed = bytearray(content)
    struct.pack_into(form, changed, content.rfind(b"PK\1\2") + at, value)
    return bytes(changed)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive(METADATA, sbom("a.json"), flags=1), "its SBOM a.json is encrypted"),
        (archive(METADATA, sbom("a.json"), method=12), "compressed in an unsupported way"),
        (BOMB, f"its SBOM a.json is too large: it may have {MAX_SBOM_BYTES} bytes"),
        (patched(BOMB, 24, "<L", 1000), "does not match its directory"),
        (patched(archive(METADATA, sbom("a.json")), 20, "<L", MAX_SBOM_BYTES + 1025), "too large"),
        (patched(archive(METADATA, sbom("a.json")), 42, "<L", 1), "is not where its directory says"),
        (patched(archive(METADATA, sbom("a.json")), 42, "<L", 100_000), "lies beyond its members"),
    ],
)
async def test_an_sbom_that_cannot_be_read_is_refused_and_remembered(content: bytes, reason: str) -> None:
    wheel, sboms = Wheel(content), memory()
    listed = await sboms.of(wheel)
    assert list(listed.members) == ["a.json"]
    for _ in range(2):
        with pytest.raises(WheelError, match=reason):
            await sboms.document(wheel, listed, "a.json")
    assert len(wheel.reads) <= 2


async def test_the_largest() -> None:
    content = bytes(MAX_SBOM_BYTES)
    wheel, sboms = Wheel(archive(METADATA, sbom("a.json", content), method=8)), memory()
    assert await sboms.document(wheel, await sboms.of(wheel), "a.json") == content


async def test_large_ones_are_not_kept_and_small_ones_are() -> None:
    limit = MemoryLimit(10_000_000)
    sboms = WheelSboms(limit)
    wheel = Wheel(archive(METADATA, sbom("large.json", bytes(70_000)), sbom("small.json", b"s" * 60_000)))
    listed = await sboms.of(wheel)
    for path, reads in (("large.json", 1), ("large.json", 1), ("small.json", 1), ("small.json", 0)):
        wheel.reads.clear()
        await sboms.document(wheel, listed, path)
        assert len(wheel.reads) == reads, path
    assert 60_000 < limit.stats()["SBOMs"] < 70_000
    assert limit.stats()["SBOMs of wheels"] > 1000


async def test_zip64() -> None:
    one = archive((f"{INFO}/METADATA".encode(), b"x"))
    assert (await found(as_zip64(one))).members == {}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(f"{INFO}/METADATA", b"x")
        with file.open(zipfile.ZipInfo(f"{INFO}/sboms/a.json"), "w", force_zip64=True) as member:
            member.write(b"in 64 bits")
    wheel, sboms = Wheel(buffer.getvalue()), memory()
    assert await sboms.document(wheel, await sboms.of(wheel), "a.json") == b"in 64 bits"


async def test_clients_that_ask_at_once_share_what_is_read() -> None:
    wheel, sboms = Wheel(archive(METADATA, sbom("a.json", bytes(100_000)))), memory()
    wheel.hold = asyncio.Event()
    asking = [asyncio.ensure_future(sboms.of(wheel)) for _ in range(5)]
    await asyncio.sleep(0)
    wheel.hold.set()
    listed = (await asyncio.gather(*asking))[0]
    assert len(wheel.reads) == 1
    wheel.hold = asyncio.Event()
    reading = [asyncio.ensure_future(sboms.document(wheel, listed, "a.json")) for _ in range(5)]
    await asyncio.sleep(0)
    wheel.hold.set()
    assert len({id(content) for content in await asyncio.gather(*reading)}) == 1
    assert len(wheel.reads) == 2


async def test_versions_that_nothing_tells_apart_share_nothing() -> None:
    sboms = memory()
    first, second = (Wheel(archive(METADATA, sbom(name)), version="") for name in ("a.json", "b.json"))
    lists = await asyncio.gather(sboms.of(first), sboms.of(second))
    assert [list(one.members) for one in lists] == [["a.json"], ["b.json"]]
    await sboms.of(first)
    assert len(first.reads) == 2


async def test_a_large_directory_does_not_hold_up_the_loop() -> None:
    """7 MB of it, gone through twice: in a thread, other work has its turns."""
    many = [(b"x", b"")] * 140_000
    reading = asyncio.ensure_future(found(archive(METADATA, *many, sbom("a.json"))))
    turns = 0
    while not reading.done():
        turns += 1
        await asyncio.sleep(0)
    assert list((await reading).members) == ["a.json"]
    assert turns > 20


async def test_few_large_parts_are_read_at_once() -> None:
    sboms, hold = memory(), asyncio.Event()
    wheels = [Wheel(archive(METADATA, sbom("a.json", bytes(300_000))), version=str(number)) for number in range(4)]
    lists = [await sboms.of(wheel) for wheel in wheels]
    for wheel in wheels:
        wheel.hold = hold
        wheel.reads.clear()
    reading = [
        asyncio.ensure_future(sboms.document(wheel, listed, "a.json"))
        for wheel, listed in zip(wheels, lists, strict=True)
    ]
    for _ in range(20):
        await asyncio.sleep(0)
    assert sum(len(wheel.reads) for wheel in wheels) == 2
    hold.set()
    assert [len(content) for content in await asyncio.gather(*reading)] == [300_000] * 4


def test_the_limits_are_those_of_the_manual() -> None:
    assert (MAX_SBOMS, MAX_SBOM_BYTES) == (256, 16 * 1024 * 1024)
