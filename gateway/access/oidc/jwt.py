"""JSON Web Tokens (RFC 7519), in the compact form of signed ones (RFC 7515): read, not yet believed. Pure."""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.access.oidc.strict_json import parse_object

_MAX_CHARACTERS = 16 * 1024
_FORM = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_MAX_KEY_ID = 512
# Other kinds of tokens, such as logout tokens, have the same claims and authenticate nobody (RFC 8725, 3.11).
_TYPES = ("jwt", "at+jwt")


class JwtError(ValueError):
    """Says why a token is refused. Nothing of the token is quoted."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token as it was given, its header and its claims. None of it is to be believed before the signature has been
    verified."""

    text: str = field(repr=False)
    header: Mapping[str, Any] = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)

    @property
    def issuer(self) -> str:
        """Empty if the token names none."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""


def read(text: str) -> Jwt | None:
    """None if the text is not a JWT, or a longer one than any that is taken."""
    if len(text) > _MAX_CHARACTERS or not _FORM.fullmatch(text):
        return None
    header, payload, _ = text.split(".")
    try:
        return Jwt(text, parse_object(_decoded(header)), parse_object(_decoded(payload)))
    except ValueError:
        return None


def check_header(header: Mapping[str, Any], algorithms: Collection[str]) -> tuple[str, str]:
    """The algorithm and the id of the key. Raises JwtError.

    Other parameters are ignored: keys, and URLs of keys, that a token brings along prove nothing.
    """
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise JwtError("its algorithm is not one of the configured")
    if "crit" in header or "b64" in header:  # RFC 7515, 4.1.11: what is not understood may change what is signed
        raise JwtError("it needs an extension of its format")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise JwtError("its type is not that of a token which authenticates")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _MAX_KEY_ID:
        raise JwtError("it does not say which key has signed it")
    return algorithm, key_id


def _decoded(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
