"""Which keys of an issuer are used, and what they verify."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.oidc.jwt import JwtError, read
from gateway.access.oidc.keys import Keys, parse_keys
from tests.support.issuer import SigningKey, b64, ec_key, ed25519_key, number, rsa_key

RSA, EC, ED = rsa_key(), ec_key(), ed25519_key()


def keys(*members: Any, **more: Any) -> Keys:
    return parse_keys(json.dumps({"keys": members, **more}).encode())


def verify(found: Keys, text: str, algorithm: str, key_id: str = "one") -> None:
    token = read(text)
    assert token is not None
    found.verify(token, algorithm, key_id)


@pytest.mark.parametrize("key", [RSA, EC, ED, ec_key("P-384"), rsa_key(bits=4096)], ids=lambda key: str(key.algorithm))
@pytest.mark.parametrize("named", [True, False])
def test_what_a_key_has_signed_is_verified(key: SigningKey, named: bool) -> None:
    found = keys(key.jwk("one", use="sig", **({"alg": key.algorithm} if named else {})))
    text = key.token({"iss": "x"})
    verify(found, text, key.algorithm)
    head, payload, signature = text.split(".")
    for changed in (
        f"{head}.{payload}.{signature[:-8]}AAAAAAAA",
        f"{head}.{b64(b'{}')}.{signature}",
        f"{b64(json.dumps({'alg': key.algorithm}).encode())}.{payload}.{signature}",
        f"{head}.{payload}.{'A' * len(signature)}",
        f"{head}.{payload}.A",
        f"{head}.{payload}.AAAA",
    ):
        with pytest.raises(JwtError, match="signature"):
            verify(found, changed, key.algorithm)


def test_the_name_of_eddsa_may_be_that_of_its_curve() -> None:
    verify(keys(ED.jwk("one")), ED.token({}, alg="Ed25519"), "Ed25519")


def test_another_key_of_the_same_id_does_not_verify() -> None:
    with pytest.raises(JwtError):
        verify(keys(rsa_key(1).jwk("one")), RSA.token({}), "RS256")
    with pytest.raises(JwtError):
        verify(keys(RSA.jwk("one")), RSA.token({}, key_id="two"), "RS256", "two")


def test_several_keys_may_have_one_id() -> None:
    found = keys(RSA.jwk("one"), EC.jwk("one"), rsa_key(1).jwk("one"), ED.jwk("one"))
    for key in (RSA, EC, rsa_key(1), ED):
        verify(found, key.token({}), key.algorithm)


def test_at_most_four_keys_of_one_id_are_tried() -> None:
    found = keys(*[RSA.jwk("one")] * 4, rsa_key(1).jwk("one"))
    with pytest.raises(JwtError):
        verify(found, rsa_key(1).token({}), "RS256")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512"])
def test_a_public_key_is_no_secret(algorithm: str) -> None:
    """Also if the check of the header were to let it pass."""
    found = keys(RSA.jwk("one"), EC.jwk("one"))
    signed = f"{b64(json.dumps({'alg': algorithm}).encode())}.{b64(b'{}')}"
    secrets = [json.dumps(RSA.jwk("one")).encode(), base64.urlsafe_b64decode(str(RSA.public["n"]) + "=="), b""]
    signatures = [b"", *(hmac.digest(secret, signed.encode(), hashlib.sha256) for secret in secrets)]
    for signature in signatures:
        token = read(f"{signed}.{b64(signature) or 'AA'}")
        assert token is not None
        with pytest.raises(JwtError):
            found.verify(token, algorithm, "one")


@pytest.mark.parametrize("algorithm", ["RS384", "PS256", "ES256", "EdDSA"])
def test_a_key_verifies_only_by_its_own_algorithm(algorithm: str) -> None:
    with pytest.raises(JwtError):
        verify(keys(RSA.jwk("one", alg="RS256")), RSA.token({}, alg=algorithm), algorithm)
    with pytest.raises(JwtError):
        verify(keys(RSA.jwk("one", alg=algorithm)), RSA.token({}), "RS256")


def test_a_curve_belongs_to_one_algorithm() -> None:
    other = ec_key("P-384")
    with pytest.raises(JwtError):
        verify(keys(other.jwk("one")), other.token({}, alg="ES256"), "ES256")


def test_a_signature_of_zeros_is_none() -> None:
    head = f"{b64(b'{}')}.{b64(b'{}')}"
    for signature in (bytes(64), b"0\x06\x02\x01\0\x02\x01\0", bytes(63) + b"\1"):
        with pytest.raises(JwtError):
            verify(keys(EC.jwk("one")), f"{head}.{b64(signature)}", "ES256")


UNUSABLE: dict[str, Any] = {
    "text": "key",
    "nothing": None,
    "secret": {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
    "of another kind": {"kty": "AKP", "kid": "one", "alg": "ML-DSA-65", "pub": "AA"},
    "without a kind": {"kid": "one", "n": RSA.public["n"], "e": "AQAB"},
    "kind is a list": {**RSA.jwk("one"), "kty": ["RSA"]},
    "without an id": dict(RSA.public),
    "empty id": RSA.jwk(""),
    "id is a number": {**RSA.public, "kid": 1},
    "algorithm is a list": RSA.jwk("one", alg=["RS256"]),
    "for encryption": RSA.jwk("one", use="enc"),
    "for other operations": RSA.jwk("one", key_ops=["encrypt"]),
    "operations are a number": RSA.jwk("one", key_ops=7),
    "published secret": RSA.jwk("one", d="AQAB"),
    "published secret of EC": EC.jwk("one", d="AQAB"),
    "too short": rsa_key(bits=1024).jwk("one"),
    "too short, with zeros": {
        **(short := rsa_key(bits=1024)).jwk("one"),
        "n": b64(bytes(128)) + str(short.public["n"]),
    },
    "too long": RSA.jwk("one") | {"n": number((1 << 9000) + 1)},
    "exponent too long": RSA.jwk("one") | {"e": number((1 << 64) + 1)},
    "exponent 1": RSA.jwk("one") | {"e": "AQ"},
    "no base64": RSA.jwk("one") | {"n": "+/+/"},
    "no ASCII": RSA.jwk("one") | {"n": "é" * 400},
    "modulus is a number": RSA.jwk("one") | {"n": 3},
    "modulus is absent": {"kty": "RSA", "kid": "one", "e": "AQAB"},
    "not on the curve": EC.jwk("one") | {"x": b64(b"\1" * 32)},
    "coordinate too short": EC.jwk("one") | {"x": "AA"},
    "of another curve": ec_key("secp256k1").jwk("one"),
    "curve is a list": EC.jwk("one") | {"crv": ["P-256"]},
    "for key exchange": ED.jwk("one") | {"crv": "X25519"},
    "Ed25519 too short": ED.jwk("one") | {"x": "AAAA"},
    "curve of another kind": ED.jwk("one") | {"crv": "P-256"},
    "kind of another curve": EC.jwk("one") | {"crv": "Ed25519"},
}


@pytest.mark.parametrize("member", UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_keys_are_skipped(member: Any) -> None:
    with pytest.raises(ValueError, match="no key among them"):
        keys(member)
    found = keys(member, EC.jwk("two"))
    assert "two" in found
    assert "one" not in found


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"keys": null}',
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [], "keys": []}',
        b"\xff\xfe{",
        b"[" * 100_000,
        json.dumps({"keys": [RSA.jwk("one")] * 101}).encode(),
    ],
)
def test_what_is_no_set_of_keys_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_keys(body)


def test_the_smallest_and_the_largest_that_are_taken() -> None:
    assert "one" in keys(*[EC.jwk("one")] * 100)
    assert "one" in keys(RSA.jwk("one") | {"e": number((1 << 63) + 1)})
    for bits in (2048, 8192):
        assert "one" in keys(RSA.jwk("one") | {"n": number((1 << (bits - 1)) + 1)})
    for bits in (2047, 8193):
        with pytest.raises(ValueError, match="no key among them"):
            keys(RSA.jwk("one") | {"n": number((1 << (bits - 1)) + 1)})


def test_certificates_beside_a_key_are_not_read() -> None:
    found = keys(RSA.jwk("one", x5c=["junk"], x5u="http://attacker.example/", x5t=1, oth=[1]))
    verify(found, RSA.token({}), "RS256")


fields = st.none() | st.text(max_size=20) | st.integers() | st.lists(st.text(max_size=3), max_size=3)
names = st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y", "d"])


@given(st.sampled_from([RSA, EC, ED]), st.dictionaries(names, fields, max_size=4))
def test_no_key_breaks_the_parser(key: SigningKey, change: dict[str, Any]) -> None:
    assert "two" in keys(key.jwk("one") | change, EC.jwk("two"))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(body: bytes) -> None:
    with pytest.raises(ValueError):
        parse_keys(body)
