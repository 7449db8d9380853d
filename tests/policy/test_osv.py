"""Records in OSV's format: what is kept of them, and what they affect then."""

import json
from typing import Any

import pytest
from packaging.version import Version

from gateway.policy.advisory import Advisory, Severity
from gateway.policy.osv import MAX_ITEMS, advisory_of, documents
from tests.support.advisories import GHSA, MAL, MAL_PROJECT, PYSEC, flaw, malware


def read(record: object) -> dict[str, Advisory]:
    return {project: advisory_of(document) for project, document in documents(record).items()}


def affected(record: object, project: str, versions: str) -> str:
    """Those of the versions that are affected."""
    advisory = read(record)[project]
    return " ".join(text for text in versions.split() if advisory.affects(Version(text)))


@pytest.mark.parametrize("record", [PYSEC, GHSA])
def test_a_vulnerability_in_ranges(record: dict[str, Any]) -> None:
    versions = "4.1 4.2a1 4.2 4.2.13 4.2.14 4.2.15 5.0b1 5.0 5.0.6 5.0.7 5.1"
    assert affected(record, "django", versions) == "4.2 4.2.13 5.0 5.0.6"
    advisory = read(record)["django"]
    assert advisory.fixed == {Version("4.2.14"), Version("5.0.7")}
    assert advisory.aliases == ("CVE-2024-38875",)
    assert not advisory.is_malware


def test_what_is_told_of_it() -> None:
    assert read(GHSA)["django"].summary == "Django vulnerable to Denial of Service"
    summary = read(PYSEC)["django"].summary
    assert summary.startswith("An issue was discovered in Django 4.2 before")
    assert summary.endswith("…")
    assert len(summary) == 200
    assert read(GHSA)["django"].severity == Severity.HIGH
    assert read(PYSEC)["django"].severity == Severity.UNKNOWN


def test_listed_versions_beyond_the_ranges_are_kept_and_no_others() -> None:
    assert affected(PYSEC, "django", "5.1a1 5.1") == "5.1a1"
    assert read(PYSEC)["django"].versions == {Version("5.1a1")}


def test_malware_by_version() -> None:
    assert affected(MAL, "litellm", "1.82.6 1.82.7 1.82.8 1.82.8.0 1.82.9") == "1.82.7 1.82.8 1.82.8.0"
    advisory = read(MAL)["litellm"]
    assert advisory.is_malware
    assert advisory.summary == "Malicious code in litellm (PyPI)"


def test_a_project_that_is_malware() -> None:
    assert affected(MAL_PROJECT, "123bla", "0.dev0 0 1.0 2026.1") == "0.dev0 0 1.0 2026.1"


def test_an_alias_tells_malware_too() -> None:
    assert read(flaw("x", ("introduced", "0")) | {"aliases": ["MAL-2026-7"]})["x"].is_malware


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ("introduced=0", "0.1 1.0 1.5 2.0 3.0"),
        ("introduced=0 fixed=1.5", "0.1 1.0"),
        ("introduced=0 last_affected=1.5", "0.1 1.0 1.5"),
        ("introduced=1.0 fixed=1.5 introduced=2.0 fixed=3.0", "1.0 2.0"),
        ("fixed=3.0 introduced=2.0 fixed=1.5 introduced=1.0", "1.0 2.0"),
        ("fixed=1.5 introduced=0", "0.1 1.0"),
        ("introduced=1.0 introduced=1.5 fixed=2.0", "1.0 1.5"),
        ("introduced=0 fixed=1.0 introduced=1.0 fixed=2.0", "0.1 1.0 1.5"),
        ("introduced=1.0 fixed=1.0", ""),
        ("introduced=1.5 last_affected=1.5", "1.5"),
        ("introduced=0 fixed=1.0 fixed=2.0", "0.1"),
        ("introduced=0 limit=1.0", "0.1 1.0 1.5 2.0 3.0"),
        ("fixed=1.0", ""),
        ("introduced=0 fixed=0", ""),
    ],
)
def test_the_events_of_a_range(events: str, expected: str) -> None:
    record = malware("x", "9") | {}
    pairs = [event.split("=") for event in events.split()]
    record["affected"][0]["ranges"] = [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in pairs]}]
    assert affected(record, "x", "0.1 1.0 1.5 2.0 3.0") == expected


def test_each_project_of_a_record() -> None:
    record = flaw("My_Project", ("introduced", "2")) | {}
    record["affected"] += malware("other.project", "1.0", "nonsense")["affected"]
    record["affected"] += [{"package": {"ecosystem": "npm", "name": "left-pad"}, "versions": ["1"]}]
    found = read(record)
    assert sorted(found) == ["my-project", "other-project"]
    assert found["other-project"].versions == {Version("1.0")}
    assert found["other-project"].ranges == ()


@pytest.mark.parametrize(
    "record",
    [
        MAL | {"withdrawn": "2026-03-27T00:00:00Z"},
        {"id": "MAL-1"},
        {"id": "MAL-1", "affected": None},
        {"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}}]},
        {"id": "MAL-1", "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "versions": []}]},
        {"id": "MAL-1", "affected": [{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}]},
        {"id": "A", "affected": [{"package": {"ecosystem": "PyPI", "name": "x"}, "ranges": [{"type": "GIT"}]}]},
        malware("x", "1") | {"affected": [{"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1"]}]},
    ],
)
def test_what_affects_nothing(record: dict[str, Any]) -> None:
    assert documents(record) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}, "CRITICAL"),
        ({"severity": [{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N"}]}, "UNKNOWN"),
        ({"severity": [{"type": "CVSS_V4"}], "database_specific": {"severity": "MODERATE"}}, "MEDIUM"),
        ({"severity": [{"type": "CVSS_V3", "score": "7"}], "database_specific": {"severity": "low"}}, "LOW"),
        ({"severity": ["?", 3, {"type": []}], "database_specific": {"severity": ["HIGH"]}}, "UNKNOWN"),
        ({"database_specific": {"severity": "CRITICAL"}}, "CRITICAL"),
        ({"database_specific": {"severity": "dreadful"}}, "UNKNOWN"),
        ({"database_specific": "CRITICAL"}, "UNKNOWN"),
    ],
)
def test_severity(fields: dict[str, Any], expected: str) -> None:
    assert read(flaw("x", ("introduced", "0")) | fields)["x"].severity.name == expected


def test_the_severity_of_one_affected_project() -> None:
    record = flaw("x", ("introduced", "0")) | {}
    record["affected"][0]["severity"] = [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"}]
    assert read(record)["x"].severity == Severity.MEDIUM


PACKAGE = {"ecosystem": "PyPI", "name": "x"}


@pytest.mark.parametrize(
    "record",
    [
        None, [], "text", 7, {}, {"id": 7}, {"id": ""}, {"id": "MAL-1\n2"}, {"id": "x" * 200},
        {"id": "A", "withdrawn": 7},
        {"id": "A", "affected": {}},
        {"id": "A", "affected": ["x"]},
        {"id": "A", "affected": [{"package": "x"}]},
        {"id": "A", "affected": [{"package": {"ecosystem": "PyPI"}, "versions": ["1"]}]},
        {"id": "A", "affected": [{"package": {"ecosystem": "PyPI", "name": ["x"]}, "versions": ["1"]}]},
        {"id": "A", "affected": [{"package": {"ecosystem": "PyPI", "name": "../x"}, "versions": ["1"]}]},
        {"id": "A", "affected": [{"package": {"ecosystem": "PyPI", "name": "x" * 500}, "versions": ["1"]}]},
        {"id": "A", "affected": [{"package": PACKAGE, "versions": "1.0"}]},
        {"id": "A", "affected": [{"package": PACKAGE, "versions": [1]}]},
        {"id": "A", "affected": [{"package": PACKAGE, "versions": [f"1.{n}" for n in range(MAX_ITEMS + 1)]}]},
        {"id": "A", "affected": [{"package": PACKAGE, "ranges": "x"}]},
        {"id": "A", "affected": [{"package": PACKAGE, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": 1}]}]}]},
        {"id": "A", "affected": [{"package": PACKAGE, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "?"}]}]}]},
        {"id": "A", "affected": [{"package": PACKAGE, "ranges": [{"type": "ECOSYSTEM", "events": ["x"]}]}]},
        flaw("x", *[("introduced", "0")] * (MAX_ITEMS + 1)),
        flaw("x", ("introduced", "0")) | {"aliases": "CVE-1"},
        flaw("x", ("introduced", "0")) | {"severity": "HIGH"},
    ],
)  # fmt: skip
def test_what_can_t_be_read(record: object) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        documents(record)


def test_listed_versions_stand_for_a_range_that_can_t_be_read() -> None:
    record = flaw("x", ("introduced", "0"), ("fixed", "next")) | {}
    record["affected"][0]["versions"] = ["1.0"]
    assert affected(record, "x", "0.9 1.0 1.1") == "1.0"


def test_texts_can_t_look_like_others() -> None:
    record = malware("x", "1") | {"summary": "a\x1b[31m\u202eb\ud800c\x00\nsecond line"}
    assert read(record)["x"].summary == "a[31mbc"
    assert read(malware("x", "1") | {"summary": " \n\u202e\n", "details": "\n\nWhat it does\n"})["x"].summary == (
        "What it does"
    )
    assert read(malware("x", "1") | {"summary": 7, "details": ["x"]})["x"].summary == ""


@pytest.mark.parametrize("document", ["", "{}", "[]", "[1]", json.dumps(["A", "", [], 9, [], []]), "[" * 10_000])
def test_a_damaged_document(document: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        advisory_of(document)


def test_a_document_is_short() -> None:
    (document,) = documents(GHSA).values()
    assert json.loads(document) == [
        "GHSA-qg2p-9jwr-mmqf",
        "Django vulnerable to Denial of Service",
        ["CVE-2024-38875"],
        3,
        [],
        [["4.2", "4.2.14", None], ["5.0", "5.0.7", None]],
    ]
