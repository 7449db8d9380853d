"""Whatever is in a user's name, it stays one value in filters and distinguished names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.directories.ldap_text import (
    fill_dn,
    fill_filter,
    first_value,
    is_below,
    parse_dn,
    username_field,
)


@pytest.mark.parametrize(
    ("username", "filled"),
    [
        ("alice", "(uid=alice)"),
        ("*", r"(uid=\2a)"),
        ("a)(cn=*", r"(uid=a\29\28cn\3d\2a)"),
        (r"\2a", r"(uid=\5c2a)"),
        ("{dn}", r"(uid=\7bdn\7d)"),
        ("é", r"(uid=\c3\a9)"),
        (" ", r"(uid=\20)"),
    ],
)
def test_a_name_in_a_filter(username: str, filled: str) -> None:
    assert fill_filter("(uid={username})", username=username, dn="cn=x") == filled


def test_a_filter_may_have_several_values_and_braces() -> None:
    template = "(|(member={dn})(uid={username})(x={other})(y={username}))"
    filled = fill_filter(template, username="{dn}", dn="{username}")
    assert filled == r"(|(member=\7busername\7d)(uid=\7bdn\7d)(x={other})(y=\7bdn\7d))"


def test_a_name_in_a_dn() -> None:
    assert fill_dn("uid={username},o=x", "a,o=y+b=#") == r"uid=a\2co\3dy\2bb\3d\23,o=x"


@given(st.text(min_size=1))
def test_a_name_is_the_value_of_its_rdn_and_nothing_more(username: str) -> None:
    found = parse_dn(fill_dn("uid={username},o=x", username))
    assert found == (frozenset({("uid", username.lower())}), frozenset({("o", "x")}))


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ("uid={username},o=x", "uid"),
        ("(&(objectClass=person)(sAMAccountName={username}))", "sAMAccountName"),
        ("(|(mail={username})(uid={username}))", "mail"),
        ("(uid={username}@example.org)", "uid"),
        ("(uid:caseExactMatch:={username})", ""),
    ],
)
def test_the_attribute_that_a_name_is_compared_with(template: str, field: str) -> None:
    assert username_field(template) == field


@pytest.mark.parametrize(
    ("dn", "value"),
    [
        ("cn=data,ou=groups", "data"),
        (r"CN=Data\, Web \2b \C3\A9+ou=x,ou=groups", "Data, Web + é"),
        ("cn=a=b", "a=b"),
        ("cn", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_group(dn: str, value: str) -> None:
    assert first_value(dn) == value


@pytest.mark.parametrize(
    ("dn", "base", "below"),
    [
        ("cn=a,ou=groups,o=x", "ou=groups,o=x", True),
        ("CN=a, OU=Groups , O=X", "ou=groups,o=x", True),
        ("cn=a,ou=groups,o=x", "", True),
        ("ou=groups,o=x", "ou=groups,o=x", True),
        (r"cn=a\,ou=groups,o=x", "ou=groups,o=x", False),
        (r"cn=a\2cou=groups,o=x", "ou=groups,o=x", False),
        ("cn=a,ou=other,o=x", "ou=groups,o=x", False),
        ("o=x", "ou=groups,o=x", False),
    ],
)
def test_which_groups_are_below(dn: str, base: str, below: bool) -> None:
    assert is_below(dn, base) is below
