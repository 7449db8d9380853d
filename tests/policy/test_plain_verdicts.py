"""The verdicts on many files at once are those that the manual's sentences give for each file alone."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gateway.index.simple.pages import File
from gateway.policy.advisory import Advisory, Severity, VersionRange, first_affecting
from gateway.policy.facts import ProjectFacts, kind_of, name_and_hash, version_of
from gateway.policy.licence import has_licence
from gateway.policy.provenance import fits
from gateway.policy.release_policy import ADVISORIES, MIN_AGE, AdvisoryRule, ReleasePolicy
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import ALLOWED, Action, Verdict

NOW = 1_800_000_000.0
DAY = 86400.0
_STRICTNESS = [Action.ALLOW, Action.WARN, Action.HOLD, Action.DENY]
# What a verdict tells of a file now.
Told = tuple[Action, str, float | None, bool]


def told(verdict: Verdict) -> Told:
    return verdict.action, verdict.by, verdict.opens, verdict.malware


def plain(policy: ReleasePolicy, file: File, facts: ProjectFacts, now: float) -> Told:
    """One condition after the other."""
    for rule in policy.rules:
        if rule.until is not None and now >= rule.until:
            continue
        found = [*conditions(rule, file, facts, now)]
        if False in found:
            continue
        if None in found:
            if rule.action in (Action.HOLD, Action.DENY):
                return Action.HOLD, rule.name, None, False
            continue
        return rule.action, rule.name, rule.until if rule.action is Action.HOLD else None, False
    advice = by_advisories(policy.advisories, file, facts) if policy.advisories is not None else None
    if advice is not None and advice[0] in (Action.HOLD, Action.DENY):
        return advice
    by_age = by_least_age(policy.min_age, file, facts, now)
    return by_age if advice is None or by_age[0] is Action.HOLD else advice


def conditions(rule: ReleaseRule, file: File, facts: ProjectFacts, now: float) -> Iterator[bool | None]:
    """Whether each fits; None if that is not known."""
    since, version = facts.out_since(file, now), version_of(file.name)
    if rule.kinds:
        yield kind_of(file.name) in rule.kinds
    if rule.larger_than is not None:
        yield None if file.size is None else file.size > rule.larger_than
    if rule.older_than is not None:
        yield None if since is None else now - since >= rule.older_than
    if rule.younger_than is not None:
        yield None if since is None else now - since < rule.younger_than
    if rule.versions is not None:
        yield None if version is None else rule.versions.contains(version, prereleases=True)
    if rule.requires_python is not None:
        yield not file.requires_python or SpecifierSet(file.requires_python).contains(rule.requires_python)
    if rule.advisories or rule.severity is not None:
        if facts.advisories is None or (facts.advisories and version is None):
            yield None
        else:
            yield any(
                one.affects(version)
                and (rule.severity is None or one.severity >= rule.severity)
                and (not rule.advisories or any(fnmatchcase(one.id, pattern) for pattern in rule.advisories))
                for one in facts.advisories
                if version is not None
            )
    if rule.licences:
        licence = (facts.licences or {}).get(file.name)
        yield None if licence is None else has_licence(licence, rule.licences)
    if rule.provenance:
        words = (facts.provenance or {}).get(file.name)
        yield None if words is None else fits(words, rule.provenance)


def by_advisories(rule: AdvisoryRule, file: File, facts: ProjectFacts) -> Told | None:
    if facts.advisories is None:
        return (rule.if_unknown, ADVISORIES, None, False) if rule.if_unknown is not Action.ALLOW else None
    version = version_of(file.name)
    affecting = [one for one in facts.advisories if version is None or one.affects(version)]
    found = list[Told]()
    if any(one.is_malware for one in affecting):
        found.append((rule.malware, ADVISORIES, None, True))
    if any(not one.is_malware and one.severity >= rule.least for one in affecting):
        found.append((rule.vulnerabilities, ADVISORIES, None, False))
    strictest = max(found, key=lambda one: _STRICTNESS.index(one[0]), default=None)
    return strictest if strictest is not None and strictest[0] is not Action.ALLOW else None


def by_least_age(least: float, file: File, facts: ProjectFacts, now: float) -> Told:
    since, version = facts.out_since(file, now), version_of(file.name)
    if least <= 0 or (since is not None and now - since >= least):
        return told(ALLOWED)
    if version is not None and any(version in one.fixed for one in facts.advisories or ()):
        return Action.ALLOW, MIN_AGE, None, False
    return Action.HOLD, MIN_AGE, None if since is None else since + least, False


def some(*values: Any) -> st.SearchStrategy[Any]:
    return st.none() | st.sampled_from(values)


DAYS = st.integers(-20, 4).map(lambda days: NOW + days * DAY)
NAMES = [
    f"p-{version}{ending}"
    for version in ("1.0", "1.0.0", "1.5rc1", "1.5", "2.0", "10", "2.0.post1")
    for ending in ("-py3-none-any.whl", ".tar.gz", "-py3.9.egg")
] + ["p-strange.win32.exe", "p.whl"]
VERSIONS = st.sampled_from(["0.9", "1.0", "1.2", "1.5rc1", "1.5", "2.0", "2.0.post1", "3", "10"]).map(Version)
FILES = st.builds(
    File,
    st.sampled_from(NAMES),
    st.just("https://files.example/x"),
    size=some(10, 1000),
    modified=st.none() | DAYS,
    requires_python=some(">=3.9", "<3", ""),
    hashes=st.sampled_from([{"sha256": "aa"}, {"sha256": "bb"}, {"md5": "cc"}, {}]),
)
RANGES = st.builds(VersionRange, st.none() | VERSIONS, st.none() | VERSIONS, st.none() | VERSIONS)
FLAWS = st.builds(
    Advisory,
    st.sampled_from(["MAL-2026-1", "MAL-2026-2", "PYSEC-2026-7", "GHSA-x"]),
    severity=st.sampled_from(Severity),
    versions=st.frozensets(VERSIONS, max_size=3),
    ranges=st.lists(RANGES, max_size=2).map(tuple),
)
RULES = st.builds(
    ReleaseRule,
    name=st.sampled_from(["policy.rules[1]", "policy.rules[2]"]),
    action=st.sampled_from(Action),
    until=st.none() | DAYS,
    versions=some(SpecifierSet(">=1.5"), SpecifierSet("==1.0"), SpecifierSet("<2,!=1.0")),
    kinds=st.sampled_from([(), (), ("sdist",), ("wheel", "other")]),
    older_than=some(2 * DAY, 9 * DAY),
    younger_than=some(3 * DAY, 8 * DAY),
    advisories=st.sampled_from([(), (), ("MAL-*",), ("GHSA-x", "PYSEC-*")]),
    severity=some(Severity.HIGH),
    licences=st.sampled_from([(), (), ("GPL-*",)]),
    provenance=st.sampled_from([(), (), ("none", "lost")]),
    requires_python=some(Version("3.8")),
    larger_than=some(100),
)
POLICIES = st.builds(
    ReleasePolicy,
    st.sampled_from([0.0, 7 * DAY]),
    st.lists(RULES, max_size=4),
    st.none()
    | st.builds(
        AdvisoryRule, *[st.sampled_from(Action)] * 2, st.sampled_from(Severity), if_unknown=st.sampled_from(Action)
    ),
)
BY_NAME = st.sampled_from(NAMES)
FACTS = st.builds(
    ProjectFacts,
    st.dictionaries(FILES.map(name_and_hash), DAYS, max_size=4),
    st.none() | DAYS,
    st.none() | st.lists(FLAWS, max_size=5).map(tuple),
    some({}) | st.dictionaries(BY_NAME, st.sampled_from(["MIT", "GPL-3.0-only", "MIT OR GPL-2.0-only"])),
    some({}) | st.dictionaries(BY_NAME, st.sampled_from(["none", "github:a/b", "none lost", "github:a/b ?"])),
)


@settings(max_examples=150)
@given(POLICIES, st.lists(FILES, max_size=12), FACTS, st.floats(0, 30 * DAY))
def test_many_files_are_judged_as_each_alone(
    policy: ReleasePolicy, files: list[File], facts: ProjectFacts, later: float
) -> None:
    found = policy.about("p", "pypi.org", facts).judge_all(files, NOW)
    for name in {file.name for file in files}:
        verdict = found.get(name, ALLOWED)
        assert verdict.changes > NOW
        for now in (NOW, NOW + later):
            if now < verdict.changes:
                expected = [plain(policy, file, facts, now) for file in files if file.name == name]
                strictest = max(_STRICTNESS.index(action) for action, *_ in expected)
                assert verdict.action is _STRICTNESS[strictest]
                if now == NOW or verdict.action is not Action.ALLOW:  # one may come in for another reason later
                    assert told(verdict) in expected


@given(st.lists(FLAWS, max_size=6), st.sets(VERSIONS).map(sorted))
def test_the_first_advisory_that_affects_each_version(advisories: list[Advisory], versions: list[Version]) -> None:
    found = first_affecting(advisories, versions)
    for version in versions:
        assert found.get(version) is next((one for one in advisories if one.affects(version)), None)
