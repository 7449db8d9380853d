"""What is a JWT, and which headers are taken."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.oidc.jwt import Jwt, JwtError, check_header, read
from tests.support.issuer import b64

HEADER = {"alg": "RS256", "kid": "one"}


def text_of(header: bytes = b"{}", payload: bytes = b"{}", signature: str = "AA") -> str:
    return f"{b64(header)}.{b64(payload)}.{signature}"


def test_a_jwt_is_read() -> None:
    token = read(text_of(b'{"alg": "RS256"}', b'{"iss": "https://issuer.example", "n": {"a": [1]}}'))
    assert token is not None
    assert token.text == text_of(b'{"alg": "RS256"}', b'{"iss": "https://issuer.example", "n": {"a": [1]}}')
    assert token.header == {"alg": "RS256"}
    assert token.claims == {"iss": "https://issuer.example", "n": {"a": [1]}}
    assert token.issuer == "https://issuer.example"


@pytest.mark.parametrize("claims", [b"{}", b'{"iss": 1}', b'{"iss": null}', b'{"iss": ["https://issuer.example"]}'])
def test_a_token_without_an_issuer_names_none(claims: bytes) -> None:
    token = read(text_of(payload=claims))
    assert token is not None
    assert token.issuer == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "..",
        "a.b",
        "a.b.c.d",
        "gw_abc",
        text_of() + "\n",
        " " + text_of(),
        text_of() + "=",
        text_of().replace(".", ".."),
        text_of(signature=""),
        text_of(b"[]"),
        text_of(payload=b"[]"),
        text_of(payload=b"null"),
        text_of(payload=b"\xff"),
        text_of(payload='{"iss": "x"}'.encode("utf-16")),
        text_of(payload=b'{"iss": "a", "iss": "b"}'),
        text_of(payload=b'{"x": [{"y": 1, "y": 2}]}'),
        text_of(b'{"alg": "RS256", "alg": "none"}'),
        text_of(b'{"alg": "RS256", "\\u0061lg": "none"}'),
        text_of(payload=b'{"exp": NaN}'),
        text_of(payload=b'{"exp": -Infinity}'),
        text_of(payload=b'{"exp": ' + b"9" * 5000 + b"}"),
        text_of(payload=b"[" * 11_000),
        text_of(payload=b'{"a":' * 2200),
        "A.A.A",
        text_of(signature="é"),
        "é" + text_of(),
    ],
)
def test_other_text_is_none(text: str) -> None:
    assert read(text) is None


def test_a_token_is_at_most_16_kb_long() -> None:
    text = text_of(signature="")
    assert read(text + "A" * (16 * 1024 - len(text))) is not None
    assert read(text + "A" * (16 * 1024 - len(text) + 1)) is None


@given(st.text() | st.from_regex(r"[\w-]{0,30}\.[\w-]{0,30}\.[\w-]{0,30}"))
def test_reading_never_fails(text: str) -> None:
    assert read(text) is None or isinstance(read(text), Jwt)


def test_a_token_does_not_show() -> None:
    token = read(text_of(payload=b'{"iss": "https://issuer.example"}', signature="c2VjcmV0"))
    assert repr(token) == "Jwt()"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": "application/at+JWT"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jku": "https://attacker.example/keys", "x5u": "nonsense", "x5c": 1},
        {"kid": "../../../../dev/null"},
        {"unknown": [1]},
        {"kid": "1"},
        {"kid": "x" * 512},
    ],
)
def test_what_a_header_brings_along_is_ignored(more: dict[str, Any]) -> None:
    header = HEADER | more
    assert check_header(header, ["RS256"]) == ("RS256", header["kid"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"alg": None}, "algorithm"),
        ({"alg": "none"}, "algorithm"),
        ({"alg": "None"}, "algorithm"),
        ({"alg": "HS256"}, "algorithm"),
        ({"alg": "rs256"}, "algorithm"),
        ({"alg": "ES256"}, "algorithm"),
        ({"alg": ["RS256"]}, "algorithm"),
        ({"alg": {}}, "algorithm"),
        ({"crit": ["exp"]}, "extension"),
        ({"crit": []}, "extension"),
        ({"crit": None}, "extension"),
        ({"b64": False}, "extension"),
        ({"b64": True}, "extension"),
        ({"typ": "logout+jwt"}, "type"),
        ({"typ": "dpop+jwt"}, "type"),
        ({"typ": 1}, "type"),
        ({"typ": None}, "type"),
        ({"kid": None}, "which key"),
        ({"kid": ""}, "which key"),
        ({"kid": 1}, "which key"),
        ({"kid": ["one"]}, "which key"),
        ({"kid": "x" * 513}, "which key"),
    ],
)
def test_other_headers_are_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(JwtError, match=why):
        check_header(HEADER | change, frozenset({"RS256"}))


@pytest.mark.parametrize("missing", HEADER)
def test_a_header_needs_an_algorithm_and_a_key(missing: str) -> None:
    with pytest.raises(JwtError):
        check_header({name: value for name, value in HEADER.items() if name != missing}, ["RS256"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x"]), json_values))
def test_no_header_breaks_the_check(header: dict[str, Any]) -> None:
    try:
        algorithm, key_id = check_header(header, ["RS256"])
    except JwtError:
        return
    assert (algorithm, key_id) == ("RS256", header["kid"])
