"""Signed URLs of CloudFront, held against botocore's signer and against a verifier of our own."""

import base64
import json
from datetime import UTC, datetime

import pytest
from botocore.signers import CloudFrontSigner as BotocoreSigner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA1

from gateway.storage.s3.signing.cloudfront_signer import CloudFrontSigner, PrivateKey, load_key, policy
from tests.support.cloudfront import RefusedError, check

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
URL = "https://d111111abcdef8.cloudfront.net/arrow/arrow-0.12.1.tar.gz"
EXPIRES = 1767290400


def pem(key: object, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)  # type: ignore[attr-defined,no-any-return]


def test_a_canned_url_is_botocores() -> None:
    theirs = BotocoreSigner("K2JCJMDEHXQW5F", lambda message: RSA.sign(message, PKCS1v15(), SHA1()))
    expected = theirs.generate_presigned_url(URL, date_less_than=datetime.fromtimestamp(EXPIRES, UTC))
    assert f"{URL}?{CloudFrontSigner('K2JCJMDEHXQW5F', RSA).canned(URL, EXPIRES)}" == expected


def test_a_custom_url_is_botocores() -> None:
    theirs = BotocoreSigner("K2JCJMDEHXQW5F", lambda message: RSA.sign(message, PKCS1v15(), SHA1()))
    moment = datetime.fromtimestamp(EXPIRES, UTC)
    text = theirs.build_policy("https://d.example/arrow/*", moment, ip_address="192.0.2.0/24")
    assert policy("https://d.example/arrow/*", EXPIRES, "192.0.2.0/24") == text
    expected = theirs.generate_presigned_url(URL, policy=text)
    ours = CloudFrontSigner("K2JCJMDEHXQW5F", RSA).custom("https://d.example/arrow/*", EXPIRES, "192.0.2.0/24")
    assert f"{URL}?{ours}" == expected


@pytest.mark.parametrize("key", [RSA, EC])
@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
def test_the_verifier_takes_both_keys_and_both_hashes(key: PrivateKey, algorithm: str) -> None:
    query = CloudFrontSigner("KEYID", key, algorithm).canned(URL, EXPIRES)
    assert ("Hash-Algorithm=SHA256" in query) == (algorithm == "SHA256")
    trusted = {"KEYID": key.public_key()}
    check(f"{URL}?{query}", trusted, source="192.0.2.1", now=EXPIRES - 1)
    other = rsa.generate_private_key(65537, 2048) if key is RSA else ec.generate_private_key(ec.SECP256R1())
    for url, keys, now, code in [
        (f"{URL}?{query}", trusted, EXPIRES, "AccessDenied"),
        (f"{URL}x?{query}", trusted, EXPIRES - 1, "AccessDenied"),
        (f"{URL}?{query.replace(str(EXPIRES), str(EXPIRES + 1))}", trusted, EXPIRES - 1, "AccessDenied"),
        (f"{URL}?{query}", {"OTHER": key.public_key()}, EXPIRES - 1, "InvalidKey"),
        (f"{URL}?{query}", {"KEYID": other.public_key()}, EXPIRES - 1, "AccessDenied"),
        (URL, trusted, EXPIRES - 1, "MissingKey"),
    ]:
        with pytest.raises(RefusedError, match=code):
            check(url, keys, source="192.0.2.1", now=now)


def test_a_wildcard_opens_what_it_matches_from_where_it_says() -> None:
    query = CloudFrontSigner("KEYID", RSA).custom("https://d.example/arrow/*", EXPIRES, "192.0.2.0/24")
    trusted = {"KEYID": RSA.public_key()}
    for file in ("a.whl", "b.tar.gz"):
        check(f"https://d.example/arrow/{file}?{query}", trusted, source="192.0.2.7", now=0)
    for url, source in [("https://d.example/arrow/a", "192.0.3.7"), ("https://d.example/other/a", "192.0.2.7")]:
        with pytest.raises(RefusedError, match="AccessDenied"):
            check(f"{url}?{query}", trusted, source=source, now=0)


def test_a_policy_has_no_blanks_and_says_what_was_asked() -> None:
    [statement] = json.loads(policy(URL, EXPIRES))["Statement"]
    assert " " not in policy(URL, EXPIRES)
    assert statement == {"Resource": URL, "Condition": {"DateLessThan": {"AWS:EpochTime": EXPIRES}}}


def test_queries_have_nothing_that_must_be_quoted() -> None:
    signer = CloudFrontSigner("KEYID", RSA)
    for number in range(20):
        query = signer.custom(URL, EXPIRES + number, "192.0.2.0/24")
        assert not set(query.replace("Key-Pair-Id=", "").replace("Policy=", "").replace("Signature=", "")) & set("+/=")
        text = query.partition("Policy=")[2].partition("&")[0].translate(str.maketrans("-_~", "+=/"))
        assert base64.b64decode(text) == policy(URL, EXPIRES + number, "192.0.2.0/24").encode()


@pytest.mark.parametrize("key", [RSA, EC])
def test_the_kind_of_key_is_found_out(key: PrivateKey) -> None:
    loaded = load_key(pem(key))
    assert isinstance(loaded, type(key))
    assert loaded.private_numbers() == key.private_numbers()
    assert load_key(pem(key, b"password"), b"password").private_numbers() == key.private_numbers()


def test_a_traditional_pem_is_read() -> None:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    text = RSA.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    assert load_key(text).private_numbers() == RSA.private_numbers()


@pytest.mark.parametrize(
    ("text", "password", "reason"),
    [
        (b"not a key", None, "is not a private key in PEM$"),
        (b"", None, "is not a private key in PEM$"),
        (pem(RSA)[:200], None, "is not a private key in PEM$"),
        (pem(RSA, b"password"), None, "is encrypted; set storage.cloud_front_key_password"),
        (pem(RSA, b"password"), b"wrong", "is not a private key in PEM with this password"),
        (pem(RSA), b"password", "is not encrypted; remove storage.cloud_front_key_password"),
        (pem(rsa.generate_private_key(65537, 3072)), None, "is not a key that CloudFront accepts"),
        (pem(ec.generate_private_key(ec.SECP384R1())), None, "is not a key that CloudFront accepts"),
        (pem(ed25519.Ed25519PrivateKey.generate()), None, "is not a key that CloudFront accepts"),
    ],
)
def test_a_key_that_can_t_be_used_is_explained_and_not_quoted(text: bytes, password: bytes | None, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}") as refused:
        load_key(text, password)
    assert "PRIVATE KEY" not in str(refused.value)
