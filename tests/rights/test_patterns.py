"""Patterns match what they say in any spelling, and two that could both apply are found out."""

import fnmatch
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rights.patterns import ProjectPattern

PATTERNS = st.text("ab*?-", min_size=1, max_size=5)
# Two patterns of five characters that match anything in common match a text of ten at most.
TEXTS = ["".join(text) for size in range(7) for text in itertools.product("ab-", repeat=size)]


@pytest.mark.parametrize("spelling", ["My_Pkg", "my-pkg", "MY.PKG", "my-._pkg"])
def test_spellings_are_one_name(spelling: str) -> None:
    pattern = ProjectPattern.parse(spelling)
    assert pattern.text == "my-pkg"
    assert pattern.matches("my-pkg")
    assert not pattern.matches("my-pkg2")
    assert not pattern.matches("amy-pkg")


@given(PATTERNS)
def test_it_matches_what_the_shell_would(text: str) -> None:
    pattern = ProjectPattern.parse(text)
    for candidate in TEXTS[:400]:
        assert pattern.matches(candidate) == fnmatch.fnmatchcase(candidate, pattern.text), candidate


@given(st.text("ab*?", min_size=1, max_size=3), st.text("ab*?", min_size=1, max_size=3))
def test_two_overlap_if_some_text_matches_both(one: str, other: str) -> None:
    first, second = ProjectPattern.parse(one), ProjectPattern.parse(other)
    assert first.overlaps(second) == any(first.matches(text) and second.matches(text) for text in TEXTS)
    assert second.overlaps(first) == first.overlaps(second)


def test_what_says_more_is_more_specific() -> None:
    ascending = ["*", "?*", "??", "a*", "?a*", "acme-*", "acme-?*", "acme-web*", "acme-web"]
    specificities = [ProjectPattern.parse(text).specificity for text in ascending]
    assert all(less < more for less, more in itertools.pairwise(specificities)), specificities


@pytest.mark.parametrize("text", ["", "a/b", "a b", "[ab]", "ä", "a\n", "a\x00"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="project's name"):
        ProjectPattern.parse(text)


def test_long_patterns_are_compared_in_little_time() -> None:
    one, other = ProjectPattern.parse("*a" * 100), ProjectPattern.parse("*b" * 100)
    assert one.overlaps(one)
    assert not one.overlaps(other)
