"""An advisory about some versions of a project. Pure.

https://ossf.github.io/osv-schema/
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from packaging.version import Version

MALWARE = "MAL-"


class Severity(IntEnum):
    """CVSS's ratings; UNKNOWN if the advisory gives none."""

    UNKNOWN = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


@dataclass(frozen=True, slots=True)
class VersionRange:
    """From `introduced` on, or from the first version if it is None; below `fixed`, or up to `last`. None: no end."""

    introduced: Version | None
    fixed: Version | None = None
    last: Version | None = None

    def has(self, version: Version) -> bool:
        if self.introduced is not None and version < self.introduced:
            return False
        if self.fixed is not None:
            return version < self.fixed
        return self.last is None or version <= self.last

    def part_of(self, versions: Sequence[Version]) -> slice:
        """Which of the versions, which are in order, it has."""
        start = bisect_left(versions, self.introduced) if self.introduced is not None else 0
        if self.fixed is not None:
            end = bisect_left(versions, self.fixed)
        else:
            end = bisect_right(versions, self.last) if self.last is not None else len(versions)
        return slice(start, max(start, end))


@dataclass(frozen=True, slots=True)
class Advisory:
    """Affects the `versions` that it names, and those in its `ranges`."""

    id: str
    summary: str = ""
    aliases: tuple[str, ...] = ()
    severity: Severity = Severity.UNKNOWN
    versions: frozenset[Version] = frozenset()
    ranges: tuple[VersionRange, ...] = ()

    @property
    def is_malware(self) -> bool:
        return any(name.startswith(MALWARE) for name in (self.id, *self.aliases))

    @property
    def fixed(self) -> frozenset[Version]:
        """The versions in which it is fixed."""
        return frozenset(one.fixed for one in self.ranges if one.fixed is not None)

    def affects(self, version: Version) -> bool:
        return version in self.versions or any(one.has(version) for one in self.ranges)


def first_affecting(advisories: Sequence[Advisory], versions: Sequence[Version]) -> Mapping[Version, Advisory]:
    """For those of the versions that any of the advisories affects, the first one that does. The versions are in
    order, each once: a range is looked up among all of them, because there may be hundreds of both."""
    places = {version: place for place, version in enumerate(versions)}
    listed = frozenset(versions)
    found: list[Advisory | None] = [None] * len(versions)
    for advisory in reversed(advisories):
        for one in advisory.ranges:
            part = one.part_of(versions)
            found[part] = [advisory] * (part.stop - part.start)
        for version in advisory.versions & listed:
            found[places[version]] = advisory
    return {version: advisory for version, advisory in zip(versions, found, strict=True) if advisory is not None}
