"""A rule about release files. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from math import inf

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from gateway.policy.advisory import Severity
from gateway.policy.facts import ProjectFacts, ReleaseFile, kind_of, version_of
from gateway.policy.licence import has_licence
from gateway.policy.provenance import fits
from gateway.policy.verdict import Action, Verdict
from gateway.rights.patterns import ProjectPattern


class Match(Enum):
    """UNKNOWN if a fact is missing that decides."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


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

    @property
    def may_match_by_age(self) -> bool:
        return self.older_than is not None or self.younger_than is not None

    def match(self, file: ReleaseFile, facts: ProjectFacts, now: float) -> Match:
        """NO if any condition does not fit, whatever is unknown of the others."""
        if self.until is not None and now >= self.until:
            return Match.NO
        found = Match.YES
        for condition in self._conditions:
            match = condition(file, facts, now)
            if match is Match.NO:
                return match
            if match is Match.UNKNOWN:
                found = match
        return found

    def changes(self, file: ReleaseFile, facts: ProjectFacts, now: float) -> float:
        """When `match` may find something else, if nothing but the time changes."""
        times = [self.until if self.until is not None else inf]
        if self.may_match_by_age:
            since = facts.out_since(file, now)
            told = file.modified
            if since is not None:
                times += [since + age for age in (self.older_than, self.younger_than) if age is not None]
            elif told is not None:
                times.append(told)  # it lies in the future
        return min((time for time in times if time > now), default=inf)

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

    @property
    def _conditions(self) -> Iterator[Callable[[ReleaseFile, ProjectFacts, float], Match]]:
        """Those that the rule has, the cheapest first."""
        if self.kinds:
            yield self._by_kind
        if self.larger_than is not None:
            yield self._by_size
        if self.may_match_by_age:
            yield self._by_age
        if self.versions is not None:
            yield self._by_version
        if self.requires_python is not None:
            yield self._by_python
        if self.advisories or self.severity is not None:
            yield self._by_advisory
        if self.licences:
            yield self._by_licence
        if self.provenance:
            yield self._by_provenance

    def _by_kind(self, file: ReleaseFile, _: ProjectFacts, __: float) -> Match:
        return _known(kind_of(file.name) in self.kinds)

    def _by_size(self, file: ReleaseFile, _: ProjectFacts, __: float) -> Match:
        assert self.larger_than is not None
        return Match.UNKNOWN if file.size is None else _known(file.size > self.larger_than)

    def _by_age(self, file: ReleaseFile, facts: ProjectFacts, now: float) -> Match:
        since = facts.out_since(file, now)
        if since is None:
            return Match.UNKNOWN
        age = now - since
        fits = self.older_than is None or age >= self.older_than
        return _known(fits and (self.younger_than is None or age < self.younger_than))

    def _by_version(self, file: ReleaseFile, _: ProjectFacts, __: float) -> Match:
        assert self.versions is not None
        version = version_of(file.name)
        return Match.UNKNOWN if version is None else _known(self.versions.contains(version, prereleases=True))

    def _by_python(self, file: ReleaseFile, _: ProjectFacts, __: float) -> Match:
        """Whether this Python can install the file."""
        assert self.requires_python is not None
        if not file.requires_python:
            return Match.YES
        try:
            return _known(SpecifierSet(file.requires_python).contains(self.requires_python, prereleases=True))
        except InvalidSpecifier:
            return Match.UNKNOWN

    def _by_advisory(self, file: ReleaseFile, facts: ProjectFacts, _: float) -> Match:
        if facts.advisories is None:
            return Match.UNKNOWN
        if not facts.advisories:
            return Match.NO
        version = version_of(file.name)
        if version is None:
            return Match.UNKNOWN
        for advisory in facts.affecting(version):
            named = not self.advisories or any(
                fnmatchcase(name, pattern) for name in (advisory.id, *advisory.aliases) for pattern in self.advisories
            )
            severe = self.severity is None or advisory.severity >= self.severity
            if named and severe:
                return Match.YES
        return Match.NO

    def _by_licence(self, file: ReleaseFile, facts: ProjectFacts, _: float) -> Match:
        licence = facts.licences.get(file.name) if facts.licences is not None else None
        return Match.UNKNOWN if licence is None else _known(has_licence(licence, self.licences))

    def _by_provenance(self, file: ReleaseFile, facts: ProjectFacts, _: float) -> Match:
        """See provenance.py."""
        words = facts.provenance.get(file.name) if facts.provenance is not None else None
        found = fits(words, self.provenance) if words is not None else None
        return Match.UNKNOWN if found is None else _known(found)
