"""Decides which files of another index come in, and when. Pure.

What decides first decides alone, in this order: exceptions, rules, advisories about malware and about vulnerabilities,
the least age. What none of them decides comes in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from packaging.version import Version

from gateway.policy.advisory import Advisory, Severity
from gateway.policy.facts import ProjectFacts, ReleaseFile, version_of
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import ALLOWED, Action, Verdict

MIN_AGE = "policy.min_age"
ADVISORIES = "policy.advisories"
_STRICTNESS = {Action.ALLOW: 0, Action.WARN: 1, Action.HOLD: 2, Action.DENY: 3}


@dataclass(frozen=True, slots=True)
class AdvisoryRule:
    """What is done about versions with advisories: with those about malware, and with others from `least` on."""

    malware: Action = Action.DENY
    vulnerabilities: Action = Action.WARN
    least: Severity = Severity.UNKNOWN
    if_unknown: Action = Action.ALLOW


@dataclass(frozen=True)
class ReleasePolicy:
    """`min_age` is in seconds. Without `advisories`, none is looked at."""

    min_age: float = 0.0
    rules: Sequence[ReleaseRule] = ()
    advisories: AdvisoryRule | None = None

    @property
    def asks_for_licences(self) -> bool:
        return any(rule.licences for rule in self.rules)

    def licences_asked(self, project: str, upstream: str) -> bool:
        """Whether the licences of a project's files may decide."""
        return any(rule.licences and rule.is_about(project, upstream) for rule in self.rules)

    def provenance_asked(self, project: str, upstream: str) -> list[str]:
        """The words and patterns that rules ask for which may apply to the project's files."""
        return [asked for rule in self.rules if rule.is_about(project, upstream) for asked in rule.provenance]

    def about(self, project: str, upstream: str, facts: ProjectFacts) -> "ProjectPolicy":
        """What applies to the files of a project, by its normalised name, that come from the host `upstream`."""
        return ProjectPolicy(self, [rule for rule in self.rules if rule.is_about(project, upstream)], facts)


@dataclass(frozen=True)
class ProjectPolicy:
    """The policy for the files of one project."""

    policy: ReleasePolicy
    rules: Sequence[ReleaseRule]
    facts: ProjectFacts
    _on_versions: dict[tuple[Version | None, float], Verdict | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def judge_all(self, files: Iterable[ReleaseFile], now: float) -> Mapping[str, Verdict]:
        """The verdict on each file, by its name, but for those that are allowed for good. Of files with the same name,
        the strictest: nobody can say which of them a client gets."""
        found = dict[str, Verdict]()
        for file in files:
            verdict = self.judge(file, now)
            if verdict is not ALLOWED:
                found[file.name] = _stricter(found.get(file.name, verdict), verdict)
        return found

    def judge(self, file: ReleaseFile, now: float) -> Verdict:
        """`now` is in seconds since the epoch."""
        changes = inf  # what has not decided now may do so then
        for rule in self.rules:
            match = rule.match(file, self.facts, now)
            changes = min(changes, rule.changes(file, self.facts, now))
            if (verdict := rule.verdict(match, changes)) is not None:
                return verdict
        warning = None
        if self.policy.advisories is not None:
            verdict = self._by_advisories(file, self.policy.advisories, changes)
            if verdict is not None and verdict.withholds:
                return verdict
            warning = verdict
        by_age = self._by_age(file, now, changes)
        return by_age if warning is None or by_age.withholds else warning

    def _by_advisories(self, file: ReleaseFile, rule: AdvisoryRule, changes: float) -> Verdict | None:
        advisories = self.facts.advisories
        if advisories is None:
            unknown = "which advisories there are is not known now"
            return (
                Verdict(rule.if_unknown, unknown, ADVISORIES, None, changes)
                if rule.if_unknown is not Action.ALLOW
                else None
            )
        if not advisories:
            return None
        version = version_of(file.name)
        if (version, changes) not in self._on_versions:
            self._on_versions[version, changes] = self._on_version(version, rule, changes)
        return self._on_versions[version, changes]

    def _on_version(self, version: Version | None, rule: AdvisoryRule, changes: float) -> Verdict | None:
        """By advisories, which are the same for all files of a version."""
        # An advisory may be about a version that can't be told.
        affecting = (self.facts.advisories or ()) if version is None else self.facts.affecting(version)
        found = list[Verdict]()
        if (malware := next((one for one in affecting if one.is_malware), None)) is not None:
            found.append(Verdict(rule.malware, _told(malware, "is malware"), ADVISORIES, None, changes, malware=True))
        flaws = [one for one in affecting if not one.is_malware and one.severity >= rule.least]
        if flaws:
            worst = max(flaws, key=lambda one: one.severity)
            found.append(Verdict(rule.vulnerabilities, _told(worst, "has a vulnerability"), ADVISORIES, None, changes))
        strictest = max(found, key=lambda verdict: _STRICTNESS[verdict.action], default=None)
        return strictest if strictest is not None and strictest.action is not Action.ALLOW else None

    def _by_age(self, file: ReleaseFile, now: float, changes: float) -> Verdict:
        least = self.policy.min_age
        since = self.facts.out_since(file, now) if least > 0 else None
        if least <= 0 or (since is not None and now - since >= least):
            return ALLOWED if changes == inf else Verdict(Action.ALLOW, changes=changes)
        if self._fixes_an_advisory(version_of(file.name)):
            return Verdict(Action.ALLOW, "it fixes an advisory", MIN_AGE, changes=changes)
        if since is None:
            told = file.modified
            reason = "its index tells no time" if told is None else "its index says that it comes from the future"
            return Verdict(Action.HOLD, f"{reason}, and {MIN_AGE} needs one", MIN_AGE, None, min(changes, told or inf))
        opens = since + least
        reason = f"it has not been out for {span(least)} yet"
        return Verdict(Action.HOLD, reason, MIN_AGE, opens, min(changes, opens))

    def _fixes_an_advisory(self, version: Version | None) -> bool:
        return version is not None and any(version in one.fixed for one in self.facts.advisories or ())


def _stricter(one: Verdict, other: Verdict) -> Verdict:
    stricter = max(one, other, key=lambda verdict: _STRICTNESS[verdict.action])
    changes = min(one.changes, other.changes)
    return stricter if stricter.changes == changes else replace(stricter, changes=changes)


def _told(advisory: Advisory, what: str) -> str:
    return f"{advisory.id} says that it {what}" + (f": {advisory.summary}" if advisory.summary else "")


def span(seconds: float) -> str:
    """`7 days`, `12 hours`, `90 s`."""
    for name, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0 and seconds >= length:
            number = int(seconds // length)
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds:g} s"
