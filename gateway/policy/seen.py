"""Remembers when the files of a project were seen first, so that no index can say that a new file is an old one. Pure.

The page that is read first is believed: nothing else is known. Whatever appears on a later one can't have been there
when the page was read before; a time that says so is forged, and the file counts as new.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.policy.facts import ReleaseFile, identity, name_and_hash
from gateway.storage.packed_json import packed, unpacked

_MAX_TEXT_BYTES = 32 * 1024 * 1024
# A look that finds nothing new counts if the last that did is so long ago: each of these is saved.
LOOK_SECONDS = 6 * 3600.0
# Other clocks, and caches between the index and us, may show a page that is so much older.
_SLACK_SECONDS = 12 * 3600.0
# Pages have half as many files. Of an index that keeps making up others, those on its page are known.
_MOST_KNOWN = 100_000
# The times of files that were so young when they were seen first are kept: an index may tell an older one later.
_YOUNG_SECONDS = 90 * 86400.0

# The files of a page, by their identities.
Listed = Mapping[str, ReleaseFile]


@dataclass(frozen=True, slots=True)
class SeenFiles:
    """`first` and `looked` are when the page was read first and, up to some hours, last; `known` are the identities of
    all files that were ever on it, and `times` those of which a time is kept. All times are in seconds since the
    epoch."""

    first: float
    looked: float
    known: frozenset[str] = frozenset()
    times: Mapping[str, float] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.known)

    def after(self, listed: Listed, read: float) -> "SeenFiles":
        """What is known after a page with these files has been read; itself if it has no new ones."""
        if self.known.issuperset(listed):
            return self
        appeared = {name: file for name, file in listed.items() if name not in self.known}
        earliest = self.looked - _SLACK_SECONDS
        known = self.known | appeared.keys()
        times = {**self.times, **{name: _told(file, read, earliest) for name, file in appeared.items()}}
        if len(known) > _MOST_KNOWN:
            known = frozenset(listed)
            times = {name: time for name, time in times.items() if name in known}
        return SeenFiles(self.first, max(self.looked, read), known, times)

    def seen(self, listed: Listed) -> Mapping[tuple[str, str], float]:
        """The times that are kept of these files, by their names and hashes."""
        return {name_and_hash(listed[name]): self.times[name] for name in self.times.keys() & listed.keys()}

    def looked_at(self, read: float) -> "SeenFiles":
        return self if read < self.looked + LOOK_SECONDS else replace(self, looked=read)

    def merged(self, other: "SeenFiles") -> "SeenFiles":
        """What two gateways know together: the earlier of two times, because both were there."""
        times = {
            name: min(time for time in (self.times.get(name), other.times.get(name)) if time is not None)
            for name in self.times.keys() | other.times.keys()
        }
        known = self.known | other.known
        return SeenFiles(min(self.first, other.first), max(self.looked, other.looked), known, times)

    def to_bytes(self) -> bytes:
        plain = dict.fromkeys(self.known, 0) | dict(self.times)
        document = {"version": 1, "first": self.first, "looked": self.looked, "files": plain}
        return packed(document)


def by_identity(files: Iterable[ReleaseFile]) -> Listed:
    """Takes most of the time that all of this takes: once for each page."""
    return {identity(file): file for file in files}


def first_page(listed: Listed, read: float) -> SeenFiles:
    """What is known after the first page of a project has been read, which is believed."""
    times = {name: _told(file, read, 0.0) for name, file in listed.items()}
    young = {name: time for name, time in times.items() if time > read - _YOUNG_SECONDS}
    return SeenFiles(read, read, frozenset(listed), young)


def _told(file: ReleaseFile, read: float, earliest: float) -> float:
    """The time that the index tells of a file, if it can be true; else that at which its page was read."""
    told = file.modified
    return told if told is not None and earliest <= told <= read else read


def from_bytes(document: bytes, now: float) -> SeenFiles | None:
    """None if it is none, or damaged: it is found out again then. Times in the future are those of a wrong clock."""
    try:
        found = unpacked(document, _MAX_TEXT_BYTES)
        if found["version"] != 1:
            return None
        first, looked = (_time(found[name], now) for name in ("first", "looked"))
        files = {str(name): _time(time, now) for name, time in found["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return SeenFiles(first, looked, frozenset(files), {name: time for name, time in files.items() if time})


def _time(value: object, now: float) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError
    return min(float(value), now)
