"""What an Authorization header means."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.authenticator import BearerToken, Credential, Password
from gateway.access.credentials import is_token, parse_authorization
from gateway.access.tokens.keys import HmacKey
from gateway.access.tokens.token import Claims, issue
from gateway.principal import Scope


def basic(text: bytes) -> str:
    return "Basic " + b64encode(text).decode()


@pytest.mark.parametrize(
    ("value", "credential"),
    [
        (basic(b"alice:secret"), Password("alice", "secret")),
        (basic(b"alice:se:cret"), Password("alice", "se:cret")),
        (basic(b":secret"), Password("", "secret")),
        (basic(b"gw_token:"), Password("gw_token", "")),
        (basic("zoë:pä".encode()), Password("zoë", "pä")),
        (basic("zoë:pä".encode("latin-1")), Password("zoë", "pä")),
        ("basic " + basic(b"a:b")[6:], Password("a", "b")),
        ("Bearer abc", BearerToken("abc")),
        ("BEARER   abc ", BearerToken("abc")),
        (basic(b"no colon"), None),
        ("Basic !!!", None),
        ("Basic YTp", None),
        ("Basic YT*pi", None),
        ("Basic YTpi YQ==", None),
        ("Basic", None),
        ("Bearer ", None),
        ("Digest username=x", None),
        ("", None),
        ("Bearer " + "x" * 20_000, BearerToken("x" * 20_000)),
        ("Bearer " + "x" * 20_001, None),
    ],
)
def test_basic_and_bearer_are_read(value: str, credential: object) -> None:
    assert parse_authorization(value) == credential


@given(st.text(max_size=40), st.text(max_size=40).filter(lambda text: ":" not in text))
def test_all_text_comes_through(password: str, user: str) -> None:
    data = f"{user}:{password}".encode("utf-8", "surrogatepass")
    read = parse_authorization(basic(data))
    assert isinstance(read, Password)
    assert "secret" not in repr(Password("u", "secret"))


@given(st.text(max_size=60))
def test_nothing_that_a_client_sends_raises(text: str) -> None:
    parse_authorization(text)
    parse_authorization("Basic " + text)


JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."
OURS = issue(Claims("alice", "1", Scope(frozenset()), 1), HmacKey(b"k" * 32))


@pytest.mark.parametrize(
    ("credential", "expected"),
    [
        (BearerToken("anything"), True),
        (Password("__token__", "anything"), True),
        (Password("alice", OURS), True),
        (Password(OURS, ""), True),
        (Password("alice", JWT), True),
        (Password("alice", JWT + "c2lnbmVk"), True),
        (Password(JWT, "x"), True),
        (Password("alice", "secret"), False),
        (Password("__TOKEN__", "secret"), False),
        (Password("token", ""), False),
        (Password("alice", OURS[:-1]), False),
        (Password("alice", JWT[2:]), False),
        (Password("alice", "eyJ.no"), False),
        (Password("alice", f"{JWT} x"), False),
    ],
)
def test_no_directory_of_passwords_needs_to_see_a_token(credential: Credential, expected: bool) -> None:
    assert is_token(credential) is expected
