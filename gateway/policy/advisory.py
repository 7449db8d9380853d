"""An advisory about some versions of a project. Pure.

https://ossf.github.io/osv-schema/
"""

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
