"""A rule about release files. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from math import inf

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from gateway.policy.advisory import Advisory, Severity, first_affecting
from gateway.policy.facts import ReleaseFile, Traits
from gateway.policy.licence import has_licence
from gateway.policy.provenance import fits
from gateway.policy.verdict import Action, Verdict
from gateway.rights.patterns import ProjectPattern

# Nobody reads a longer one: those that are read are remembered.
_MAX_SPECIFIER = 1000


class Match(IntEnum):
    """UNKNOWN if a fact is missing that decides. Of what several conditions find, the least counts."""

    NO = 0
    UNKNOWN = 1
    YES = 2


Condition = Callable[[Traits], Match]


def match_all(conditions: Iterable[Condition], traits: Traits) -> Match:
    """NO if any condition does not fit, whatever is unknown of the others."""
    found = Match.YES
    for condition in conditions:
        found = min(found, condition(traits))
        if found is Match.NO:
            break
    return found


def _known(matches: bool) -> Match:
    return Match.YES if matches else Match.NO


@dataclass(frozen=True, kw_only=True)
class ReleaseRule:
    """Applies to files that all of its conditions fit, before `until`; an empty condition, or None, fits all. `name` is
    where the rule stands, for messages. Ages are in seconds, sizes in bytes, times in seconds since the epoch."""

    name: str
    action: Action
    reason: str = ""
    until: float | None = None
    projects: Sequence[ProjectPattern] = ()
    versions: SpecifierSet | None = None
    kinds: Sequence[str] = ()
    older_than: float | None = None
    younger_than: float | None = None
    upstreams: Sequence[str] = ()
    advisories: Sequence[str] = ()
    severity: Severity | None = None
    licences: Sequence[str] = ()
    provenance: Sequence[str] = ()
    requires_python: Version | None = None
    larger_than: int | None = None

    def is_about(self, project: str, upstream: str) -> bool:
        """Whether it may apply to files of a project, by its normalised name, that come from the host `upstream`."""
        return (not self.projects or any(pattern.matches(project) for pattern in self.projects)) and (
            not self.upstreams or any(fnmatchcase(upstream, pattern.lower()) for pattern in self.upstreams)
        )

    @cached_property
    def _ages(self) -> Sequence[float]:
        return [age for age in (self.older_than, self.younger_than) if age is not None]

    def conditions(self, advisories: Sequence[Advisory] | None, versions: Sequence[Version]) -> Iterator[Condition]:
        """Those that the rule has on the traits of a project's files, of these versions in order; the cheapest
        first."""
        if self.kinds:
            yield self._by_kind
        if self.advisories or self.severity is not None:
            yield self._by_advisory(advisories, versions)
        if self.versions is not None:
            yield self._by_version
        if self.requires_python is not None:
            yield self._by_python
        if self.licences:
            yield self._by_licence
        if self.provenance:
            yield self._by_provenance

    def match(self, file: ReleaseFile, since: float | None, now: float) -> Match:
        """By what is not among the traits of a file. `since` is since when it can be had."""
        if self.until is not None and now >= self.until:
            return Match.NO
        by_size = by_age = Match.YES
        if self.larger_than is not None:
            by_size = Match.UNKNOWN if file.size is None else _known(file.size > self.larger_than)
        if self._ages:
            by_age = Match.UNKNOWN if since is None else self._by_age(now - since)
        return min(by_size, by_age)

    def changes(self, file: ReleaseFile, since: float | None, now: float) -> float:
        """When `match` may find something else, if nothing but the time changes."""
        found = self.until if self.until is not None and self.until > now else inf
        for age in self._ages:
            time = since + age if since is not None else file.modified  # which lies in the future
            if time is not None and now < time < found:
                found = time
        return found

    def verdict(self, match: Match, changes: float) -> Verdict | None:
        """None if the rule does not decide. One that withholds does so, too, where it can't be known whether it would
        apply; others have to be known to."""
        withholds = self.action in (Action.HOLD, Action.DENY)
        if match is Match.NO or (match is Match.UNKNOWN and not withholds):
            return None
        if match is Match.UNKNOWN:
            reason = f"it is not known yet whether {self.name} applies"
            return Verdict(
                Action.HOLD, f"{reason} ({self.reason})" if self.reason else reason, self.name, None, changes
            )
        reason = self.reason or f"{self.name} says so"
        opens = self.until if self.action is Action.HOLD else None
        return Verdict(self.action, reason, self.name, opens, changes)

    def _by_age(self, age: float) -> Match:
        fits = self.older_than is None or age >= self.older_than
        return _known(fits and (self.younger_than is None or age < self.younger_than))

    def _by_kind(self, traits: Traits) -> Match:
        return _known(traits.kind in self.kinds)

    def _by_advisory(self, advisories: Sequence[Advisory] | None, versions: Sequence[Version]) -> Condition:
        if advisories is None:
            return lambda _: Match.UNKNOWN
        affected = first_affecting([one for one in advisories if self._is_about_advisory(one)], versions)
        untold = Match.UNKNOWN if advisories else Match.NO
        return lambda traits: untold if traits.version is None else _known(traits.version in affected)

    def _is_about_advisory(self, advisory: Advisory) -> bool:
        names = (advisory.id, *advisory.aliases)
        return (self.severity is None or advisory.severity >= self.severity) and (
            not self.advisories or any(fnmatchcase(name, pattern) for name in names for pattern in self.advisories)
        )

    def _by_version(self, traits: Traits) -> Match:
        assert self.versions is not None
        version = traits.version
        return Match.UNKNOWN if version is None else _known(self.versions.contains(version, prereleases=True))

    def _by_python(self, traits: Traits) -> Match:
        """Whether this Python can install the file."""
        assert self.requires_python is not None
        text = traits.requires_python
        if not text:
            return Match.YES
        return _permits(text, self.requires_python) if len(text) <= _MAX_SPECIFIER else Match.UNKNOWN

    def _by_licence(self, traits: Traits) -> Match:
        licence = traits.licence
        return Match.UNKNOWN if licence is None else _known(has_licence(licence, self.licences))

    def _by_provenance(self, traits: Traits) -> Match:
        """See provenance.py."""
        found = fits(traits.provenance, self.provenance) if traits.provenance is not None else None
        return Match.UNKNOWN if found is None else _known(found)


@lru_cache(maxsize=1024)
def _permits(requires_python: str, python: Version) -> Match:
    """Few projects require anything that no other one does."""
    try:
        return _known(SpecifierSet(requires_python).contains(python, prereleases=True))
    except InvalidSpecifier:
        return Match.UNKNOWN
