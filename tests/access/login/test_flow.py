"""A login ends as it was begun: in the same browser, with the same issuer, once."""

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.login import flow
from gateway.access.login.flow import Callback, LoginError, begin, check_nonce, finish, forget, id_token, token_request
from gateway.access.login.signed_cookie import CookieKeys, cookie_of, seal

NOW = 1_800_000_000.0
KEYS = CookieKeys((b"k" * 32,))
ISSUER = "https://issuer.example"
REDIRECT = "https://gateway.example/login/callback"


def start(endpoint: str = f"{ISSUER}/authorize", return_to: str = "/simple/") -> tuple[dict[str, str], str]:
    """What the issuer is asked, and the value of the cookie."""
    started = begin(
        endpoint,
        client_id="id&1",
        redirect_uri=REDIRECT,
        return_to=return_to,
        keys=KEYS,
        now=NOW,
        scopes=["openid", "a"],
    )
    return dict(parse_qsl(urlsplit(started.url).query)), cookie_of(started.set_cookie.partition(";")[0], flow.NAME)


def ended(query: str, cookie: str, *, now: float = NOW + 1, keys: CookieKeys = KEYS) -> Callback:
    return finish(query, cookie, issuer=ISSUER, keys=keys, now=now)


def test_the_issuer_is_asked_with_pkce() -> None:
    asked, cookie = start()
    callback = ended(urlencode({"code": "c", "state": asked["state"]}), cookie)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(callback.verifier.encode()).digest()).decode().rstrip("=")
    assert len(callback.verifier) == len(asked["state"]) == len(asked["nonce"]) == 43
    assert asked == {
        "response_type": "code",
        "client_id": "id&1",
        "redirect_uri": REDIRECT,
        "scope": "openid a",
        "state": asked["state"],
        "nonce": callback.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    assert len({asked["state"], callback.nonce, callback.verifier}) == 3
    assert callback.verifier not in str(asked)


def test_each_login_is_another() -> None:
    assert start()[0]["state"] != start()[0]["state"]


def test_an_endpoint_may_have_a_query() -> None:
    asked, _ = start(f"{ISSUER}/authorize?p=policy")
    assert asked["p"] == "policy"
    assert asked["response_type"] == "code"


def test_the_cookie_lives_for_ten_minutes() -> None:
    header = begin("x", client_id="i", redirect_uri="r", return_to="/", keys=KEYS, now=NOW).set_cookie
    assert header.startswith("__Host-gateway-login=")
    assert header.endswith("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600")
    assert forget() == "__Host-gateway-login=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"
    asked, cookie = start()
    query = urlencode({"code": "c", "state": asked["state"]})
    assert ended(query, cookie, now=NOW + 599).code == "c"
    with pytest.raises(LoginError, match=r"^the login took too long, or was begun in another browser$"):
        ended(query, cookie, now=NOW + 600)


@pytest.mark.parametrize(("to", "leads"), [("/simple/a/?x=1", "/simple/a/?x=1"), ("//evil.example", "/"), ("", "/")])
def test_a_login_leads_back(to: str, leads: str) -> None:
    asked, cookie = start(return_to=to)
    assert ended(urlencode({"code": "c", "state": asked["state"]}), cookie).return_to == leads


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"state": None}, "^the answer belongs to another login$"),
        ({"state": ""}, "another login"),
        ({"state": "A" * 43}, "another login"),
        ({"state": "é\ufffd"}, "another login"),
        ({"iss": "https://other.example"}, "another issuer"),
        ({"iss": ""}, "^the answer is another issuer's$"),
        ({"code": None}, "^the answer has no code$"),
        ({"code": ""}, "no code"),
        ({"code": "c" * 4097}, "no code"),
        ({"error": "access_denied"}, "refused the login: access_denied"),
        ({"error": "<script>s3cr3t"}, "refused the login: without a reason"),
        ({"error": ""}, "refused the login"),
        ({"state": ["{state}", "{state}"]}, "twice"),
        ({"code": ["c", "d"]}, "^the answer has a field twice$"),
        ({f"x{number}": "1" for number in range(20)}, "^the answer has too many fields$"),
    ],
)
def test_other_answers_are_refused(change: dict[str, Any], why: str) -> None:
    asked, cookie = start()
    fields = {"code": "c", "state": asked["state"], "iss": ISSUER, "session_state": "x"}
    assert ended(urlencode(fields), cookie).code == "c"
    assert ended(urlencode(fields | {"code": "c" * 4096}), cookie).code == "c" * 4096
    fields = {name: value for name, value in (fields | change).items() if value is not None}
    query = urlencode(fields, doseq=True).replace(urlencode({"": "{state}"})[1:], asked["state"])
    with pytest.raises(LoginError, match=why) as refused:
        ended(query, cookie)
    assert "s3cr3t" not in str(refused.value)


def test_another_browser_s_login_is_refused() -> None:
    mine, my_cookie = start()
    theirs, their_cookie = start()
    with pytest.raises(LoginError, match="another login"):
        ended(urlencode({"code": "c", "state": theirs["state"]}), my_cookie)
    query = urlencode({"code": "c", "state": mine["state"]})
    content = json.dumps({"s": mine["state"], "n": "n", "v": "v", "to": "//evil.example", "exp": 2**50}).encode()
    for cookie in ("", "x", their_cookie[:-1], seal("gateway session 1", content, KEYS)):
        with pytest.raises(LoginError, match="another browser"):
            ended(query, cookie)
    with pytest.raises(LoginError, match="another browser"):
        ended(query, my_cookie, keys=CookieKeys((b"o" * 32,)))


@given(st.text(max_size=60))
def test_no_query_breaks_the_check(query: str) -> None:
    _, cookie = start()
    with pytest.raises(LoginError):
        ended(query, cookie)


CALLBACK = Callback("c+1", "verifier", "nonce", "/")


def test_a_code_is_exchanged_with_the_client_s_secret() -> None:
    headers, body = token_request(CALLBACK, redirect_uri=REDIRECT, client_id="id:1", client_secret="s e")
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"id%3A1:s+e"
    assert parse_qs(body.decode()) == {
        "grant_type": ["authorization_code"],
        "code": ["c+1"],
        "redirect_uri": [REDIRECT],
        "code_verifier": ["verifier"],
    }


def test_a_client_without_a_secret_says_who_it_is() -> None:
    headers, body = token_request(CALLBACK, redirect_uri=REDIRECT, client_id="id:1", client_secret=None)
    assert headers == {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    assert parse_qs(body.decode())["client_id"] == ["id:1"]


def test_the_id_token_is_found() -> None:
    assert id_token(b'{"access_token": "a", "id_token": "b"}') == "b"
    for body in (b"", b"[]", b"{}", b'{"id_token": 1}', b'{"id_token": "a", "id_token": "b"}', b"\xff"):
        with pytest.raises(LoginError, match=r"^the issuer's answer has no ID token$"):
            id_token(body)


def test_the_id_token_is_for_this_login() -> None:
    check_nonce({"nonce": "nonce"}, CALLBACK)
    for nonce in ({}, {"nonce": "other"}, {"nonce": ""}, {"nonce": None}, {"nonce": ["nonce"]}, {"nonce": "é\ud800"}):
        with pytest.raises(LoginError, match=r"^the ID token belongs to another login$"):
            check_nonce(nonce, CALLBACK)


def test_what_is_secret_does_not_show() -> None:
    assert repr(CALLBACK) == "Callback(return_to='/')"
    started = begin("x", client_id="i", redirect_uri="r", return_to="/", keys=KEYS, now=NOW)
    assert flow.NAME not in repr(started)
