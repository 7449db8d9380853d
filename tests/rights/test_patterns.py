"""Patterns match what they say in any spelling, and two that could both apply are found out."""

import fnmatch
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rights.patterns import ProjectPattern

PATTERNS = st.text("ab*?-", min_size=1, max_size=5)


def _words(alphabet: str, shortest: int, longest: int) -> list[str]:
    return ["".join(word) for size in range(shortest, longest + 1) for word in itertools.product(alphabet, repeat=size)]


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
    for candidate in _words("ab-", 0, 5):
        assert pattern.matches(candidate) == fnmatch.fnmatchcase(candidate, pattern.text), candidate


def test_two_overlap_if_some_text_matches_both() -> None:
    patterns = [ProjectPattern(text) for text in _words("ab*?", 1, 3)]
    matched = [{text for text in _words("ab-", 0, 6) if pattern.matches(text)} for pattern in patterns]
    for (one, its_texts), (other, other_texts) in itertools.product(zip(patterns, matched, strict=True), repeat=2):
        assert one.overlaps(other) == bool(its_texts & other_texts), (one, other)


def test_what_says_more_is_more_specific() -> None:
    ascending = ["*", "?*", "??", "a*", "?a*", "acme-*", "acme-?*", "acme-web*", "acme-web"]
    specificities = [ProjectPattern.parse(text).specificity for text in ascending]
    assert all(less < more for less, more in itertools.pairwise(specificities)), specificities


@pytest.mark.parametrize("text", ["", "a/b", "a b", "[ab]", "ä", "a\n", "a\x00"])
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="project's name"):
        ProjectPattern.parse(text)


@pytest.mark.parametrize(("ends", "overlap"), [("", False), ("*", True), ("?", False)])
def test_long_patterns_are_compared_in_little_time(ends: str, overlap: bool) -> None:
    one, other = (ProjectPattern(f"*{letter}" * 100 + ends) for letter in "ab")
    assert one.overlaps(one)
    assert one.overlaps(other) == overlap
