"""Where a file comes from, in few characters that headers and tokens may have."""

import json
import re

from hypothesis import given
from hypothesis import strategies as st

from gateway.access.tokens.keys import parse_key
from gateway.access.tokens.token import Claims, issue, verify
from gateway.config.publish.trusted_publishers import MOST_PROJECT_CHARACTERS
from gateway.principal import Right, Scope
from gateway.publish.trusted.sources import source, subject, text_of
from gateway.storage.base import ObjectMetadata
from gateway.storage.s3.metadata import headers_of, metadata_of
from tests.access.tokens.test_token import ED25519


@given(st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=300)), max_size=9))
def test_a_source_is_a_short_object_in_ascii_that_headers_keep(fields: list[tuple[str, str]]) -> None:
    text = source((re.sub("[^a-z]", "x", name), value) for name, value in fields)
    assert re.fullmatch(r"\{[ -~]{0,398}\}", text)
    assert isinstance(json.loads(text), dict)
    if text != "{}":
        assert metadata_of(headers_of(ObjectMetadata(publisher=text))).publisher == text


def test_what_comes_last_is_left_out_if_there_is_no_room() -> None:
    fields = [("kind", "GitHub"), ("sha", ""), ("ref", "r" * 1000), ("a", "a" * 149), ("b", "b" * 150), ("c", "c")]
    text = source(fields)
    assert json.loads(text) == {"kind": "GitHub", "ref": "r" * 150, "a": "a" * 149, "c": "c"}


def test_a_subject_is_printable_and_short() -> None:
    assert subject('github:a/b\n"\\ ü@refs') == "github:a/b?????@refs"
    assert len(subject("x" * 1000)) == 200


def test_only_texts_numbers_and_truth_values_are_told() -> None:
    claims = {"a": "x", "b": 7, "c": True, "d": None, "e": ["x"], "f": 1.5}
    assert [text_of(claims, name) for name in "abcdefg"] == ["x", "7", "true", "", "", "", ""]


def test_the_longest_that_there_can_be_fits_into_a_token() -> None:
    longest = source([(name, "x" * 80) for name in "abcdefgh"])
    projects = tuple(f"{number:03}-" + "y" * 3 for number in range(MOST_PROJECT_CHARACTERS // 10))
    scope = Scope(frozenset({Right.WRITE}), projects, grants="a" * 63, source=longest)
    claims = Claims(subject("z" * 300), "f" * 16, scope, 2_000_000_000)
    for key in (ED25519, parse_key("k" * 32)):
        assert verify(issue(claims, key), [key], 0) == claims
