"""Exceptions from the policy, and the document of them."""

import json
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from gateway.policy import exceptions
from gateway.policy.exceptions import MOST_BYTES, PolicyException, decode, encode, having, without
from gateway.policy.facts import ProjectFacts
from gateway.policy.release_policy import ReleasePolicy
from gateway.policy.rule import ReleaseRule
from gateway.policy.verdict import Action
from gateway.rights.patterns import ProjectPattern
from tests.policy.test_release_policy import DAY, NOW, SDIST, WHEEL, file

ONE = PolicyException("leftpad", "==2.1", NOW + DAY, "SEC-12", "ann", NOW)
FIELDS = {"project": "leftpad", "versions": "==2.1", "until": NOW, "reason": "SEC-12", "author": "ann", "made": NOW}


@pytest.mark.parametrize(
    ("one", "name", "now", "expected"),
    [
        (ONE, WHEEL, NOW, Action.ALLOW),
        (ONE, SDIST, NOW, Action.ALLOW),
        (ONE, "leftpad-2.2.tar.gz", NOW, Action.DENY),
        (ONE, WHEEL, NOW + DAY, Action.DENY),
        (PolicyException("left*", "", NOW + DAY, "r", "a"), "leftpad-2.2.tar.gz", NOW, Action.ALLOW),
        (PolicyException("right*", "", NOW + DAY, "r", "a"), WHEEL, NOW, Action.DENY),
    ],
)
def test_it_comes_before_the_rules(one: PolicyException, name: str, now: float, expected: Action) -> None:
    deny = ReleaseRule(name="r", action=Action.DENY, projects=[ProjectPattern.parse("*")])
    policy = ReleasePolicy(rules=[one.rule(), deny])
    assert policy.about("leftpad", "", ProjectFacts()).judge(file(name), now).action is expected


def test_the_document() -> None:
    other = PolicyException("acme-*", "", NOW, "ünder review", "bob")
    assert decode(encode([ONE, other])) == [ONE, other]
    assert decode(encode([])) == []


def test_one_about_the_same_versions_is_replaced_and_old_ones_go() -> None:
    old = PolicyException("old", "", NOW - 31 * DAY, "r", "a")
    ended = PolicyException("ended", "", NOW - 29 * DAY, "r", "a")
    longer = PolicyException("leftpad", "==2.1", NOW + 9 * DAY, "still", "bob", NOW)
    assert having([old, ended, ONE], longer, NOW) == [ended, longer]
    assert without([ONE, ended], "leftpad==2.1", NOW) == [ended]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"format": 2, "exceptions": []}',
        b'{"format": true, "exceptions": []}',
        b'{"format": 1}',
        b'{"format": 1, "exceptions": {}}',
        b'{"format": 1, "format": 1, "exceptions": []}',
        b" " * (MOST_BYTES + 1),
    ],
)
def test_what_is_no_document(document: bytes) -> None:
    with pytest.raises(ValueError, match=r"not|format|exceptions|over|twice"):
        decode(document)


@pytest.mark.parametrize(
    "change",
    [
        {"project": "left pad"},
        {"project": 1},
        {"versions": "two"},
        {"until": "soon"},
        {"until": True},
        {"until": -1},
        {"until": 1e999},
        {"reason": "a\nb"},
        {"author": "x" * 501},
        {"made": None},
    ],
)
def test_what_is_no_exception_lets_nothing_in(change: dict[str, Any]) -> None:
    fields = FIELDS | change
    with pytest.raises(ValueError, match=r"exception 1 is none|not JSON"):
        decode(json.dumps({"format": 1, "exceptions": [fields]}).encode())


def test_there_is_a_most() -> None:
    with pytest.raises(ValueError, match="over 1048576 bytes"):
        encode([ONE] * 20_000)


def test_what_the_rule_says() -> None:
    rule = ONE.rule()
    assert (rule.name, rule.reason, rule.until) == ("the exception for leftpad==2.1 by ann", "SEC-12", NOW + DAY)
    assert rule.versions == SpecifierSet("==2.1")


def test_there_are_not_too_many_to_be_tried_with_each_project(monkeypatch: pytest.MonkeyPatch) -> None:
    one = PolicyException("x", "", 1.0, "r", "a")
    document = encode([one] * 3)
    monkeypatch.setattr(exceptions, "_MOST", 2)
    with pytest.raises(ValueError, match="over 2 exceptions"):
        decode(document)
    with pytest.raises(ValueError, match="2 exceptions"):
        encode([one] * 3)
