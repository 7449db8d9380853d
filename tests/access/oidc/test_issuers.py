"""Which issuers are asked: the configured ones, and no other."""

import sys

import pytest

from gateway.access.oidc.issuers import Issuers
from gateway.access.oidc.jwt import Jwt, JwtError, read
from gateway.errors import ConfigError
from tests.support.issuer import KEYS, METADATA, Issuer, rsa_key


def token(issuer: Issuer, **more: object) -> Jwt:
    found = read(rsa_key().token(issuer.claims(**more)))
    assert found is not None
    return found


async def test_only_the_issuer_that_a_token_names_is_asked(issuer: Issuer) -> None:
    issuers = Issuers({issuer.url: []})
    issuers.start()
    try:
        await issuers.verify(token(issuer), "RS256", "one")
        assert issuer.asked == [METADATA, KEYS]
        with pytest.raises(JwtError):
            await issuers.verify(token(issuer), "RS256", "two")
        with pytest.raises(KeyError):
            await issuers.verify(token(issuer, iss="https://attacker.example"), "RS256", "one")
    finally:
        await issuers.close()
    assert issuer.asked == [METADATA, KEYS]
    assert issuer.url in issuers
    assert "https://attacker.example" not in issuers


def test_it_says_where_the_issuers_stand_if_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gateway.access.oidc.keys", None)
    with pytest.raises(ConfigError, match=r"publish\.trusted.*pip install"):
        Issuers({}, setting="publish.trusted").start()
