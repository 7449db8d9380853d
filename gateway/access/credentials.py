"""Reads the credentials of a request. Pure."""

import binascii
import re

from gateway.access.authenticator import BearerToken, Credential, Password, possible_tokens
from gateway.access.tokens.token import looks_like_one

# Clients that know only users and passwords send it along with a token (PyPI's convention).
TOKEN_USER = "__token__"  # noqa: S105  public
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_MAX_CHARACTERS = 20_000  # tokens of identity providers can have several thousand


def parse_authorization(value: str) -> Credential | None:
    """The credentials in an Authorization header (RFC 9110, 11.6.2): Basic (RFC 7617), which is UTF-8 or else Latin-1,
    or Bearer (RFC 6750). None for other schemes, and for what can't be read."""
    scheme, _, rest = value.partition(" ")
    rest = rest.strip()
    if not rest or len(rest) > _MAX_CHARACTERS:
        return None
    match scheme.lower():
        case "bearer":
            return BearerToken(rest)
        case "basic":
            return _basic(rest)
    return None


def is_token(credential: Credential) -> bool:
    """Whether it is a token, or was meant to be one: no directory of passwords needs to see it."""
    if isinstance(credential, BearerToken):
        return True
    texts = possible_tokens(credential)
    return credential.user == TOKEN_USER or any(looks_like_one(text) or _JWT.fullmatch(text) for text in texts)


def _basic(text: str) -> Password | None:
    try:
        data = binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (ValueError, UnicodeEncodeError):
        return None
    try:
        decoded = data.decode()
    except UnicodeDecodeError:
        decoded = data.decode("latin-1")
    user, colon, password = decoded.partition(":")
    return Password(user, password) if colon else None
