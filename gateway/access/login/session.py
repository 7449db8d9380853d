"""The session of somebody who has logged in with a browser: a signed cookie, which any replica verifies. Pure.

A session can't be taken back before it expires, except by changing the keys: keep it short.
"""

import hmac
import json
from typing import Any

from gateway.access.authenticator import Identity
from gateway.access.login.signed_cookie import CookieKeys, mac, seal, set_cookie, unseal

NAME = "__Host-gateway"
_PURPOSE = "gateway session 1"  # the version; another one is another purpose
_FORM_PURPOSE = "gateway form 1"


class SessionError(ValueError):
    """Says why there can be no session."""


def encode(identity: Identity, keys: CookieKeys) -> str:
    """The cookie's value. Raises SessionError for an identity that does not fit: it has too many groups, has no end, or
    is a token's, which may do less than its owner."""
    if identity.token or identity.scope is not None:
        raise SessionError("a token can't be used to log in")
    if not 0 < identity.expires < 2**53:
        raise SessionError("it would never end")
    fields = {"sub": identity.name, "exp": int(identity.expires)}
    if identity.groups:
        fields["groups"] = sorted(identity.groups)
    if identity.admin:
        fields["admin"] = True
    try:
        return seal(_PURPOSE, json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode(), keys)
    except ValueError as error:
        raise SessionError(
            f"{len(identity.groups)} groups are too many for a cookie, or the name is no text"
        ) from error


def decode(value: str, keys: CookieKeys, now: float) -> Identity | None:
    """Whose session it is, if it has not expired at `now`, in seconds since the epoch."""
    content = unseal(_PURPOSE, value, keys)
    if content is None:
        return None
    fields: dict[str, Any] = json.loads(content)  # as `encode` has made it
    if now >= fields["exp"]:
        return None
    groups = frozenset(fields.get("groups", ()))
    return Identity(fields["sub"], groups, fields.get("admin", False), expires=fields["exp"])


def set_session(value: str, identity: Identity, now: float) -> str:
    """The header Set-Cookie of a session that `encode` has made."""
    return set_cookie(NAME, value, max(int(identity.expires - now), 0))


def end_session() -> str:
    """The header Set-Cookie that removes a session."""
    return set_cookie(NAME, "", 0)


def form_token(value: str, keys: CookieKeys) -> str:
    """A hidden field for the forms of the session with this cookie value: other sites can't know it."""
    return mac(_FORM_PURPOSE, value, keys)


def is_form_token(token: str, value: str, keys: CookieKeys) -> bool:
    """Whether a form was made for the session with this cookie value."""
    expected = [form_token(value, CookieKeys((secret,))) for secret in keys.secrets]
    return any(hmac.compare_digest(each.encode(), token.encode("utf-8", "replace")) for each in expected)
