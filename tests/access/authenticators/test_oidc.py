"""Tokens of issuers, as clients send them."""

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.authenticator import AuthenticatorUnavailableError, BearerToken, Credential, Identity, Password
from gateway.access.authenticators.oidc import Oidc
from gateway.config.access.oidc import OidcIssuer
from tests.support.issuer import AUDIENCE, NOW, Issuer, rsa_key

RSA, OTHER = rsa_key(), rsa_key(1)


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    await issuer.start()
    yield issuer
    await issuer.stop()


@pytest.fixture
async def oidc(issuer: Issuer) -> AsyncIterator[Oidc]:
    oidc = Oidc([OidcIssuer(issuer=issuer.url, audience=AUDIENCE)], now=lambda: NOW)
    await oidc.start()
    yield oidc
    await oidc.close()


async def test_a_token_may_be_in_each_place(issuer: Issuer, oidc: Oidc) -> None:
    text = RSA.token(issuer.claims())
    credentials: list[Credential] = [
        BearerToken(text),
        Password("__token__", text),
        Password("anybody", text),
        Password("", text),
        Password(text, ""),
        Password(text, "x-oauth-basic"),
    ]
    for credential in credentials:
        assert await oidc.authenticate(credential) == Identity("alice", expires=NOW + 630)


async def test_what_is_no_token_of_an_issuer_is_not_known(issuer: Issuer, oidc: Oidc) -> None:
    credentials: list[Credential] = [
        BearerToken(""),
        BearerToken("gw_abc"),
        Password("", ""),
        Password("alice", "password"),
        BearerToken(RSA.token(issuer.claims(iss="https://other.example"))),
    ]
    for credential in credentials:
        assert await oidc.authenticate(credential) is None
    assert issuer.asked == []


async def test_a_wrong_token_is_not_known(issuer: Issuer, oidc: Oidc) -> None:
    assert await oidc.authenticate(BearerToken(OTHER.token(issuer.claims()))) is None
    assert await oidc.authenticate(Password("alice", OTHER.token(issuer.claims()))) is None
    assert await oidc.authenticate(Password(OTHER.token(issuer.claims()), "")) is None


async def test_while_the_issuer_is_down_nobody_knows(issuer: Issuer, oidc: Oidc) -> None:
    await issuer.stop()
    with pytest.raises(AuthenticatorUnavailableError):
        await oidc.authenticate(BearerToken(RSA.token(issuer.claims())))
    assert await oidc.authenticate(Password("alice", "password")) is None


pieces = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=60).map(lambda data: data.decode("latin-1")),
    st.sampled_from(["eyJhbGciOiJSUzI1NiJ9", "e30", ".", "..", "gw_", "eyJ", "\x00", "=", "\ud800"]),
)


async def test_no_bytes_make_it_fail(issuer: Issuer, oidc: Oidc, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever is changed in a good token, or stands in its place."""
    caplog.set_level(logging.DEBUG)
    loop = asyncio.get_running_loop()
    good = RSA.token(issuer.claims(sub="s3cr3t"))

    @given(st.lists(pieces, max_size=5).map("".join), st.integers(0, len(good)), st.integers(0, 8))
    def fuzz(text: str, place: int, cut: int) -> None:
        changed = good[:place] + text + good[place + cut :]
        cases: list[tuple[Credential, bool]] = [
            (BearerToken(text), text == good),
            (BearerToken(changed), changed == good),
            (Password(text, changed), good in (text, changed)),
            (Password(changed, text), good in (text, changed)),
        ]
        for credential, known in cases:
            found = asyncio.run_coroutine_threadsafe(oidc.authenticate(credential), loop).result(20)
            assert (found is not None) == known

    await asyncio.to_thread(fuzz)
    assert "s3cr3t" not in caplog.text
    assert good.split(".")[1] not in caplog.text


def test_what_does_the_crypto_is_imported_when_it_starts() -> None:
    code = "import sys, gateway.access.authenticators.oidc; sys.exit('joserfc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
