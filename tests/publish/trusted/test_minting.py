"""Tokens that get nothing: forged, for somebody else, too old, used up, or odd."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.access.oidc.issuers import Issuers
from gateway.access.tokens.keys import parse_key
from gateway.config.publish.settings import PublishSettings
from gateway.config.storage_settings import StorageSettings
from gateway.errors import AuthenticationBusyError
from gateway.publish.condition.condition import Condition
from gateway.publish.trusted.minting import Minting, MintRefusedError
from gateway.publish.trusted.publishers import Publishers
from gateway.publish.trusted.used_tokens import FOLDER, UsedTokens
from tests.support.issuer import METADATA, NOW, Issuer, b64, ec_key, ed25519_key, rsa_key
from tests.support.jobs import AUDIENCE, KEY, github, publisher, token
from tests.support.memorystorage import MemoryStorage

SIGNING_KEY = parse_key(KEY)
_ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture
def storage() -> MemoryStorage:
    return MemoryStorage(StorageSettings())


@pytest.fixture
async def minting(issuer: Issuer, storage: MemoryStorage) -> AsyncIterator[Minting]:
    settings = PublishSettings.model_validate({"trusted": [publisher(issuer)], "audience": AUDIENCE})
    publishers = Publishers(settings.trusted)
    used = UsedTokens(storage, Condition(storage, unsafe=False), now=lambda: NOW)
    minting = Minting(AUDIENCE, publishers, Issuers(publishers.hosts), used, now=lambda: NOW)
    minting.start()
    yield minting
    await minting.close()


async def refused(minting: Minting, body: bytes) -> tuple[str, str]:
    with pytest.raises(MintRefusedError) as caught:
        await minting.mint(body, SIGNING_KEY)
    return caught.value.code, str(caught.value)


def body(text: object, **more: object) -> bytes:
    return json.dumps({"token": text, **more}).encode()


def used(storage: MemoryStorage) -> list[str]:
    return [key for key in storage._objects if key.startswith(FOLDER)]


def good(issuer: Issuer, **changed: Any) -> str:
    return token(issuer, github(), now=NOW, **changed)


async def test_a_token_lives_for_a_quarter_of_an_hour(minting: Minting, issuer: Issuer, storage: MemoryStorage) -> None:
    minted = await minting.mint(body(good(issuer), features=["multi-use-token"], more=1), SIGNING_KEY)
    assert minted.expires == NOW + 900
    host = issuer.url.partition("//")[2]
    assert minted.principal.name == f"github@{host}:acme/web/.github/workflows/release.yml@refs/tags/v1.0"
    assert minted.token not in repr(minted)
    assert len(used(storage)) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'"token"',
        b"{}",
        b'{"token": null}',
        b'{"token": ["x"]}',
        b'{"token": "a", "token": "b"}',
        b"\xff\xfe",
        b'{"token": NaN}',
        b"[" * 20_000,
        b'{"token":' * 2_000,
        b'{"token": "x", "features": ["single-use-token"]}',
        b'{"token": "x", "features": "multi-use-token"}',
        b'{"token": "x", "features": [{}]}',
        b'{"token": ' + b"9" * 19_000 + b"}",
    ],
)
async def test_what_is_no_request_is_refused(minting: Minting, issuer: Issuer, data: bytes) -> None:
    assert (await refused(minting, data))[0] == "invalid-payload"
    assert issuer.asked == []


def hs256(issuer: Issuer) -> str:
    """Signed by who takes the public key for a secret."""
    head = b64(json.dumps({"alg": "HS256", "kid": "one"}).encode())
    text = f"{head}.{good(issuer).split('.')[1]}"
    return f"{text}.{b64(hmac.digest(json.dumps(issuer.keys[0]).encode(), text.encode(), hashlib.sha256))}"


def unsigned(issuer: Issuer) -> str:
    head = b64(json.dumps({"alg": "none", "kid": "one"}).encode())
    return f"{head}.{good(issuer).split('.')[1]}.x"


def deep(issuer: Issuer) -> str:
    return rsa_key().token(b'{"iss":"' + issuer.url.encode() + b'","x":' + b"[" * 9_000 + b"]" * 9_00 + b"}")


@pytest.mark.parametrize(
    "text",
    [
        lambda issuer: "",
        lambda issuer: "x",
        lambda issuer: "a.b.c",
        lambda issuer: good(issuer) + "=",
        lambda issuer: "x" * 19_000,
        unsigned,
        hs256,
        deep,
        lambda issuer: good(issuer, iss="https://attacker.example"),
        lambda issuer: good(issuer, iss=issuer.url + "/"),
        lambda issuer: good(issuer, iss=[issuer.url]),
        lambda issuer: good(issuer, iss=None),
        lambda issuer: good(issuer, aud="pypi"),
        lambda issuer: good(issuer, aud=[AUDIENCE, "pypi"]),
        lambda issuer: good(issuer, aud=AUDIENCE.upper()),
        lambda issuer: good(issuer, aud={AUDIENCE: 1}),
        lambda issuer: good(issuer, aud=None),
        lambda issuer: good(issuer, exp=NOW - 31),
        lambda issuer: good(issuer, exp=None),
        lambda issuer: good(issuer, exp="9999999999"),
        lambda issuer: good(issuer, exp=True),
        lambda issuer: good(issuer, iat=None),
        lambda issuer: good(issuer, iat=NOW + 31),
        lambda issuer: good(issuer, iat=NOW - 6 * 3600 - 31, exp=NOW + 60),
        lambda issuer: good(issuer, nbf=NOW + 31),
        lambda issuer: good(issuer, nbf="now"),
    ],
)
async def test_nothing_is_fetched_for_what_rules_itself_out(
    minting: Minting, issuer: Issuer, storage: MemoryStorage, text: Any
) -> None:
    code, why = await refused(minting, body(text(issuer)))
    assert code == "invalid-token"
    assert "eyJ" not in why
    assert issuer.asked == []
    assert used(storage) == []


async def test_another_key_has_not_signed_for_the_issuer(
    minting: Minting, issuer: Issuer, storage: MemoryStorage
) -> None:
    claims = issuer.claims(aud=AUDIENCE, **github())
    attempts = [rsa_key(1).token(claims), ed25519_key().token(claims), ec_key("P-384").token(claims, "two")]
    attempts += [rsa_key().token(claims, "two"), rsa_key().token(claims, "unknown")]
    head, payload, signature = rsa_key().token(claims).split(".")
    forged = b64(json.dumps(claims | {"repository": "evil/web"}).encode())
    attempts += [f"{head}.{forged}.{signature}", f"{head}.{payload}.{signature[:-4]}"]
    for text in attempts:
        assert (await refused(minting, body(text)))[0] == "invalid-token"
    assert used(storage) == []


async def test_who_can_sign_nothing_learns_nothing_of_the_publishers(minting: Minting, issuer: Issuer) -> None:
    for repository in ("acme/web", "evil/web"):
        text = rsa_key(1).token(issuer.claims(aud=AUDIENCE, **github(repository=repository)))
        code, why = await refused(minting, body(text))
        assert code == "invalid-token"
        assert "signature" in why


async def test_a_token_that_gets_nothing_is_not_used_up(
    minting: Minting, issuer: Issuer, storage: MemoryStorage
) -> None:
    code, why = await refused(minting, body(token(issuer, github(event_name="pull_request"), now=NOW)))
    assert (code, why) == ("invalid-publisher", "pull requests may not publish")
    assert used(storage) == []


async def test_more_projects_than_fit_into_a_token_are_a_mistake_that_is_told(
    minting: Minting, issuer: Issuer, storage: MemoryStorage
) -> None:
    names = [[f"a-long-name-of-a-project-{number}-{part}" for number in range(10)] for part in range(9)]
    settings = {"trusted": [publisher(issuer, projects=each) for each in names], "audience": AUDIENCE}
    minting._publishers = Publishers(PublishSettings.model_validate(settings).trusted)
    code, why = await refused(minting, body(good(issuer)))
    assert (code, "use patterns" in why) == ("invalid-publisher", True)
    assert used(storage) == []


@pytest.mark.parametrize("name", ["", None, 7, ["x"], {"a": 1}, True, "x" * 513])
async def test_a_name_of_a_token_is_a_text(
    minting: Minting, issuer: Issuer, storage: MemoryStorage, name: object
) -> None:
    text = rsa_key().token(issuer.claims(aud=AUDIENCE, **github(), jti=name) | {"jti": name})
    assert (await refused(minting, body(text)))[0] == "invalid-token"
    assert used(storage) == []


@pytest.mark.parametrize("name", ["one", "ü\ud800", None])
async def test_a_token_is_good_once_by_its_name_or_by_what_is_signed(
    minting: Minting, issuer: Issuer, name: str | None
) -> None:
    claims = issuer.claims(aud=AUDIENCE, **github()) | ({"jti": name} if name is not None else {})
    signed, _, signature = ec_key().token(claims, "two").rpartition(".")
    await minting.mint(body(f"{signed}.{signature}"), SIGNING_KEY)
    data = base64.urlsafe_b64decode(signature + "==")
    other = data[:32] + (_ORDER_OF_P256 - int.from_bytes(data[32:])).to_bytes(32)  # also a signature of it
    for each in (signature, b64(other)):
        assert (await refused(minting, body(f"{signed}.{each}")))[0] == "invalid-reuse-token"
    if name == "one":
        assert (await refused(minting, body(good(issuer, jti="one"))))[0] == "invalid-reuse-token"


async def test_an_issuer_that_is_down_refuses_nobody(minting: Minting, issuer: Issuer, storage: MemoryStorage) -> None:
    issuer.says(METADATA, status=500)
    with pytest.raises(AuthenticationBusyError):
        await minting.mint(body(good(issuer)), SIGNING_KEY)
    assert used(storage) == []
