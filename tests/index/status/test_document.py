"""The document that says the status of all projects."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.status.document import (
    ACTIVE,
    ARCHIVED,
    DEPRECATED,
    MOST_BYTES,
    MOST_REASON_CHARS,
    QUARANTINED,
    ProjectStatus,
    Statuses,
    decode,
    in_a_line,
)


def document(projects: Any, **other: Any) -> bytes:
    return json.dumps({"format": 1, "projects": projects} | other).encode()


@pytest.mark.parametrize(
    ("said", "marker", "offers", "takes"),
    [
        (ACTIVE, "active", True, True),
        (DEPRECATED, "deprecated", True, True),
        (ARCHIVED, "archived", True, False),
        (QUARANTINED, "quarantined", False, False),
        ("Archived", "quarantined", False, False),
        ("frozen", "quarantined", False, False),
    ],
)
def test_what_a_status_forbids(said: str, marker: str, offers: bool, takes: bool) -> None:
    status = ProjectStatus(said)
    assert (status.marker, status.offers_files, status.takes_files) == (marker, offers, takes)


def test_it_is_read_as_it_is_written() -> None:
    statuses = Statuses().having("acme-web", ProjectStatus(ARCHIVED, "use acme-site – „now“"))
    statuses = statuses.having("evil", ProjectStatus("frozen")).having("old", ProjectStatus(DEPRECATED))
    assert decode(statuses.encode()) == statuses
    assert statuses.withheld == {"evil"}
    assert statuses.of("evil") == ProjectStatus("frozen")
    assert statuses.having("evil", ProjectStatus()).withheld == frozenset()
    assert statuses.having("evil", ProjectStatus()).of("evil") is None


def test_what_a_later_version_may_add_is_passed_over() -> None:
    found = decode(document({"a": {"status": "archived", "since": 1}, "b": {"status": "active"}}, more=[]))
    assert found == Statuses({"a": ProjectStatus(ARCHIVED)})


def test_the_reason_is_one_line_whoever_has_written_it() -> None:
    reason = "a\r\nb\x00\ud800 \u202e" + "c" * 2000
    found = decode(document({"a": {"status": "archived", "reason": reason}})).of("a")
    assert found == ProjectStatus(ARCHIVED, in_a_line(reason))
    assert found.reason.startswith("a b c")
    assert len(found.reason) == MOST_REASON_CHARS
    assert len(in_a_line(" x" * 1024)) == 1023


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"format": 1, "projects": {"a": {"status": "archived"}, "a": {"status": "active"}}}',
        b'{"format": 1, "format": 1, "projects": {}}',
        document({}, format=2),
        document({}, format=True),
        document({}, format="1"),
        b'{"projects": {}}',
        document([]),
        document(None),
        document({"A": {"status": "archived"}}),
        document({"a_b": {"status": "archived"}}),
        document({"a--b": {"status": "archived"}}),
        document({"": {"status": "archived"}}),
        document({"a": "archived"}),
        document({"a": {"status": ""}}),
        document({"a": {"status": "x" * 65}}),
        document({"a": {"status": "\ud800"}}),
        document({"a": {"status": 1}}),
        document({"a": {"reason": "x"}}),
        document({"a": {"status": "archived", "reason": 1}}),
        document({}) + b" " * MOST_BYTES,
    ],
    ids=lambda content: content[:70].decode("latin-1"),
)
def test_what_is_no_such_document_says_nothing(content: bytes) -> None:
    with pytest.raises(ValueError):
        decode(content)


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_any_bytes_are_a_document_or_not(content: bytes) -> None:
    try:
        found = decode(content)
    except ValueError:
        return
    assert decode(found.encode()) == found


def test_a_document_has_a_limit() -> None:
    statuses = Statuses({f"p{number}": ProjectStatus(ARCHIVED, "r" * 1000) for number in range(1100)})
    with pytest.raises(ValueError, match=str(MOST_BYTES)):
        statuses.encode()
