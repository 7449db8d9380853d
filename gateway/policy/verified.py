"""Remembers what the provenance of files was found to say, so that each is fetched and verified once. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import nlargest

from gateway.storage.packed_json import packed, unpacked

MOST_FILES = 20_000
_MAX_TEXT_BYTES = 16 * 1024 * 1024
_MAX_WORDS = 1000


@dataclass(frozen=True, slots=True)
class VerifiedFiles:
    """By identity (see provenance.py), what was found, and when, in seconds since the epoch."""

    found: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.found)

    def words(self, identity: str) -> str | None:
        known = self.found.get(identity)
        return known[0] if known is not None else None

    def merged(self, other: "VerifiedFiles") -> "VerifiedFiles":
        """What both know; the latest, if that is much."""
        found = {**other.found, **self.found}
        if len(found) > MOST_FILES:
            found = dict(nlargest(MOST_FILES, found.items(), key=lambda item: item[1][1]))
        return VerifiedFiles(found)

    def to_bytes(self) -> bytes:
        return packed({"version": 1, "files": dict(self.found)})


def from_bytes(document: bytes) -> VerifiedFiles | None:
    """None if it is none, or damaged: it is found out again then."""
    try:
        said = unpacked(document, _MAX_TEXT_BYTES)
        if said["version"] != 1:
            return None
        return VerifiedFiles({str(key): _finding(*value) for key, value in said["files"].items()})
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _finding(words: object, at: object) -> tuple[str, float]:
    if not isinstance(words, str) or not 0 < len(words) <= _MAX_WORDS or not words.isprintable():
        raise ValueError
    if not isinstance(at, (int, float)) or not math.isfinite(at):
        raise ValueError
    return words, float(at)
