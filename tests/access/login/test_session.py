"""A session is the one that was given, until it expires."""

import json
from base64 import b64decode
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.authenticator import Identity
from gateway.access.login import session
from gateway.access.login.session import SessionError, decode, encode, form_token, is_form_token
from gateway.access.login.signed_cookie import CookieKeys, cookie_of, seal
from gateway.principal import Right, Scope

NOW = 1_800_000_000.0
KEYS, OTHERS = CookieKeys((b"k" * 32,)), CookieKeys((b"o" * 32,))
ALICE = Identity("alice", frozenset({"a", "b"}), expires=NOW + 60)

identities = st.builds(
    Identity,
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=50),
    st.frozensets(st.text(st.characters(codec="utf-8"), max_size=20), max_size=5),
    st.booleans(),
    expires=st.integers(int(NOW) + 1, int(NOW) + 10**9).map(float),
)


@given(identities)
def test_a_session_is_the_one_that_was_given(identity: Identity) -> None:
    assert decode(encode(identity, KEYS), KEYS, NOW) == identity


def test_a_session_expires() -> None:
    value = encode(replace(ALICE, expires=NOW + 60.9), KEYS)
    assert decode(value, KEYS, NOW + 59) is not None
    assert decode(value, KEYS, NOW + 60) is None


def test_other_cookies_are_no_sessions() -> None:
    content = json.dumps({"sub": "alice", "exp": 2**50}).encode()
    assert decode(seal("gateway session 1", content, KEYS), KEYS, NOW) == Identity("alice", expires=2**50)
    assert decode(seal("gateway login 1", content, KEYS), KEYS, NOW) is None
    assert decode(encode(ALICE, OTHERS), KEYS, NOW) is None
    assert decode("", KEYS, NOW) is None


@pytest.mark.parametrize(
    ("identity", "why"),
    [
        (Identity("alice"), "^it would never end$"),
        (replace(ALICE, expires=0), "never end"),
        (replace(ALICE, expires=2.0**53), "never end"),
        (replace(ALICE, expires=float("nan")), "never end"),
        (replace(ALICE, token="id"), "^a token can't be used to log in$"),
        (replace(ALICE, scope=Scope(frozenset(Right))), "token"),
        (replace(ALICE, groups=frozenset(map(str, range(1000)))), "1000 groups"),
        (replace(ALICE, name="a\ud800"), "no text"),
    ],
)
def test_what_does_not_fit_gets_no_session(identity: Identity, why: str) -> None:
    with pytest.raises(SessionError, match=why):
        encode(identity, KEYS)


def test_the_cookie_lives_as_long_as_the_session() -> None:
    value = encode(ALICE, KEYS)
    header = session.set_session(value, ALICE, NOW)
    assert header.startswith("__Host-gateway=")
    assert "; Max-Age=60" in header
    assert cookie_of(header.partition(";")[0], session.NAME) == value
    assert session.end_session().startswith("__Host-gateway=; ")
    assert "Max-Age=0" in session.end_session()
    assert "Max-Age=0" in session.set_session(value, ALICE, NOW + 100)


def test_a_form_belongs_to_its_session() -> None:
    value, other = encode(ALICE, KEYS), encode(replace(ALICE, name="mallory"), KEYS)
    token = form_token(value, KEYS)
    assert is_form_token(token, value, KEYS)
    assert is_form_token(token, value, CookieKeys((*OTHERS.secrets, *KEYS.secrets)))
    assert not is_form_token(token, other, KEYS)
    assert not is_form_token(token, value, OTHERS)
    for wrong in ("", token[:-1], token + "A", "é", "\ud800", value):
        assert not is_form_token(wrong, value, KEYS)
    assert token not in value


def test_a_session_takes_little_of_the_cookie() -> None:
    """Browsers keep 4,096 bytes, and who has many groups needs them."""
    content = b64decode(encode(replace(ALICE, name="Zoë", admin=True), KEYS).partition(".")[0] + "==")
    assert content.decode() == '{"sub":"Zoë","exp":1800000060,"groups":["a","b"],"admin":true}'
    assert decode(encode(replace(ALICE, expires=0.5), KEYS), KEYS, 0) is None
