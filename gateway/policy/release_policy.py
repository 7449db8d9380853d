"""Decides which files of another index come in, and when. Pure.

What decides first decides alone, in this order: exceptions, rules, advisories about malware and about vulnerabilities,
the least age. What none of them decides comes in.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from math import inf
from typing import NamedTuple

from packaging.version import Version

from gateway.policy.advisory import Advisory, Severity, first_affecting
from gateway.policy.facts import ProjectFacts, ReleaseFile
from gateway.policy.rule import Match, ReleaseRule, match_all
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

    def verdicts(
        self, advisories: Sequence[Advisory] | None, versions: Sequence[Version]
    ) -> Mapping[Version | None, Verdict]:
        """On those of the versions, which are in order, that are not simply allowed. One that can't be told (None) may
        be any."""
        if advisories is None:
            unknown = Verdict(self.if_unknown, "which advisories there are is not known now", ADVISORIES)
            return dict.fromkeys((None, *versions), unknown) if self.if_unknown is not Action.ALLOW else {}
        decisive = [one for one in advisories if self._action(one) is not Action.ALLOW]
        decisive.sort(key=self._rank, reverse=True)  # stable: of equal ones, the first decides
        if not decisive:
            return {}
        affected = [*first_affecting(decisive, versions).items(), (None, decisive[0])]
        return {version: self._verdict(advisory) for version, advisory in affected}

    def _action(self, advisory: Advisory) -> Action:
        if advisory.is_malware:
            return self.malware
        return self.vulnerabilities if advisory.severity >= self.least else Action.ALLOW

    def _rank(self, advisory: Advisory) -> tuple[int, bool, Severity]:
        is_malware = advisory.is_malware
        return _STRICTNESS[self._action(advisory)], is_malware, Severity.UNKNOWN if is_malware else advisory.severity

    def _verdict(self, advisory: Advisory) -> Verdict:
        what = "is malware" if advisory.is_malware else "has a vulnerability"
        reason = f"{advisory.id} says that it {what}" + (f": {advisory.summary}" if advisory.summary else "")
        return Verdict(self._action(advisory), reason, ADVISORIES, malware=advisory.is_malware)


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


class _Plan(NamedTuple):
    """What is decided about all files with the same traits: which rules may apply, the verdict by advisories, and
    whether they fix one."""

    rules: Sequence[tuple[ReleaseRule, Match]] = ()
    by_advisories: Verdict | None = None
    is_fix: bool = False


@dataclass(frozen=True)
class ProjectPolicy:
    """The policy for the files of one project."""

    policy: ReleasePolicy
    rules: Sequence[ReleaseRule]
    facts: ProjectFacts

    def steps(self, files: int) -> int:
        """How many of some 2 µs it takes to judge so many files."""
        advisories = self.facts.advisories or ()
        return files * (1 + len(self.rules)) + sum(len(one.ranges) + len(one.versions) + 1 for one in advisories)

    def judge(self, file: ReleaseFile, now: float) -> Verdict:
        """`now` is in seconds since the epoch."""
        return self.judge_all([file], now).get(file.name, ALLOWED)

    def judge_all(self, files: Sequence[ReleaseFile], now: float) -> Mapping[str, Verdict]:
        """The verdict on each file, by its name, but for those that are allowed for good. Of files with the same name,
        the strictest: nobody can say which of them a client gets."""
        found = dict[str, Verdict]()
        for file, plan in zip(files, self._plans(files), strict=False):
            verdict = self._judge(file, plan, now)
            if verdict is not ALLOWED:
                other = found.get(file.name)
                found[file.name] = verdict if other is None else _stricter(other, verdict)
        return found

    def _plans(self, files: Sequence[ReleaseFile]) -> Iterable[_Plan]:
        """One for each of the files."""
        advisories = self.facts.advisories
        if not self.rules and advisories == ():
            return repeat(_Plan())
        traits = [self.facts.traits(file) for file in files]
        versions = sorted({one.version for one in traits if one.version is not None})
        rules = [(rule, [*rule.conditions(advisories, versions)]) for rule in self.rules]
        verdicts = self.policy.advisories.verdicts(advisories, versions) if self.policy.advisories is not None else {}
        fixed = frozenset[Version]().union(*(one.fixed for one in advisories or ()))
        plans = {
            one: _Plan(
                [(rule, match) for rule, conditions in rules if (match := match_all(conditions, one)) is not Match.NO],
                verdicts.get(one.version),
                one.version in fixed,
            )
            for one in set(traits)
        }
        return map(plans.__getitem__, traits)

    def _judge(self, file: ReleaseFile, plan: _Plan, now: float) -> Verdict:
        since = self.facts.out_since(file, now)
        changes = inf  # what has not decided now may do so then
        for rule, match in plan.rules:
            changes = min(changes, rule.changes(file, since, now))
            found = min(match, rule.match(file, since, now))
            if found is not Match.NO and (verdict := rule.verdict(found, changes)) is not None:
                return verdict
        warning = plan.by_advisories
        if warning is not None and changes < inf:
            warning = replace(warning, changes=changes)
        if warning is not None and warning.withholds:
            return warning
        by_age = self._by_age(file, since, now, changes, is_fix=plan.is_fix)
        return by_age if warning is None or by_age.withholds else warning

    def _by_age(self, file: ReleaseFile, since: float | None, now: float, changes: float, *, is_fix: bool) -> Verdict:
        least = self.policy.min_age
        if least <= 0 or (since is not None and now - since >= least):
            return ALLOWED if changes == inf else Verdict(Action.ALLOW, changes=changes)
        if is_fix:
            return Verdict(Action.ALLOW, "it fixes an advisory", MIN_AGE, changes=changes)
        if since is None:
            told = file.modified
            reason = "its index tells no time" if told is None else "its index says that it comes from the future"
            return Verdict(Action.HOLD, f"{reason}, and {MIN_AGE} needs one", MIN_AGE, None, min(changes, told or inf))
        opens = since + least
        reason = f"it has not been out for {span(least)} yet"
        return Verdict(Action.HOLD, reason, MIN_AGE, opens, min(changes, opens))


def _stricter(one: Verdict, other: Verdict) -> Verdict:
    stricter = max(one, other, key=lambda verdict: _STRICTNESS[verdict.action])
    changes = min(one.changes, other.changes)
    return stricter if stricter.changes == changes else replace(stricter, changes=changes)


def span(seconds: float) -> str:
    """`7 days`, `12 hours`, `90 s`."""
    for name, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds % length == 0 and seconds >= length:
            number = int(seconds // length)
            return f"{number} {name}{'s' if number > 1 else ''}"
    return f"{seconds:g} s"
