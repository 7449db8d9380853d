"""What programs that read archives find in them, to hold against what the gateway has found."""

import io
import struct
import tarfile
import zipfile

from gateway.errors import BadRequestError
from gateway.publish.rules import Rules
from gateway.publish.tar_scan import TarScan
from gateway.publish.zip_scan import ZipScan


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _demand_clear(error: BadRequestError) -> None:
    """Fails unless the client is told what is wrong."""
    assert error.public.startswith("Invalid file: ")
    assert error.public.isprintable()


def scan_zip(parts: list[bytes]) -> tuple[ZipScan, frozenset[str]] | None:
    """None if it is refused."""
    scan = ZipScan(Rules())
    try:
        for part in parts:
            scan.feed(part)
        return scan, scan.finish()
    except BadRequestError as error:
        _demand_clear(error)
        return None


def scan_tar(stem: str, parts: list[bytes]) -> TarScan | None:
    """None if it is refused."""
    scan = TarScan(stem, Rules())
    try:
        for part in parts:
            scan.feed(part)
        scan.finish()
    except BadRequestError as error:
        _demand_clear(error)
        return None
    return scan


def demand_one_meaning_of_zip(data: bytes, scan: ZipScan, names: frozenset[str]) -> None:
    """Fails unless zipfile, and a reader that goes from member to member, find what the scan has found."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        assert sorted(member.orig_filename for member in members) == sorted(names)
        assert sum(member.file_size for member in members) == scan.unpacked_size
        assert [(member.header_offset, member.orig_filename) for member in members] == passed(data)
        for member, content in scan.descriptions:
            said = archive.getinfo(member.name)
            assert (said.file_size, said.compress_size, said.CRC) == (member.size, member.packed, member.crc)
            start = member.offset + 30 + sum(struct.unpack_from("<HH", data, member.offset + 26))
            assert data[start : start + member.packed] == content


def passed(data: bytes) -> list[tuple[int, str]]:
    """Offsets and names, from member to member."""
    found, at = [], 0
    while data.startswith(b"PK\3\4", at):
        packed, size, name_length, extra_length = struct.unpack_from("<LLHH", data, at + 18)
        name_end = at + 30 + name_length
        if size == packed == 0xFFFFFFFF:
            _, _, size, packed = struct.unpack_from("<HHQQ", data, data.index(b"\1\0", name_end))
        found.append((at, data[at + 30 : name_end].decode()))
        at = name_end + extra_length + packed
    assert data[at : at + 4] in (b"PK\1\2", b"PK\5\6", b"PK\6\6")
    return found


def demand_one_meaning_of_tar(data: bytes, stem: str, scan: TarScan) -> None:
    """Fails unless tarfile finds what the scan has found, and unpacks nothing outside of the folder."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as archive:
        members = archive.getmembers()
        assert all(f"{member.name}/".startswith(f"{stem}/") for member in members)
        found = [member for member in members if member.name == f"{stem}/PKG-INFO"]
        assert len(found) == (scan.pkg_info is not None)
        for member in found:
            content = archive.extractfile(member)
            assert content is not None
            assert content.read() == scan.pkg_info
        for member in members:
            if not member.issym() and not member.islnk():
                tarfile.data_filter(member, f"/nowhere/{stem}")
