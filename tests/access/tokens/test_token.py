"""A token means what was signed, or nothing."""

import json
import string

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.tokens import base62
from gateway.access.tokens import token as tokens
from gateway.access.tokens.keys import HmacKey, TokenKey, parse_key
from gateway.access.tokens.token import Claims, TokenError, issue, looks_like_one, unverified, verify
from gateway.principal import Right, Scope

NOW = 1_800_000_000.0
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PEM = PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
PUBLIC_PEM = PRIVATE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
HMAC, ED25519 = parse_key("s" * 32), parse_key(PEM)
CLAIMS = Claims("alice", "id-1", Scope(frozenset({Right.READ, Right.WRITE}), ("acme-*",)), int(NOW) + 60)

names = st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable())
claims = st.builds(
    Claims,
    names,
    names,
    st.builds(
        Scope,
        st.frozensets(st.sampled_from(Right)),
        st.lists(st.sampled_from(["*", "acme-*", "a", "b-?"]), max_size=3).map(tuple),
    ),
    st.integers(int(NOW) + 1, int(NOW) + 10**9),
)


@given(claims, st.sampled_from([HMAC, ED25519]))
def test_what_was_signed_is_what_it_means(given_claims: Claims, key: TokenKey) -> None:
    token = issue(given_claims, key)
    assert verify(token, [HMAC, ED25519], NOW) == given_claims
    assert set(token[3:]) <= set(string.ascii_letters + string.digits)
    with pytest.raises(TokenError, match=r"^expired$"):
        verify(token, [key], given_claims.expires)


@given(st.sampled_from([HMAC, ED25519]), st.integers(0, 10**6), st.sampled_from(base62.ALPHABET))
def test_no_character_can_be_another(key: TokenKey, place: int, other: str) -> None:
    """Not even with a checksum that fits."""
    token = issue(CLAIMS, key)
    place = 3 + place % (len(token) - 9)
    changed = token[:place] + other + token[place + 1 : -6]
    if changed == token[:-6]:
        return
    assert not looks_like_one(changed + token[-6:])
    with pytest.raises(TokenError):
        verify(changed + tokens._checksum(changed), [HMAC, ED25519], NOW)


@pytest.mark.parametrize(
    "text",
    ["", "gw_", "gw_abc", "gw_0000000", "pypi-abc", "gw_" + "a" * 3000, "gw_äöü" + "a" * 50, " ", "gw_" + "é" * 50],
)
def test_other_text_is_no_token(text: str) -> None:
    assert not looks_like_one(text)
    with pytest.raises(TokenError, match=r"^not a token, or not all of it$"):
        verify(text, [HMAC], NOW)


@pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "{}x", "GW_{}"])
def test_what_stands_around_a_token_makes_it_none(change: str) -> None:
    token = issue(CLAIMS, HMAC)
    assert not looks_like_one(change.format(token))


def test_a_token_is_at_most_2000_characters_long() -> None:
    for size, allowed in ((2000, True), (2001, False)):
        text = "gw_" + "a" * (size - 9)
        assert looks_like_one(text + tokens._checksum(text)) == allowed


def test_keys_can_be_rotated() -> None:
    old, new = HmacKey(b"o" * 32), HmacKey(b"n" * 32)
    token = issue(CLAIMS, old)
    assert verify(token, [new, old], NOW) == CLAIMS
    with pytest.raises(TokenError, match=r"^signed by a key that is not known$"):
        verify(token, [new, ED25519], NOW)


def test_another_key_with_the_same_id_does_not_verify() -> None:
    forger = HmacKey(b"f" * 32)
    forger.id = HMAC.id
    with pytest.raises(TokenError, match=r"^the signature is wrong$"):
        verify(issue(CLAIMS, forger), [HMAC], NOW)


def test_a_public_key_verifies_and_can_t_sign() -> None:
    public = parse_key(PUBLIC_PEM)
    assert not public.may_sign
    assert ED25519.may_sign
    assert verify(issue(CLAIMS, ED25519), [public], NOW) == CLAIMS


@pytest.mark.parametrize(
    "change",
    [
        {"sub": ""},
        {"sub": 1},
        {"jti": ""},
        {"jti": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": 10**400},
        {"exp": 1e30},
        {"exp": 2**53},
        {"can": "x"},
        {"can": None},
        {"can": ["r", []]},
        {"for": []},
        {"for": ["a/b"]},
        {"for": [1]},
        {"for": "ab"},
        {"for": None, "to": 1},
        {"can": ["r"]},
        {"for": {}},
        {"only-from": "10.0.0.0/8"},
    ],
)
def test_signed_claims_that_are_not_understood_are_refused(change: dict[str, object]) -> None:
    fields = {"sub": "alice", "jti": "1", "exp": int(NOW) + 60, "can": "r"}
    assert verify(_signed(json.dumps(fields).encode()), [HMAC], NOW).subject == "alice"
    with pytest.raises(TokenError, match=r"^its claims can't be read$"):
        verify(_signed(json.dumps(fields | change).encode()), [HMAC], NOW)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"1", b"\xff", b"{", b"[" * 1300])
def test_signed_rubbish_is_refused(content: bytes) -> None:
    with pytest.raises(TokenError, match=r"^its claims can't be read$"):
        verify(_signed(content), [HMAC], NOW)


def test_another_version_is_refused() -> None:
    with pytest.raises(TokenError, match=r"^made by another version of the gateway$"):
        verify(_signed(b"{}", version=b"\x02"), [HMAC], NOW)


def test_a_token_that_is_too_short_for_its_signature_is_refused() -> None:
    text = "gw_" + base62.encode(b"\x01" + HMAC.id)
    with pytest.raises(TokenError, match=r"^the signature is wrong$"):
        verify(text + tokens._checksum(text), [HMAC], NOW)


def test_too_many_projects_are_refused_when_it_is_issued() -> None:
    scope = Scope(frozenset({Right.READ}), tuple(f"project-{number}" for number in range(200)))
    with pytest.raises(TokenError, match=r"^too long: give it fewer projects$"):
        issue(Claims("alice", "1", scope, int(NOW)), HMAC)
    largest = Scope(frozenset({Right.READ}), ("p" * 1150,))
    token = issue(Claims("alice", "1", largest, int(NOW) + 1), HMAC)
    assert len(token) > 1600
    assert verify(token, [HMAC], NOW).scope == largest


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("short", "at least 32 bytes"),
        ("s" * 31, "^must have at least 32 bytes: openssl rand -base64 32$"),
        ("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----", "^is no PEM key"),
        (
            PRIVATE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")).decode(),
            "no PEM key",
        ),
        (
            ec.generate_private_key(ec.SECP256R1())
            .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            .decode(),
            "^must be an Ed25519 key",
        ),
    ],
)
def test_what_is_no_key_is_refused_without_being_quoted(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        parse_key(text)
    assert "nonsense" not in str(refused.value)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize("size", [31, 32])
def test_a_secret_has_at_least_32_bytes(size: int) -> None:
    if size < 32:
        with pytest.raises(ValueError, match="at least 32 bytes"):
            parse_key(f" {'s' * size}\n")
    else:
        assert parse_key(f" {'s' * size}\n").sign(b"x") == HMAC.sign(b"x")


def test_the_longest_token_that_is_issued_is_the_longest_that_is_read() -> None:
    sizes = set()
    for length in range(1370, 1400):
        scope = Scope(frozenset({Right.READ}), ("p" * length,))
        try:
            token = issue(Claims("alice", "1", scope, int(NOW) + 1), HMAC)
        except TokenError:
            break
        assert verify(token, [HMAC], NOW).scope == scope
        sizes.add(len(token))
    assert max(sizes) == 2000


@pytest.mark.parametrize(
    ("secret", "rights", "token"),
    [
        (
            "s" * 32,
            frozenset({Right.READ, Right.WRITE}),
            "gw_2y54TIH4eFMLCorfHZDVZNu2aVlrYJbdwc6aUJCzvF5ZmJjBKg5lGtaU4NYLJoxqobh8biH7kltNjiqX7pQrwNy0r89x5rbhtJo4BPL"
            "hrzD6a7fpL30fmbm2EKIbfeVz1o0iQnRuds9uRyvuC50kAcSF",
        ),
        (
            PEM,
            frozenset(Right),
            "gw_1BH9OWUTThCTBQN43hfGqiWNKAZszIcdJd7lHvI6bjxVbXGg3195LDCAkz46NPxvwahiaZD4G7s9Jk0cH1toyKjJGIi6LKSqvSFDgSr"
            "haPzXQanhTmOr610R7S69LH1AemOcuOHCdH5YqawVow1tA2JeLXZzBBenFrN8gzEr90lmTny",
        ),
    ],
    ids=["hmac", "ed25519"],
)
def test_a_token_of_an_earlier_gateway_is_still_one(secret: str, rights: frozenset[Right], token: str) -> None:
    key = parse_key(secret)
    claims = Claims("Zoë", "id-5", Scope(rights, ("acme-*",) if key.signature_bytes == 32 else ()), 1_800_000_060)
    assert verify(token, [key], NOW) == claims
    assert issue(claims, key) == token
    assert key.may_sign is True


@pytest.mark.parametrize("key", [HMAC, ED25519])
def test_what_a_token_claims_is_told_to_who_asks_whatever_its_key_and_its_end(key: TokenKey) -> None:
    assert unverified(issue(CLAIMS, key)) == CLAIMS
    past = Claims("alice", "1", Scope(frozenset({Right.READ})), 5)
    assert unverified(issue(past, key)) == past
    with pytest.raises(TokenError, match=r"^its claims can't be read$"):
        unverified(_signed(b"{}"))
    with pytest.raises(TokenError, match=r"^not a token"):
        unverified("gw_nothing")


@pytest.mark.parametrize("text", ["é", "a b", "a-b", "\n"])
def test_base62_has_no_other_characters(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not base62$"):
        base62.decode(text)


@given(st.binary(min_size=1, max_size=200).filter(lambda data: data[0] != 0))
def test_base62_keeps_bytes(data: bytes) -> None:
    assert base62.decode(base62.encode(data)) == data


def _signed(content: bytes, version: bytes = b"\x01") -> str:
    signed = version + HMAC.id + content
    text = "gw_" + base62.encode(signed + HMAC.sign(signed))
    return text + tokens._checksum(text)


GRANT = Claims(
    "github:acme/web/.github/workflows/release.yml@refs/tags/v1",
    "id-2",
    Scope(frozenset({Right.WRITE}), ("acme-web",), grants="acme-packages", source='{"kind":"GitHub"}'),
    int(NOW) + 900,
)


@pytest.mark.parametrize("key", [HMAC, ED25519])
def test_a_grant_is_signed_with_where_it_comes_from(key: TokenKey) -> None:
    assert verify(issue(GRANT, key), [key], NOW) == GRANT


@pytest.mark.parametrize(
    "fields",
    [
        {"can": "w"},
        {"can": "w", "for": []},
        {"can": "rw", "for": ["acme-web"]},
        {"can": "", "for": ["acme-web"]},
        {"can": "w", "for": ["acme-web"], "grant": 1},
        {"can": "w", "for": ["acme-web"], "grant": True},
        {"can": "w", "for": ["acme-web"], "grant": ""},
        {"can": "w", "for": ["acme-web"], "from": 1},
        {"can": "w", "for": ["acme-web"], "from": {}},
    ],
)
def test_a_grant_is_for_writing_some_projects_alone(fields: dict[str, object]) -> None:
    document = {"sub": "x", "jti": "y", "exp": int(NOW) + 60, "grant": "acme-packages"} | fields
    signed = b"\x01" + HMAC.id + json.dumps(document).encode()
    text = "gw_" + base62.encode(signed + HMAC.sign(signed))
    with pytest.raises(TokenError, match="its claims can't be read"):
        verify(text + tokens._checksum(text), [HMAC], NOW)
