"""What is known of a project's files, each in one version; in memory, and as a document that is saved. Pure."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from sys import getsizeof
from typing import Any

from gateway.index.json_pieces import read_object
from gateway.index.wheels.core_metadata import clean_requires_python
from gateway.storage.base import ObjectMetadata, StoredObject

SHA256_FILE, YANKED_FILE = ".sha256", ".yanked"
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
# Of so many files, a document takes some 160 bytes each at most, and what is read of it some 50 MB.
MAX_DOCUMENT_FILES = 100_000
MAX_YANK_CHARS = 1024
_MAX_SHORT_CHARS = 512
_FORMAT = 2
SPARE_ENTRIES = 100
_MAX_SECONDS = 253402300799
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SURROGATE = re.compile("[\ud800-\udfff]")  # no page can contain one
_NOTHING = ObjectMetadata()
# Memory for an entry's slot and objects, without their texts.
_OVERHEAD_BYTES = 320


@dataclass(frozen=True, slots=True)
class Entry:
    """The metadata of a file, in the version that `version_of` names."""

    version: str
    metadata: ObjectMetadata

    @property
    def weight(self) -> int:
        """Approximate bytes in memory."""
        metadata = self.metadata
        texts = (
            self.version,
            metadata.sha256,
            metadata.requires_python,
            metadata.yanked,
            metadata.uploader,
            metadata.publisher,
        )
        return _OVERHEAD_BYTES + sum(getsizeof(text) for text in texts if text is not None)


class KnownMetadata:
    """Entries by key. They are added on the event loop; reading is safe in any thread."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.version = 0  # changes whenever the project's page may change

    def get(self, item: StoredObject) -> ObjectMetadata | None:
        """None if nothing is known of this version."""
        entry = self.entries.get(item.key)
        return entry.metadata if entry is not None and entry.version == version_of(item) else None

    def merged(self, theirs: Mapping[str, Entry], present: Mapping[str, StoredObject]) -> dict[str, Entry]:
        """Our entries and `theirs`, which others have found out. Of two versions of a file, the `present` one counts.
        Their entries for absent files stay, since others may have seen a newer listing, unless these are the most."""
        merged = dict(theirs) if len(theirs) <= 2 * len(present) + SPARE_ENTRIES else {}
        for key, item in present.items():
            entry = self.entries.get(key)
            if entry is not None and (key not in theirs or entry.version == version_of(item)):
                merged[key] = entry
        return merged

    def of(self, item: StoredObject, present: Mapping[str, StoredObject]) -> ObjectMetadata:
        """What a page shows of a file; `present` are all files of the project, by their keys."""
        own = self.get(item) or _NOTHING
        sha256, yanked = own.sha256, own.yanked
        if sha256 is None and (beside := present.get(item.key + SHA256_FILE)) is not None:
            sha256 = (self.get(beside) or _NOTHING).sha256
        if (beside := present.get(item.key + YANKED_FILE)) is not None:
            # The presence of the file yanks; its content is the reason.
            yanked = (self.get(beside) or _NOTHING).yanked or yanked or ""
        return replace(own, sha256=sha256, yanked=yanked)


NOTHING_KNOWN = KnownMetadata()


def version_of(item: StoredObject) -> str:
    """Changes with the bytes, and with the object's metadata, which is replaced in place, under the same ETag."""
    etag = item.etag.strip('"')
    return f"{etag} {int(item.modified)}"


def to_document(entries: Mapping[str, Entry]) -> bytes:
    """ASCII. File by file, because no other thread runs while the encoder does."""
    files = ",".join(f"{_json(key)}:{_json(_fields(entries[key]))}" for key in sorted(entries))
    return f'{{"format":{_FORMAT},"files":{{{files}}}}}'.encode()


def from_document(document: bytes) -> dict[str, Entry]:
    """Leaves out invalid entries: others may have written the document."""
    # A single character beyond ASCII would make each one take four bytes of memory.
    if len(document) > MAX_DOCUMENT_BYTES or not document.isascii():
        return {}
    try:
        read = read_object(document.decode(), {"format": _no_format}, {"files": _entries})
    except ValueError:
        return {}
    files = read.get("files")
    return files if read.get("format") == _FORMAT and isinstance(files, dict) else {}


def _entries(files: Iterator[tuple[str, Any]]) -> dict[str, Entry]:
    found = ((key, _entry(value)) for key, value in islice(files, MAX_DOCUMENT_FILES))
    return {key: entry for key, entry in found if entry is not None}


def _no_format(_: Iterator[Any]) -> None:
    """An array is no format."""


def _fields(entry: Entry) -> list[Any]:
    metadata = entry.metadata
    texts = (metadata.sha256, metadata.requires_python, metadata.yanked)
    return [entry.version, *texts, metadata.uploaded, metadata.unreadable, metadata.uploader, metadata.publisher]


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _entry(value: Any) -> Entry | None:
    match value:
        case [str(version), sha256, requires_python, yanked, uploaded, bool(unreadable), uploader, publisher] if (
            _is_sha256(sha256)
            and _is_requires_python(requires_python)
            and _is_yank(yanked)
            and _is_time(uploaded)
            and _is_short(uploader)
            and _is_short(publisher)
        ):
            return Entry(
                version, ObjectMetadata(sha256, requires_python, yanked, uploaded, unreadable, uploader, publisher)
            )
    return None


def _is_sha256(value: Any) -> bool:
    return value is None or (isinstance(value, str) and _SHA256.fullmatch(value) is not None)


def _is_requires_python(value: Any) -> bool:
    return value is None or (_is_text(value) and clean_requires_python(value) == value)


def _is_yank(value: Any) -> bool:
    return value is None or (_is_text(value) and len(value) <= MAX_YANK_CHARS)


def _is_short(value: Any) -> bool:
    return value is None or (_is_text(value) and len(value) <= _MAX_SHORT_CHARS)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and _SURROGATE.search(value) is None


def _is_time(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and 0 <= value <= _MAX_SECONDS)
