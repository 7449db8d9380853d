"""A whole login, as a browser and an issuer on loopback take part in it."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import web

from gateway.access.authenticator import Identity
from gateway.access.login import flow, session
from gateway.access.login.flow import LoginError, begin, check_nonce, finish, id_token, token_request
from gateway.access.login.signed_cookie import CookieKeys, cookie_of
from gateway.access.oidc.verifier import Verifier
from gateway.config.access.oidc import OidcIssuer
from gateway.errors import UpstreamError
from tests.support.issuer import NOW, Issuer, rsa_key

KEYS = CookieKeys((b"k" * 32,))
CLIENT, REDIRECT = "client", "https://gateway.example/login/callback"


class LoginIssuer(Issuer):
    """Lets alice in, and exchanges each code once."""

    def authorize(self, url: str) -> str:
        """The query with which the browser comes back."""
        assert urlsplit(url)._replace(query="").geturl() == self.url + "/authorize"
        self.begun = dict(parse_qsl(urlsplit(url).query))
        self.answers["/token"] = self._exchange
        return urlencode({"code": "c", "state": self.begun["state"], "iss": self.url})

    def _exchange(self) -> web.Response:
        del self.answers["/token"]
        form = dict(parse_qsl(self.got.decode()))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
        assert self.got_headers["Authorization"] == "Basic " + base64.b64encode(b"client:secret").decode()
        assert form["redirect_uri"] == self.begun["redirect_uri"] == REDIRECT
        if form["code"] != "c" or challenge.rstrip("=") != self.begun["code_challenge"]:
            return web.Response(status=400, body=b'{"error": "invalid_grant"}')
        token = rsa_key().token(self.claims(aud=CLIENT, nonce=self.begun["nonce"], groups=["data"]))
        return web.json_response({"access_token": "a", "token_type": "Bearer", "id_token": token})


@pytest.fixture
async def issuer() -> AsyncIterator[LoginIssuer]:
    issuer = LoginIssuer()
    await issuer.start()
    issuer.metadata |= {"authorization_endpoint": issuer.url + "/authorize", "token_endpoint": issuer.url + "/token"}
    yield issuer
    await issuer.stop()


@pytest.fixture
async def verifier(issuer: LoginIssuer) -> AsyncIterator[Verifier]:
    verifier = Verifier([OidcIssuer(issuer=issuer.url, audience=CLIENT)], now=lambda: NOW)
    await verifier.start()
    yield verifier
    await verifier.close()


async def started(issuer: LoginIssuer, verifier: Verifier) -> tuple[str, str]:
    """The query of the callback, and the login's cookie."""
    endpoint = (await verifier.metadata(issuer.url)).authorization_endpoint
    login = begin(endpoint, client_id=CLIENT, redirect_uri=REDIRECT, return_to="/simple/", keys=KEYS, now=NOW)
    return issuer.authorize(login.url), cookie_of(login.set_cookie.partition(";")[0], flow.NAME)


async def exchanged(issuer: LoginIssuer, verifier: Verifier, callback: flow.Callback) -> Identity:
    request = token_request(callback, redirect_uri=REDIRECT, client_id=CLIENT, client_secret="secret")
    verified = await verifier.verify(id_token(await verifier.exchange(issuer.url, *request)))
    assert verified is not None
    check_nonce(verified.claims, callback)
    return verified.identity


async def test_a_login_ends_in_a_session(issuer: LoginIssuer, verifier: Verifier) -> None:
    query, cookie = await started(issuer, verifier)
    callback = finish(query, cookie, issuer=issuer.url, keys=KEYS, now=NOW)
    assert callback.return_to == "/simple/"
    identity = await exchanged(issuer, verifier, callback)
    value = session.encode(identity, KEYS)
    assert session.decode(value, KEYS, NOW) == Identity("alice", frozenset({"data"}), expires=NOW + 630)
    with pytest.raises(UpstreamError, match="/token answers 404"):
        await exchanged(issuer, verifier, callback)


async def test_a_code_goes_over_a_connection_of_its_own(issuer: LoginIssuer, verifier: Verifier) -> None:
    """On a kept one it might be sent twice, and is worth nothing then."""
    query, cookie = await started(issuer, verifier)
    await exchanged(issuer, verifier, finish(query, cookie, issuer=issuer.url, keys=KEYS, now=NOW))
    posted = issuer.asked.index("/token")
    assert issuer.peers[0] == issuer.peers[1]
    assert issuer.peers[posted] not in issuer.peers[:posted]


async def test_the_answer_to_one_login_does_not_end_another(issuer: LoginIssuer, verifier: Verifier) -> None:
    first_query, first_cookie = await started(issuer, verifier)
    second_query, _ = await started(issuer, verifier)
    with pytest.raises(LoginError, match="another login"):
        finish(second_query, first_cookie, issuer=issuer.url, keys=KEYS, now=NOW)
    callback = finish(first_query, first_cookie, issuer=issuer.url, keys=KEYS, now=NOW)
    with pytest.raises(UpstreamError, match="/token answers 400") as refused:
        await exchanged(issuer, verifier, callback)  # with the verifier of the first, against the second's challenge
    assert refused.value.upstream_status == 400


async def test_an_id_token_of_another_login_is_refused(issuer: LoginIssuer, verifier: Verifier) -> None:
    query, cookie = await started(issuer, verifier)
    issuer.begun["nonce"] = "other"
    with pytest.raises(LoginError, match="another login"):
        await exchanged(issuer, verifier, finish(query, cookie, issuer=issuer.url, keys=KEYS, now=NOW))


@pytest.mark.parametrize("body", [b"", b"<html>", json.dumps({"access_token": "a"}).encode()])
async def test_an_answer_without_an_id_token_is_no_login(issuer: LoginIssuer, verifier: Verifier, body: bytes) -> None:
    query, cookie = await started(issuer, verifier)
    issuer.says("/token", body)
    with pytest.raises(LoginError, match="no ID token"):
        await exchanged(issuer, verifier, finish(query, cookie, issuer=issuer.url, keys=KEYS, now=NOW))


async def test_an_issuer_without_a_token_endpoint_lets_nobody_in(issuer: LoginIssuer, verifier: Verifier) -> None:
    query, cookie = await started(issuer, verifier)
    del issuer.metadata["token_endpoint"]
    with pytest.raises(UpstreamError, match="no token_endpoint"):
        await exchanged(issuer, verifier, finish(query, cookie, issuer=issuer.url, keys=KEYS, now=NOW))
