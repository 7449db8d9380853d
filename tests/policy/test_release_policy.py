"""Which files come in: rules by files, row by row."""

from math import inf
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gateway.index.simple.pages import File
from gateway.policy.advisory import Advisory, Severity, VersionRange
from gateway.policy.facts import ProjectFacts, name_and_hash
from gateway.policy.release_policy import AdvisoryRule, ReleasePolicy
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import ALLOWED, Action, Verdict
from gateway.rights.patterns import ProjectPattern

DAY = 86400.0
NOW = 1_800_000_000.0
WHEEL, SDIST, EGG = "leftpad-2.1-py3-none-any.whl", "leftpad-2.1.tar.gz", "leftpad-2.1-py3.9.egg"
MALWARE = Advisory("MAL-2026-1", "steals keys", versions=frozenset({Version("2.1")}))
FLAW = Advisory("PYSEC-2026-7", "a hole", ("CVE-2026-1",), Severity.HIGH, ranges=(VersionRange(None, Version("2.2")),))


def file(name: str = WHEEL, days: float | None = 100.0, **fields: Any) -> File:
    modified = NOW - days * DAY if days is not None else None
    return File(name, f"https://files.example/{name}", **{"size": 1000, "modified": modified, **fields})


def rule(action: Action = Action.DENY, **conditions: Any) -> ReleaseRule:
    projects = [ProjectPattern.parse(text) for text in conditions.pop("projects", [])]
    return ReleaseRule(name="policy.rules[1]", action=action, projects=projects, **conditions)


def judged(policy: ReleasePolicy, one: File, facts: ProjectFacts | None = None, now: float = NOW) -> Verdict:
    return policy.about("leftpad", "pypi.org", facts or ProjectFacts()).judge(one, now)


@pytest.mark.parametrize(
    ("conditions", "one", "facts", "expected"),
    [
        ({"projects": ["left*"]}, file(), {}, "deny"),
        ({"projects": ["Left.Pad"]}, file(), {}, "allow"),
        ({"projects": ["right*", "leftpad"]}, file(), {}, "deny"),
        ({"versions": SpecifierSet(">=2")}, file(), {}, "deny"),
        ({"versions": SpecifierSet(">=2")}, file("leftpad-3.0rc1.tar.gz"), {}, "deny"),
        ({"versions": SpecifierSet("<2")}, file(), {}, "allow"),
        ({"versions": SpecifierSet("==2.1")}, file("leftpad-2.1.0-1-py3-none-any.whl"), {}, "deny"),
        ({"versions": SpecifierSet("==2.1")}, file(EGG), {}, "deny"),
        ({"versions": SpecifierSet("==2.1")}, file("leftpad-2.1.win32.exe"), {}, "hold"),  # nobody can tell
        ({"kinds": ["sdist"]}, file(SDIST), {}, "deny"),
        ({"kinds": ["sdist"]}, file("leftpad-2.1.zip"), {}, "deny"),
        ({"kinds": ["sdist"]}, file(), {}, "allow"),
        ({"kinds": ["wheel", "other"]}, file(EGG), {}, "deny"),
        ({"older_than": 99 * DAY}, file(), {}, "deny"),
        ({"older_than": 100 * DAY}, file(), {}, "deny"),
        ({"older_than": 101 * DAY}, file(), {}, "allow"),
        ({"younger_than": 101 * DAY}, file(), {}, "deny"),
        ({"younger_than": 100 * DAY}, file(), {}, "allow"),
        ({"younger_than": 5 * DAY}, file(days=None), {}, "hold"),
        ({"younger_than": 5 * DAY}, file(days=None), {"first_page": NOW - DAY}, "deny"),
        ({"younger_than": 5 * DAY}, file(days=None), {"first_page": NOW - 6 * DAY}, "allow"),
        ({"younger_than": 5 * DAY}, file(days=-1), {"first_page": NOW - 6 * DAY}, "hold"),
        ({"upstreams": ["pypi.org"]}, file(), {}, "deny"),
        ({"upstreams": ["*.example.org"]}, file(), {}, "allow"),
        ({"advisories": ["MAL-*"]}, file(), {"advisories": (MALWARE,)}, "deny"),
        ({"advisories": ["MAL-*"]}, file(), {"advisories": (FLAW,)}, "allow"),
        ({"advisories": ["CVE-2026-1"]}, file(), {"advisories": (FLAW,)}, "deny"),
        ({"advisories": ["*"]}, file("leftpad-2.2.tar.gz"), {"advisories": (FLAW, MALWARE)}, "allow"),
        ({"advisories": ["*"]}, file(), {"advisories": None}, "hold"),
        ({"severity": Severity.HIGH}, file(), {"advisories": (FLAW,)}, "deny"),
        ({"severity": Severity.CRITICAL}, file(), {"advisories": (FLAW,)}, "allow"),
        ({"licences": ["AGPL-*"]}, file(), {"licences": {WHEEL: "AGPL-3.0-only"}}, "deny"),
        ({"licences": ["AGPL-*"]}, file(), {"licences": {WHEEL: "MIT OR AGPL-3.0-only"}}, "allow"),
        ({"licences": ["AGPL-*"]}, file(), {"licences": {}}, "hold"),
        ({"licences": ["AGPL-*"]}, file(), {}, "hold"),
        ({"provenance": ["none"]}, file(), {"provenance": {WHEEL: "none"}}, "deny"),
        ({"provenance": ["lost", "changed"]}, file(), {"provenance": {WHEEL: "github:acme/leftpad changed"}}, "deny"),
        ({"provenance": ["github:acme/*"]}, file(), {"provenance": {WHEEL: "github:evil/leftpad"}}, "allow"),
        ({"provenance": ["none"]}, file(), {}, "hold"),
        ({"requires_python": Version("3.8")}, file(requires_python=">=3.7"), {}, "deny"),
        ({"requires_python": Version("3.8")}, file(requires_python=">=3.9"), {}, "allow"),
        ({"requires_python": Version("3.8")}, file(), {}, "deny"),
        ({"requires_python": Version("3.8")}, file(requires_python="three"), {}, "hold"),
        ({"larger_than": 999}, file(), {}, "deny"),
        ({"larger_than": 1000}, file(), {}, "allow"),
        ({"larger_than": 1000}, file(size=None), {}, "hold"),
        ({"larger_than": 10, "kinds": ["sdist"]}, file(), {}, "allow"),  # all conditions have to fit
        ({"larger_than": 10, "kinds": ["sdist"]}, file(size=None), {}, "allow"),  # one that doesn't is enough
        ({"kinds": ["wheel"], "until": NOW}, file(), {}, "allow"),
        ({"kinds": ["wheel"], "until": NOW + 1}, file(), {}, "deny"),
    ],
)
def test_a_rule_that_denies(conditions: dict[str, Any], one: File, facts: dict[str, Any], expected: str) -> None:
    verdict = judged(ReleasePolicy(rules=[rule(**conditions)]), one, ProjectFacts(**facts))
    assert verdict.action is Action(expected), verdict


def test_the_first_rule_that_fits_decides() -> None:
    rules = [rule(Action.ALLOW, kinds=["wheel"]), rule(Action.DENY, projects=["*"]), rule(Action.WARN, projects=["*"])]
    assert judged(ReleasePolicy(rules=rules), file()).action is Action.ALLOW
    assert judged(ReleasePolicy(rules=rules), file(SDIST)).action is Action.DENY


@pytest.mark.parametrize("action", [Action.ALLOW, Action.WARN])
def test_what_is_not_known_lets_nothing_in(action: Action) -> None:
    """A rule that lets files in has to be known to fit."""
    policy = ReleasePolicy(min_age=7 * DAY, rules=[rule(action, licences=["MIT"])])
    assert judged(policy, file(days=1)).action is Action.HOLD
    assert judged(policy, file(days=1), ProjectFacts(licences={WHEEL: "MIT"})).action is action


@pytest.mark.parametrize(
    ("days", "facts", "expected"),
    [
        (8, {}, "allow"),
        (7, {}, "allow"),
        (6.9, {}, "hold"),
        (0, {}, "hold"),
        (-0.1, {}, "hold"),  # from the future
        (None, {}, "hold"),
        (None, {"first_page": NOW - 7 * DAY}, "allow"),
        (None, {"first_page": NOW - 6 * DAY}, "hold"),
        (4000, {"seen": {name_and_hash(file()): NOW - DAY}}, "hold"),  # it was not there before
        (4000, {"seen": {name_and_hash(file()): NOW - 8 * DAY}}, "allow"),
        (4000, {"seen": {name_and_hash(file(SDIST)): NOW - DAY}}, "allow"),
        (None, {"seen": {name_and_hash(file()): NOW - DAY}, "first_page": NOW - 90 * DAY}, "hold"),
    ],
)
def test_least_age(days: float | None, facts: dict[str, Any], expected: str) -> None:
    verdict = judged(ReleasePolicy(min_age=7 * DAY), file(days=days), ProjectFacts(**facts))
    assert verdict.action is Action(expected)


def test_the_day_on_which_a_file_comes_in() -> None:
    policy, one = ReleasePolicy(min_age=7 * DAY), file(days=2)
    verdict = judged(policy, one)
    assert (verdict.opens, verdict.changes) == (NOW + 5 * DAY, NOW + 5 * DAY)
    assert str(verdict) == "is held until 2027-01-20 08:00 UTC: it has not been out for 7 days yet"
    assert judged(policy, one, now=NOW + 5 * DAY - 1).action is Action.HOLD
    assert judged(policy, one, now=NOW + 5 * DAY) is ALLOWED


def test_a_release_that_fixes_an_advisory_need_not_wait() -> None:
    policy, facts = ReleasePolicy(min_age=7 * DAY), ProjectFacts(advisories=(FLAW,))
    assert judged(policy, file("leftpad-2.2.tar.gz", days=0), facts).action is Action.ALLOW
    assert judged(policy, file("leftpad-2.3.tar.gz", days=0), facts).action is Action.HOLD


@pytest.mark.parametrize(
    ("settings", "advisories", "expected"),
    [
        ({}, (MALWARE,), "deny"),
        ({}, (FLAW,), "warn"),
        ({}, (FLAW, MALWARE), "deny"),
        ({}, (), "allow"),
        ({}, None, "allow"),
        ({"if_unknown": Action.HOLD}, None, "hold"),
        ({"malware": Action.HOLD}, (MALWARE,), "hold"),
        ({"malware": Action.ALLOW}, (MALWARE,), "allow"),
        ({"malware": Action.WARN}, (FLAW, MALWARE), "warn"),
        ({"vulnerabilities": Action.DENY}, (FLAW,), "deny"),
        ({"vulnerabilities": Action.DENY, "least": Severity.CRITICAL}, (FLAW,), "allow"),
        ({"vulnerabilities": Action.HOLD, "least": Severity.HIGH}, (FLAW,), "hold"),
    ],
)
def test_advisories(settings: dict[str, Any], advisories: Any, expected: str) -> None:
    verdict = judged(ReleasePolicy(advisories=AdvisoryRule(**settings)), file(), ProjectFacts(advisories=advisories))
    assert verdict.action is Action(expected)


def test_malware_that_is_only_warned_of_does_not_hide_a_vulnerability_that_is_denied() -> None:
    rule_ = AdvisoryRule(malware=Action.WARN, vulnerabilities=Action.DENY)
    verdict = judged(ReleasePolicy(advisories=rule_), file(), ProjectFacts(advisories=(MALWARE, FLAW)))
    assert verdict.action is Action.DENY


def test_a_warning_does_not_shorten_the_wait() -> None:
    policy = ReleasePolicy(min_age=7 * DAY, advisories=AdvisoryRule())
    assert judged(policy, file(days=1), ProjectFacts(advisories=(FLAW,))).action is Action.HOLD


def test_a_rule_comes_before_advisories() -> None:
    policy = ReleasePolicy(rules=[rule(Action.ALLOW, projects=["leftpad"])], advisories=AdvisoryRule())
    assert judged(policy, file(), ProjectFacts(advisories=(MALWARE,))).action is Action.ALLOW


def test_a_version_that_can_t_be_told_may_be_any() -> None:
    policy = ReleasePolicy(advisories=AdvisoryRule())
    assert judged(policy, file("leftpad-2.1.win32.exe"), ProjectFacts(advisories=(MALWARE,))).action is Action.DENY


def test_verdicts_are_given_for_all_but_what_is_allowed_for_good() -> None:
    policy = ReleasePolicy(
        min_age=7 * DAY, rules=[rule(Action.HOLD, versions=SpecifierSet("==2.1"), older_than=200 * DAY)]
    )
    wheel = file("leftpad-1.0-py3-none-any.whl", days=300)
    found = policy.about("leftpad", "", ProjectFacts()).judge_all([wheel, file(), file(SDIST, days=300)], NOW)
    assert {name: (verdict.action, verdict.changes) for name, verdict in found.items()} == {
        WHEEL: (Action.ALLOW, NOW + 100 * DAY),
        SDIST: (Action.HOLD, inf),
    }


def test_a_rule_that_can_t_apply_changes_nothing() -> None:
    """A wheel becomes no sdist."""
    policy = ReleasePolicy(rules=[rule(Action.HOLD, kinds=["sdist"], older_than=200 * DAY, until=NOW + DAY)])
    assert judged(policy, file()) is ALLOWED


@pytest.mark.parametrize("older", [5 * DAY, 100 * DAY])
def test_a_verdict_changes_when_a_rule_begins_to_fit(older: float) -> None:
    """Also one that is allowed now."""
    policy, one = ReleasePolicy(rules=[rule(Action.DENY, older_than=older)]), file(days=1)
    verdict = judged(policy, one)
    assert (verdict.action, verdict.changes) == (Action.ALLOW, NOW - DAY + older)
    assert judged(policy, one, now=verdict.changes).action is Action.DENY


def test_a_verdict_on_a_file_from_the_future_changes_when_that_has_come() -> None:
    policy, one = ReleasePolicy(rules=[rule(Action.ALLOW, younger_than=DAY)], min_age=DAY), file(days=-3)
    verdict = judged(policy, one)
    assert (verdict.action, verdict.opens, verdict.changes) == (Action.HOLD, None, NOW + 3 * DAY)
    assert judged(policy, one, now=NOW + 3 * DAY).action is Action.ALLOW


@pytest.mark.parametrize("order", [1, -1])
def test_of_files_with_one_name_the_strictest_verdict_counts(order: int) -> None:
    twice = [file(days=1, hashes={"sha256": "aa"}), file(days=900, hashes={"sha256": "bb"})][::order]
    soon = rule(Action.WARN, larger_than=2000, until=NOW + DAY)  # so that no verdict stays for good
    about = ReleasePolicy(min_age=7 * DAY, rules=[soon]).about("leftpad", "pypi.org", ProjectFacts())
    verdict = about.judge_all(twice, NOW)[WHEEL]
    assert (verdict.action, verdict.changes) == (Action.HOLD, NOW + DAY)
