"""Subjects are read as they are written, and are whom they say."""

import re

import pytest

from gateway.principal import ANONYMOUS, Principal
from gateway.rights.subjects import Subject, is_name

SUBJECTS = ["everyone", "authenticated", "user:alice", "user:bob", "group:data", "token:t1"]
WRONG = "must be everyone, authenticated, user:NAME, group:NAME or token:ID"


@pytest.mark.parametrize("text", ["", "all", "user:", "group: ", "role:x", "Everyone", "token:"])
def test_what_is_no_subject_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(WRONG)}$"):
        Subject.parse(text)


@pytest.mark.parametrize("text", SUBJECTS)
def test_subjects_are_printed_as_they_are_written(text: str) -> None:
    assert str(Subject.parse(text)) == text


@pytest.mark.parametrize(
    ("who", "subjects"),
    [
        (ANONYMOUS, {"everyone"}),
        (Principal("carol"), {"everyone", "authenticated"}),
        (Principal("alice", groups=frozenset({"data"})), {"everyone", "authenticated", "user:alice", "group:data"}),
        (Principal("bob", token="t1"), {"everyone", "authenticated", "user:bob", "token:t1"}),
        # One name is not another kind's.
        (Principal("data", groups=frozenset({"alice", "t1"}), token="bob"), {"everyone", "authenticated"}),
    ],
)
def test_a_principal_is_every_subject_that_names_it(who: Principal, subjects: set[str]) -> None:
    assert {text for text in SUBJECTS if Subject.parse(text).is_one(who)} == subjects


@pytest.mark.parametrize(
    ("text", "can_be"),
    [
        ("alice", True),
        ("Alice Müller", True),
        ("a@b.example", True),
        ("", False),
        (" alice", False),
        ("alice ", False),
        ("al:ice", False),
        ("al\nice", False),
        ("al\x00ice", False),
        ("al\u202eice", False),
        (" ", False),
    ],
)
def test_a_name_is_one_that_http_basic_can_carry(text: str, can_be: bool) -> None:
    assert is_name(text) is can_be
