"""What a purge asks for, in a query, a form or JSON."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.ops.mark import EVERYTHING
from gateway.ops.purge import Purge, decode, requested

FORM, JSON = "application/x-www-form-urlencoded", "application/json; charset=utf-8"


@pytest.mark.parametrize(
    ("query", "kind", "body", "expected"),
    [
        ("key=a%2Fb.txt", "", b"", [Purge("*", "key", "a/b.txt")]),
        ("mount=docs&prefix=a/", "", b"", [Purge("docs", "prefix", "a/")]),
        ("mount=docs", "", b"", [Purge("docs", "prefix", "")]),
        ("project=Acme_Web&key=k&key=k", "", b"", [Purge("*", "project", "acme-web"), Purge("*", "key", "k")]),
        ("", FORM, b"mount=docs&prefix=a%2F", [Purge("docs", "prefix", "a/")]),
        ("mount=docs", FORM, b"prefix=a/", [Purge("docs", "prefix", "a/")]),
        ("", FORM, b' {"keys": ["k"]}', [Purge("*", "key", "k")]),  # curl --data
        (
            "",
            JSON,
            json.dumps({"mount": "docs", "keys": ["\u00e9"], "prefixes": ["a/"], "projects": ["A.B"]}).encode(),
            [Purge("docs", "key", "\u00e9"), Purge("docs", "prefix", "a/"), Purge("docs", "project", "a-b")],
        ),
        ("&".join(f"key={number}" for number in range(100)), "", b"", [Purge("*", "key", str(n)) for n in range(100)]),
    ],
)
def test_what_is_asked_for(query: str, kind: str, body: bytes, expected: list[Purge]) -> None:
    assert requested(query, kind, body) == expected


@pytest.mark.parametrize(
    ("query", "kind", "body"),
    [
        ("", "", b""),
        ("", JSON, b"{}"),
        ("", JSON, b"[]"),
        ("", JSON, b"{"),
        ("", JSON, b"[" * 60_000),
        ("", JSON, b'{"keys": "k"}'),
        ("", JSON, b'{"keys": [1]}'),
        ("", JSON, b'{"key": ["k"]}'),
        ("", JSON, b'{"mount": ["docs"], "keys": ["k"]}'),
        ("key=", "", b""),
        ("prefix=", "", b""),
        ("path=/a", "", b""),
        ("key", "", b""),
        ("project=-a", "", b""),
        ("mount=a&mount=b&key=k", "", b""),
        ("mount=a", JSON, b'{"mount": "b", "keys": ["k"]}'),
        ("key=" + "k" * 1025, "", b""),
        ("&".join(f"key={number}" for number in range(101)), "", b""),
        ("", JSON, json.dumps({"keys": [str(number) for number in range(101)]}).encode()),
    ],
)
def test_what_is_refused(query: str, kind: str, body: bytes) -> None:
    with pytest.raises(BadRequestError) as refused:
        requested(query, kind, body)
    assert "prefix=NAME" in refused.value.public


@given(st.text(), st.text(), st.binary())
def test_nothing_else_is_raised(query: str, kind: str, body: bytes) -> None:
    for content_type in (kind, JSON):
        with suppress(BadRequestError):
            requested(query, content_type, body)


@given(
    st.sampled_from(["*", "docs"]),
    st.sampled_from(["key", "prefix", "project"]),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_workers_understand_each_other(mount: str, kind: str, name: str) -> None:
    purge = Purge(mount, kind, name)  # type: ignore[arg-type]
    assert decode(purge.encode()) == purge


def test_what_could_not_be_told_is_everything() -> None:
    assert decode(EVERYTHING) == Purge(EVERYTHING, "prefix", "")


def projects_of(key: str) -> tuple[str, ...]:
    return (key.partition("/")[0],)


@pytest.mark.parametrize(
    ("purge", "matching", "projects"),
    [
        (Purge("*", "key", "a/b"), ["a/b"], ["a"]),
        (Purge("*", "prefix", "a/"), ["a/b", "a/bc"], []),
        (Purge("*", "prefix", ""), ["a/b", "a/bc", "ab/c"], []),
        (Purge("*", "project", "ab"), ["ab/c"], ["ab"]),
    ],
)
def test_which_keys_and_projects_are_meant(purge: Purge, matching: list[str], projects: list[str]) -> None:
    keys = purge.keys(projects_of)
    assert [key for key in ("a/b", "a/bc", "ab/c") if keys.matches(key)] == matching
    assert keys.named == (frozenset(matching) if purge.kind == "key" else None)
    assert [*purge.projects(projects_of)] == projects
