"""What the claims of a token must say, and whose it is (RFC 7519, 4.1; OpenID Connect Core, 3.1.3.7). Pure."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from gateway.access.authenticator import Identity
from gateway.access.oidc.jwt import JwtError
from gateway.config.access.oidc import OidcIssuer, claim_text

# By which the clocks of the issuer and of the gateway may differ.
LEEWAY_SECONDS = 30.0
_MAX_NAME = 256
_MAX_TIME = 2**53  # up to which every JSON reader counts alike


def identity(claims: Mapping[str, Any], settings: OidcIssuer, now: float) -> Identity:
    """Whom the claims speak of, if they hold at `now`, in seconds since the epoch. Raises JwtError.

    The signature is another question.
    """
    if claims.get("iss") != settings.issuer:
        raise JwtError("another issuer")
    expires = valid_until(claims, settings.audience, settings.max_age, now)
    for claim, pattern in settings.required_claims.items():
        text = claim_text(claims.get(claim))
        if text is None or not matches(text, pattern):
            raise JwtError(f"the required claim {claim} is absent or differs")
    name = _name(claims.get(settings.subject_claim), settings.subject_claim)
    listed = claims.get(settings.groups_claim, [])
    groups = [_name(group, settings.groups_claim) for group in (listed if isinstance(listed, list) else [listed])]
    return Identity(
        settings.subject_prefix + name, frozenset(settings.groups_prefix + group for group in groups), expires=expires
    )


def valid_until(claims: Mapping[str, Any], audience: str, max_age: float | None, now: float) -> float:
    """When a token for this audience has ended for sure, in seconds since the epoch. Raises JwtError if it is not valid
    at `now`, or is for another audience too. A token of over `max_age` seconds has ended, whatever it says itself."""
    if claims.get("aud") not in (audience, [audience]):
        raise JwtError("its audience is not this gateway alone")
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if "nbf" in claims and _time(claims, "nbf") > now + LEEWAY_SECONDS:
        raise JwtError("not valid yet")
    if issued > now + LEEWAY_SECONDS:
        raise JwtError("issued in the future")
    if max_age is not None:
        expires = min(expires, issued + max_age)
    if now >= expires + LEEWAY_SECONDS:
        raise JwtError("expired")
    return expires + LEEWAY_SECONDS


def _time(claims: Mapping[str, Any], claim: str) -> float:
    """A NumericDate (RFC 7519, 2), which may have a fraction."""
    value: Any = claims.get(claim)
    if type(value) not in (int, float) or not 0 <= value < _MAX_TIME:
        raise JwtError(f"the claim {claim} is absent, or is no time")
    return float(value)


def _name(value: object, claim: str) -> str:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= _MAX_NAME
        or not value.isprintable()
        or value != value.strip()
    ):
        raise JwtError(f"the claim {claim} is absent, or is no name")
    return value


def matches(text: str, pattern: str) -> bool:
    """Whether a claim's text is what the pattern says, in which * and ? stand for what may differ. Takes time in
    proportion to the lengths: fnmatch never tries a `*` twice."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))
