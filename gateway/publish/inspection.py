"""What is found out about a file while its bytes pass: whether it is what the upload says it is. Blocking.

https://docs.pypi.org/api/upload/
"""

import hashlib
import zlib
from typing import Any

from gateway.index.simple.names import normalize
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES, clean_requires_python, parse
from gateway.publish.release_file import ReleaseFile, version_of
from gateway.publish.rules import Rule, Rules, invalid_upload, refused
from gateway.publish.tar_scan import MAX_RATIO, SMALL_BYTES, TarScan
from gateway.publish.zip_directory import STORED, Member
from gateway.publish.zip_scan import ZipScan


class Inspection:
    """Takes a file's bytes, in order, in memory that does not grow with the file."""

    def __init__(self, file: ReleaseFile, rules: Rules) -> None:
        self._file = file
        self._rules = rules
        self.requires_python: str | None = None  # as the file has it, once it has been read
        self._digests: dict[str, Any] = {"sha256": hashlib.sha256()}
        for algorithm in file.digests:
            if algorithm == "blake2_256":
                self._digests[algorithm] = hashlib.blake2b(digest_size=32)
            elif algorithm == "md5":
                self._digests[algorithm] = hashlib.md5(usedforsecurity=False)
        self._wheel = ZipScan(rules) if file.is_wheel else None
        self._sdist = TarScan(file.stem, rules) if not file.is_wheel else None

    def feed(self, data: bytes) -> None:
        """Raises BadRequestError."""
        for digest in self._digests.values():
            digest.update(data)
        if self._wheel is not None:
            self._wheel.feed(data)
        if self._sdist is not None:
            self._sdist.feed(data)

    def finish(self) -> str:
        """The SHA-256 of the whole file, in hex. Raises BadRequestError if the file is not what the upload says."""
        found = {algorithm: digest.hexdigest() for algorithm, digest in self._digests.items()}
        for algorithm, digest in self._file.digests.items():
            if found[algorithm] != digest:
                raise invalid_upload(
                    f"its {algorithm}_digest is not that of the file, which is damaged, or another one"
                )
        if self._wheel is not None:
            self._compare(self._metadata_of_wheel(self._wheel))
        if self._sdist is not None:
            self._sdist.finish()
            self._rules.demand(Rule.METADATA, self._sdist.pkg_info is not None, "it has no PKG-INFO")
            self._compare(self._sdist.pkg_info)
        return str(found["sha256"])

    def _metadata_of_wheel(self, scan: ZipScan) -> bytes | None:
        names = scan.finish()
        large = scan.unpacked_size > max(SMALL_BYTES, MAX_RATIO * scan.size)
        self._rules.demand(Rule.SIZE_RATIO, not large, f"unpacked, it is over {MAX_RATIO} times as large")
        astray = next((name for name in names if _leads_out(name)), None)
        self._rules.demand(Rule.LAYOUT, astray is None, f"{(astray or '')[:100]!r} is no path in a wheel")
        folders = {folder for name in names if (folder := name.partition("/")[0]).endswith(".dist-info")}
        folder = next(iter(folders), "")
        mine = len(folders) == 1 and self._is_mine(folder.removesuffix(".dist-info"))
        self._rules.demand(Rule.LAYOUT, mine, f"its one folder .dist-info is not that of {self._file.stem}")
        for file in ("METADATA", "WHEEL", "RECORD"):
            self._rules.demand(Rule.LAYOUT, f"{folder}/{file}" in names, f"it has no {file}")
        found = [(member, data) for member, data in scan.descriptions if member.name == f"{folder}/METADATA"]
        return _unpacked(*found[0]) if found else None

    def _is_mine(self, stem: str) -> bool:
        """Whether a folder's name has the project and the version of the file's name."""
        name, _, version = stem.partition("-")
        return normalize(name) == self._file.project and version_of(version) == self._file.version

    def _compare(self, metadata: bytes | None) -> None:
        """Holds the metadata in the file against what the upload says. There is None if a rule is skipped."""
        if metadata is None:
            return
        fields = {name: values[0] for name, values in parse(metadata).items()}
        of_project = normalize(fields.get("name", "")) == self._file.project
        same = of_project and version_of(fields.get("version", "")) == self._file.version
        self._rules.demand(
            Rule.METADATA, same, "the name or the version in its metadata are not those of its file name"
        )
        self.requires_python = clean_requires_python(fields.get("requires-python"))
        python = self._file.requires_python
        told = python is None or _plain(python) == _plain(fields.get("requires-python", ""))
        self._rules.demand(Rule.METADATA, told, "requires_python is not that of its metadata")


def _leads_out(name: str) -> bool:
    segments = name.removesuffix("/").split("/")
    return not {"", ".", ".."}.isdisjoint(segments) or "\\" in name or "\0" in name or ":" in segments[0]


def _unpacked(member: Member, packed: bytes) -> bytes:
    """Raises BadRequestError."""
    content = packed
    if member.method != STORED:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, MAX_METADATA_BYTES + 1)
        except zlib.error as error:
            raise refused("its METADATA can't be unpacked") from error
    if len(content) > MAX_METADATA_BYTES or len(content) != member.size or zlib.crc32(content) != member.crc:
        raise refused("its METADATA is too large, or damaged")
    return content


def _plain(specifiers: str) -> frozenset[str]:
    return frozenset(part.strip().replace(" ", "") for part in specifiers.split(",") if part.strip())
