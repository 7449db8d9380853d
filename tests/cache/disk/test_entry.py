"""The file of an object: what was written is read, and nothing else is taken for it."""

import hashlib
import json
import os
import struct
from pathlib import Path

import pytest

from gateway.cache.disk.entry import EntryHeader, end_of_entry, read_end

FACTS = EntryHeader("bucket\nk.whl", '"e"', 7, {"ETag": '"e"', "Content-Type": "text/plain"})
BODY, HASHES = b"0123456789", bytes(range(32))
FOOTER = struct.Struct(">8sIQ32s")


def read(path: Path, content: bytes) -> tuple[EntryHeader, int, bytes]:
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return read_end(descriptor)
    finally:
        os.close(descriptor)


def entry(text: bytes, body: bytes = BODY, hashes: bytes = HASHES, magic: bytes = b"gateway2") -> bytes:
    digest = hashlib.sha256(text + hashes).digest()
    return body + text + hashes + FOOTER.pack(magic, len(text), len(body), digest)


def header(**more: object) -> bytes:
    return json.dumps({"id": "i", "etag": '"e"', "modified": 7, "headers": {}} | more).encode()


@pytest.mark.parametrize("modified", [7, None])
@pytest.mark.parametrize(("body", "hashes"), [(BODY, HASHES), (b"", b""), (bytes(1024 * 1024 + 1), bytes(64))])
def test_what_was_written_is_read(tmp_path: Path, body: bytes, hashes: bytes, modified: int | None) -> None:
    written = EntryHeader("bucket\nk.whl", '"e"', modified, FACTS.headers)
    found = read(tmp_path / "entry", body + end_of_entry(written, len(body), hashes))
    assert found == (written, len(body), hashes)


def test_an_entry_is_laid_out_so(tmp_path: Path) -> None:
    """Other processes, of older and newer releases, read the same directory."""
    content = BODY + end_of_entry(FACTS, len(BODY), HASHES)
    text = json.dumps({"id": FACTS.id, "etag": FACTS.etag, "modified": 7, "headers": dict(FACTS.headers)}).encode()
    assert content == entry(text)
    assert read(tmp_path / "entry", content)[0] == FACTS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is too short"),
        (b"x" * 51, "the file is too short"),
        (b"x" * 52, "the file has no valid footer"),
        (entry(header(), magic=b"gateway1"), "the file has no valid footer"),
        (b"x" + entry(header()), "the file has no valid footer"),
        (entry(header())[1:], "the file has no valid footer"),
        (entry(header(), hashes=b""), "the file has no valid footer"),
        (entry(header(id="x" * 65_536)), "the file has no valid footer"),
        (entry(header()).replace(b'"i"', b'"j"'), "the bytes after the body have changed"),
        (entry(header(more=1)), "the header is invalid: "),
        (entry(b"[]"), "the header is invalid: "),
        (entry(b"nonsense"), "Expecting value"),
    ],
    ids=["empty", "short", "x", "magic", "longer", "shorter", "hashes", "large", "changed", "more", "list", "nonsense"],
)
def test_what_is_no_entry_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        read(tmp_path / "entry", content)


def test_facts_may_have_64_kb(tmp_path: Path) -> None:
    room = 65_536 - len(header(id=""))
    found, size, hashes = read(tmp_path / "entry", entry(header(id="x" * room)))
    assert (found.id, size, hashes) == ("x" * room, len(BODY), HASHES)
    with pytest.raises(ValueError, match="the file has no valid footer"):
        read(tmp_path / "entry", entry(header(id="x" * (room + 1))))
