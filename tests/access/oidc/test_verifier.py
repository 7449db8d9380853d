"""Tokens of a real issuer on loopback: taken, refused, and what the issuer is asked for meanwhile."""

import asyncio
import hashlib
import hmac
import json
import logging
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gateway.access.authenticator import AuthenticatorUnavailableError, Identity
from gateway.access.oidc.verifier import Verifier
from gateway.config.access.oidc import OidcIssuer
from gateway.errors import ConfigError
from tests.support.issuer import AUDIENCE, KEYS, METADATA, NOW, Issuer, b64, ec_key, ed25519_key, pss_key, rsa_key

RSA, EC, OTHER, PS256 = rsa_key(), ec_key(), rsa_key(1), pss_key()
EVIL = "/evil"


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def start(issuer: Issuer, clock: Clock) -> AsyncIterator[Callable[..., Any]]:
    """Starts a verifier of settings for the issuer, each of which may have more."""
    started = []

    async def begin(*more: dict[str, Any]) -> Verifier:
        settings = [
            OidcIssuer.model_validate({"issuer": issuer.url, "audience": AUDIENCE, **each}) for each in more or ({},)
        ]
        verifier = Verifier(settings, now=lambda: NOW, clock=lambda: clock.time)
        await verifier.start()
        started.append(verifier)
        return verifier

    yield begin
    for verifier in started:
        await verifier.close()


async def whose(verifier: Verifier, text: str) -> Identity | None:
    verified = await verifier.verify(text)
    return verified.identity if verified is not None else None


ALICE = Identity("alice", expires=NOW + 630)


async def test_tokens_of_all_kinds_of_keys_are_taken(issuer: Issuer, start: Any) -> None:
    issuer.keys.append(ed25519_key().jwk("three"))
    verifier = await start()
    for key, key_id in ((RSA, "one"), (EC, "two"), (ed25519_key(), "three")):
        assert await whose(verifier, key.token(issuer.claims(), key_id)) == ALICE
    assert issuer.asked == [METADATA, KEYS]


async def test_what_the_issuer_says_is_told(issuer: Issuer, start: Any) -> None:
    claims = issuer.claims(groups=["a"], nonce="n")
    verified = await (await start()).verify(RSA.token(claims))
    assert verified.identity.groups == {"a"}
    assert verified.claims == claims
    assert "nonce" not in repr(verified)


async def test_nobody_is_asked_at_the_start(issuer: Issuer, start: Any) -> None:
    await issuer.stop()
    await start()
    assert issuer.asked == []


@pytest.mark.parametrize(
    "iss", ["https://attacker.example", "{url}/", "{url}.attacker.example", "", None, 1, ["{url}"]]
)
async def test_nothing_is_fetched_for_another_issuer(issuer: Issuer, start: Any, iss: object) -> None:
    other = Issuer()
    await other.start()
    try:
        verifier = await start()
        iss = iss.format(url=issuer.url) if isinstance(iss, str) else iss
        assert await verifier.verify(RSA.token(issuer.claims(iss=iss))) is None
        assert await verifier.verify(RSA.token(issuer.claims(iss=other.url))) is None
    finally:
        await other.stop()
    assert issuer.asked == other.asked == []


@pytest.mark.parametrize(
    "change", [{"exp": int(NOW) - 31}, {"aud": [AUDIENCE, "other"]}, {"nbf": int(NOW) + 31}, {"sub": 1}, {"exp": "1"}]
)
async def test_nothing_is_fetched_for_claims_that_rule_a_token_out(
    issuer: Issuer, start: Any, change: dict[str, Any]
) -> None:
    assert await (await start()).verify(RSA.token(issuer.claims(**change))) is None
    assert issuer.asked == []


def _hs256(issuer: Issuer, algorithm: str) -> str:
    text = f"{b64(json.dumps({'alg': algorithm, 'kid': 'one'}).encode())}.{b64(json.dumps(issuer.claims()).encode())}"
    return f"{text}.{b64(hmac.digest(json.dumps(issuer.keys[0]).encode(), text.encode(), hashlib.sha256))}"


def _unsigned(issuer: Issuer, algorithm: str, signature: str) -> str:
    head = json.dumps({"alg": algorithm, "kid": "one"}).encode()
    return f"{b64(head)}.{b64(json.dumps(issuer.claims()).encode())}.{signature}"


def _more(issuer: Issuer, more: bytes) -> bytes:
    return json.dumps(issuer.claims()).encode()[:-1] + more + b"}"


def _repacked(issuer: Issuer) -> str:
    head, _, signature = RSA.token(issuer.claims()).split(".")
    payload = b64(_more(issuer, b', "x": 1'))
    return f"{head}.{payload}.{signature}"


ATTACKS: dict[str, Callable[[Issuer], str]] = {
    "none": lambda issuer: _unsigned(issuer, "none", ""),
    "none with a signature": lambda issuer: _unsigned(issuer, "none", "AA"),
    "NoNe": lambda issuer: _unsigned(issuer, "NoNe", "AA"),
    "HS256 by the public key": lambda issuer: _hs256(issuer, "HS256"),
    "HS256 as RS256": lambda issuer: _hs256(issuer, "RS256"),
    "key of its own": lambda issuer: OTHER.token(issuer.claims()),
    "key of its own, embedded": lambda issuer: OTHER.token(issuer.claims(), jwk=OTHER.jwk("one")),
    "key of its own, at a URL": lambda issuer: OTHER.token(
        issuer.claims(), jku=issuer.url + EVIL, x5u=issuer.url + EVIL
    ),
    "certificate": lambda issuer: OTHER.token(issuer.claims(), x5c=["AAAA"]),
    "path as key": lambda issuer: OTHER.token(issuer.claims(), key_id="../../dev/null"),
    "URL as key": lambda issuer: OTHER.token(issuer.claims(), key_id=issuer.url + EVIL),
    "injection as key": lambda issuer: OTHER.token(issuer.claims(), key_id="x' UNION SELECT 'key"),
    "key of another algorithm": lambda issuer: EC.token(issuer.claims(), "one"),
    "algorithm of another key": lambda issuer: RSA.token(issuer.claims(), "two"),
    "extension": lambda issuer: RSA.token(issuer.claims(), crit=["exp"], exp=1),
    "detached": lambda issuer: RSA.token(issuer.claims(), crit=["b64"], b64=False),
    "logout token": lambda issuer: RSA.token(issuer.claims(), typ="logout+jwt"),
    "algorithm that is not configured": lambda issuer: PS256.token(issuer.claims()),
    "two subjects": lambda issuer: RSA.token(_more(issuer, b', "sub": "admin"')),
    "two algorithms": lambda issuer: RSA.signed(
        b'{"alg": "none", "kid": "one", "alg": "RS256"}', json.dumps(issuer.claims()).encode()
    ),
    "another payload": _repacked,
    "no signature": lambda issuer: RSA.token(issuer.claims()).rpartition(".")[0] + ".",
    "signature cut off": lambda issuer: RSA.token(issuer.claims())[:-4],
    "four parts": lambda issuer: RSA.token(issuer.claims()) + ".AA",
    "over 16 KB": lambda issuer: RSA.token(issuer.claims(x="x" * 16 * 1024)),
    "nested": lambda issuer: RSA.token(_more(issuer, b', "x": ' + b"[" * 5000 + b"]" * 5000)),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_forged_tokens_are_refused(
    issuer: Issuer, start: Any, attack: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    verifier = await start()
    text = ATTACKS[attack](issuer)
    assert await verifier.verify(text) is None
    assert EVIL not in issuer.asked
    assert await whose(verifier, RSA.token(issuer.claims())) == ALICE
    for part in text.split("."):
        assert len(part) < 4 or part not in caplog.text


async def test_a_refusal_is_logged_without_the_token(
    issuer: Issuer, start: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    verifier = await start()
    claims = issuer.claims(sub="s3cr3t-subject", groups=["s3cr3t-group"])
    for text in (OTHER.token(claims), RSA.token(claims | {"exp": 1}), RSA.token(claims, "s3cr3t-key")):
        assert await verifier.verify(text) is None
    ours = [record.getMessage() for record in caplog.records if record.name == "gateway.access"]
    start_of = f"a token of {issuer.url} is refused: "
    assert [message.removeprefix(start_of) for message in ours] == [
        "its signature is wrong, or its key is not one of the issuer's for such signatures",
        "expired",
        "its signature is wrong, or its key is not one of the issuer's for such signatures",
    ]
    assert "s3cr3t" not in caplog.text


async def test_an_issuer_may_be_given_several_times(issuer: Issuer, start: Any) -> None:
    verifier = await start(
        {"required_claims": {"repository": "acme/*"}, "subject_claim": "repository", "subject_prefix": "ci:"},
        {"audience": "people", "subject_prefix": "corp:"},
    )
    found = await whose(verifier, RSA.token(issuer.claims(repository="acme/app")))
    assert found is not None
    assert found.name == "ci:acme/app"
    found = await whose(verifier, RSA.token(issuer.claims(aud="people", repository="acme/app")))
    assert found is not None
    assert found.name == "corp:alice"
    assert await verifier.verify(RSA.token(issuer.claims(repository="evil/app"))) is None
    assert issuer.asked == [METADATA, KEYS]


async def test_keys_are_rotated(issuer: Issuer, start: Any, clock: Clock) -> None:
    verifier = await start()
    assert await whose(verifier, RSA.token(issuer.claims())) == ALICE
    issuer.keys = [OTHER.jwk("new")]
    assert await verifier.verify(OTHER.token(issuer.claims(), "new")) is None
    clock.time += 60
    assert await whose(verifier, OTHER.token(issuer.claims(), "new")) == ALICE
    assert await verifier.verify(RSA.token(issuer.claims())) is None
    assert issuer.asked == [METADATA, KEYS] * 2


async def test_unknown_keys_make_few_requests(issuer: Issuer, start: Any, clock: Clock) -> None:
    verifier = await start()
    texts = [RSA.token(issuer.claims(), f"key-{each}") for each in range(50)]
    assert await asyncio.gather(*map(verifier.verify, texts)) == [None] * 50
    assert len(issuer.asked) == 2
    clock.time += 60
    assert await asyncio.gather(*map(verifier.verify, texts)) == [None] * 50
    assert len(issuer.asked) == 4


async def test_while_the_issuer_is_down_its_keys_are_used(issuer: Issuer, start: Any, clock: Clock) -> None:
    verifier = await start()
    text = RSA.token(issuer.claims())
    assert await whose(verifier, text) == ALICE
    await issuer.stop()
    clock.time += 4 * 3600 - 1
    assert await whose(verifier, text) == ALICE
    assert await verifier.verify(OTHER.token(issuer.claims())) is None
    clock.time += 1
    with pytest.raises(AuthenticatorUnavailableError):
        await verifier.verify(text)


@pytest.mark.parametrize("fault", ["down", "junk", "no keys", "lie", "too large", "redirect"])
async def test_without_keys_nobody_is_let_in(issuer: Issuer, start: Any, fault: str, clock: Clock) -> None:
    verifier = await start()
    port = issuer.port
    if fault == "down":
        await issuer.stop()
    elif fault == "lie":
        issuer.says(METADATA, json.dumps({"issuer": "https://other.example", "jwks_uri": issuer.url + KEYS}))
    elif fault == "redirect":
        issuer.says(KEYS, status=302, Location="/elsewhere")
    else:
        issuer.says(KEYS, {"junk": b"<html>", "no keys": b'{"keys": []}', "too large": b" " * 300_000}[fault])
    with pytest.raises(AuthenticatorUnavailableError, match=f"keys of {issuer.url} can't be had") as unavailable:
        await verifier.verify(RSA.token(issuer.claims()))
    assert "eyJ" not in str(unavailable.value)
    assert await verifier.verify(RSA.token(issuer.claims(exp=1))) is None
    issuer.answers.clear()
    if fault == "down":
        await issuer.start(port)
    clock.time += 5
    assert await whose(verifier, RSA.token(issuer.claims())) == ALICE


async def test_metadata_can_be_had_for_a_login(issuer: Issuer, start: Any) -> None:
    assert (await (await start()).metadata(issuer.url)).jwks_uri == issuer.url + KEYS


async def test_without_the_extra_it_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "gateway.access.oidc.keys", raising=False)
    monkeypatch.setitem(sys.modules, "joserfc.errors", None)
    with pytest.raises(ConfigError, match=r"pip install 's3-package-gateway\[access\]'"):
        await Verifier([]).start()
