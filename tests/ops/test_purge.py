"""What a purge asks for, in a query, a form or JSON."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.index.resources import Resources
from gateway.ops.mark import EVERYTHING
from gateway.ops.names import PROJECT_NAME
from gateway.ops.purge import Purge, decode, keys_of, projects_of_all, requested
from gateway.rights.policy import Listing

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
        ("", JSON, b'{"keys": ["k"], "keys": ["l"]}'),
        ("", JSON, b'{"keys": ["\\ud800"]}'),
        ("", FORM, b"key=\xff"),
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
    return (key.partition("/")[0],) if "/" in key else ()


@pytest.mark.parametrize(
    ("purges", "matching", "projects"),
    [
        ([Purge("*", "key", "a/b")], ["a/b"], ["a"]),
        ([Purge("*", "prefix", "a/")], ["a/b", "a/bc"], []),
        ([Purge("*", "prefix", "")], ["a/b", "a/bc", "ab/c"], []),
        ([Purge("*", "project", "ab")], ["ab/c"], ["ab"]),
        ([Purge("*", "key", "a/b"), Purge("*", "key", "ab/c")], ["a/b", "ab/c"], ["a", "ab"]),
        ([Purge("*", "key", "a/b"), Purge("*", "project", "ab")], ["a/b", "ab/c"], ["a", "ab"]),
        ([Purge("*", "key", "a/b"), Purge("*", "prefix", "ab/")], ["a/b", "ab/c"], []),
        ([Purge("*", "key", "a/b"), Purge("*", "key", "of no project")], ["a/b"], []),
    ],
)
def test_which_keys_and_projects_are_meant(purges: list[Purge], matching: list[str], projects: list[str]) -> None:
    keys = keys_of(purges, projects_of)
    assert [key for key in ("a/b", "a/bc", "ab/c") if keys.matches(key)] == matching
    only_keys = all(purge.kind == "key" for purge in purges)
    assert keys.named == (frozenset(purge.name for purge in purges) if only_keys else None)
    assert [*projects_of_all(purges, projects_of)] == projects


def test_many_projects_cost_a_key_that_is_of_none_of_them_no_look_at_its_projects() -> None:
    """They are looked for on the event loop, among all that is cached."""
    asked: list[str] = []

    def projects_of(key: str) -> list[str]:
        asked.append(key)
        return ["acme-web"]

    keys = keys_of([Purge("*", "project", name) for name in ("acme-web", "other", "another")], projects_of)
    assert [key for key in ("a/b-1.0.tar.gz", "Acme_Web/c", "x/acme.web.txt") if keys.matches(key)] == asked
    assert asked == ["Acme_Web/c", "x/acme.web.txt"]


@given(
    st.lists(st.sampled_from(["simple", "Acme_Web", "acme--web-1.0.tar.gz", "a.b_c-1!2-py3-none-any.whl", "x-1.0.bak"]))
    | st.lists(st.text(min_size=1)),
    st.sampled_from(["", "/", ".metadata", ".sha256"]),
)
def test_a_key_of_a_project_is_spelled_so(segments: list[str], end: str) -> None:
    """Otherwise it would not be dropped with the project."""
    key = "/".join(segments) + end
    resources = Resources("", index_document="index.html", by_folder=True, root_page=Listing.FILTERED)
    for project in filter(PROJECT_NAME.fullmatch, resources.projects_of(key)):
        assert keys_of([Purge("*", "project", project)], resources.projects_of).matches(key)
