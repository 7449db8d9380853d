"""The code flow of OpenID Connect with PKCE (OpenID Connect Core, 3.1; RFC 7636; RFC 9700, 2.1).

Pure, except for the random numbers.

| step     | what binds it to the one before                                                      |
|----------|--------------------------------------------------------------------------------------|
| begin    | a signed cookie in the browser holds state, nonce and verifier for ten minutes        |
| callback | the query's `state` is the cookie's; `iss`, where it is sent, is the issuer (RFC 9207) |
| exchange | the issuer compares the cookie's verifier with the challenge that it got              |
| ID token | its claim `nonce` is the cookie's                                                     |
"""

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode

from gateway.access.login.local_path import local_path
from gateway.access.login.signed_cookie import CookieKeys, seal, set_cookie, unseal
from gateway.access.oidc.strict_json import parse_object

NAME = "__Host-gateway-login"
_PURPOSE = "gateway login 1"
_SECONDS = 600
_RANDOM_BYTES = 32
_MAX_CODE = 4096
_MAX_FIELDS = 20
_ERROR = re.compile(r"[a-z_]{1,40}")


class LoginError(ValueError):
    """Says why a login failed, for the log and for people. Nothing secret is quoted."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser, and the header Set-Cookie to send along."""

    url: str
    set_cookie: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Callback:
    """What the issuer has sent back through the browser, and what the login was begun with."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    return_to: str


def begin(
    endpoint: str,
    *,
    client_id: str,
    redirect_uri: str,
    return_to: str,
    keys: CookieKeys,
    now: float,
    scopes: Sequence[str] = ("openid",),
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> Started:
    """Starts a login at the issuer's authorization endpoint."""
    state, nonce, verifier = (_b64(random(_RANDOM_BYTES)) for _ in range(3))
    fields = {"s": state, "n": nonce, "v": verifier, "to": local_path(return_to), "exp": int(now) + _SECONDS}
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": _b64(hashlib.sha256(verifier.encode()).digest()),
        "code_challenge_method": "S256",
    }
    url = f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(parameters)}"
    return Started(url, set_cookie(NAME, seal(_PURPOSE, json.dumps(fields).encode(), keys), _SECONDS))


def finish(query: str, cookie: str, *, issuer: str, keys: CookieKeys, now: float) -> Callback:
    """Checks the query of the callback against the value of the cookie NAME. Remove that with `forget`. Raises
    LoginError."""
    content = unseal(_PURPOSE, cookie, keys)
    begun: dict[str, Any] | None = json.loads(content) if content is not None else None  # as `begin` has made it
    if begun is None or now >= begun["exp"]:
        raise LoginError("the login took too long, or was begun in another browser")
    answer = _distinct(query)
    if not _same(answer.get("state", ""), begun["s"]):
        raise LoginError("the answer belongs to another login")
    if answer.get("iss", issuer) != issuer:
        raise LoginError("the answer is another issuer's")
    if "error" in answer:
        error = answer["error"]
        raise LoginError(f"the issuer refused the login: {error if _ERROR.fullmatch(error) else 'without a reason'}")
    code = answer.get("code", "")
    if not 0 < len(code) <= _MAX_CODE:
        raise LoginError("the answer has no code")
    return Callback(code, begun["v"], begun["n"], begun["to"])


def forget() -> str:
    """The header Set-Cookie that removes the login's cookie: a code is used once."""
    return set_cookie(NAME, "", 0)


def token_request(
    callback: Callback, *, redirect_uri: str, client_id: str, client_secret: str | None
) -> tuple[dict[str, str], bytes]:
    """Headers and body of the POST to the token endpoint (RFC 6749, 4.1.3). Without a secret the client is public."""
    fields = {
        "grant_type": "authorization_code",
        "code": callback.code,
        "redirect_uri": redirect_uri,
        "code_verifier": callback.verifier,
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    if client_secret is None:
        fields["client_id"] = client_id
    else:  # both encoded (RFC 6749, 2.3.1)
        user = f"{quote_plus(client_id)}:{quote_plus(client_secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return headers, urlencode(fields).encode()


def id_token(body: bytes) -> str:
    """The ID token in the answer of the token endpoint, to be verified with the client's id as audience. Raises
    LoginError."""
    try:
        token = parse_object(body).get("id_token")
    except ValueError:
        token = None
    if not isinstance(token, str):
        raise LoginError("the issuer's answer has no ID token")
    return token


def check_nonce(claims: Mapping[str, Any], callback: Callback) -> None:
    """Raises LoginError unless the verified ID token was made for this login."""
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not _same(nonce, callback.nonce):
        raise LoginError("the ID token belongs to another login")


def _distinct(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise LoginError("the answer has too many fields") from None
    if len(dict(pairs)) != len(pairs):
        raise LoginError("the answer has a field twice")
    return dict(pairs)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
