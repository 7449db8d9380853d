"""Tokens: signed claims, which any number of gateways verify without asking anybody.

A token is `gw_`, the base62 of its bytes, and six characters of checksum, by which scanners of secrets tell it from
other text. Its bytes are a version, the id of the key, the claims as JSON, and the signature of all before it.
"""

import binascii
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from gateway.access.tokens import base62
from gateway.access.tokens.keys import ID_BYTES, SIGNATURE_BYTES, TokenKey
from gateway.principal import Right, Scope
from gateway.rights.patterns import ProjectPattern

PREFIX = "gw_"
_VERSION = b"\x01"
_CHECKSUM_CHARACTERS = 6  # of 62 each, for 32 bits
_MAX_CHARACTERS = 2000
_TOKEN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_CHECKSUM_CHARACTERS + 1},{_MAX_CHARACTERS - len(PREFIX)}}}")
_MAX_TIME = 2**53  # up to which every number of seconds is a float, too
_LETTERS = {"r": Right.READ, "w": Right.WRITE, "d": Right.DELETE, "f": Right.FALLBACK}


class TokenError(ValueError):
    """Says why a token is refused. The token is not quoted."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is, what for, and until when, in seconds since the epoch. `id` is unique: it can be revoked."""

    subject: str
    id: str
    scope: Scope
    expires: int


def issue(claims: Claims, key: TokenKey) -> str:
    """Raises TokenError for claims that make too long a token."""
    fields: dict[str, Any] = {
        "sub": claims.subject,
        "jti": claims.id,
        "exp": claims.expires,
        "can": "".join(letter for letter, right in _LETTERS.items() if right in claims.scope.rights),
    }
    if claims.scope.projects:
        fields["for"] = claims.scope.projects
    if claims.scope.grants:
        fields["grant"] = claims.scope.grants
    if claims.scope.source:
        fields["from"] = claims.scope.source
    signed = _VERSION + key.id + json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text = PREFIX + base62.encode(signed + key.sign(signed))
    if len(text) + _CHECKSUM_CHARACTERS > _MAX_CHARACTERS:
        raise TokenError("too long: give it fewer projects")
    return text + _checksum(text)


def looks_like_one(text: str) -> bool:
    """Whether the text has a token's form and checksum, whoever signed it."""
    return _TOKEN.fullmatch(text) is not None and text[-_CHECKSUM_CHARACTERS:] == _checksum(
        text[:-_CHECKSUM_CHARACTERS]
    )


def verify(text: str, keys: Sequence[TokenKey], now: float) -> Claims:
    """The claims of a token that one of `keys` has signed, and that has not expired at `now`, in seconds since the
    epoch. Whether it has been revoked is another question. Raises TokenError."""
    data = _data(text)
    key_id = data[len(_VERSION) : len(_VERSION) + ID_BYTES]
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        raise TokenError("signed by a key that is not known")
    signed, signature = data[: -key.signature_bytes], data[-key.signature_bytes :]
    if not key.verify(signed, signature):
        raise TokenError("the signature is wrong")
    claims = _claims(signed[len(_VERSION) + ID_BYTES :])
    if now >= claims.expires:
        raise TokenError("expired")
    return claims


def unverified(text: str) -> Claims:
    """What a token claims, whoever has signed it, and also after its end: for people who ask, never for decisions.
    Raises TokenError."""
    data = _data(text)
    for signature_bytes in SIGNATURE_BYTES:  # the claims end where the signature of the unknown key begins
        with suppress(TokenError):
            return _claims(data[len(_VERSION) + ID_BYTES : -signature_bytes])
    raise TokenError("its claims can't be read")


def _data(text: str) -> bytes:
    if not looks_like_one(text):
        raise TokenError("not a token, or not all of it")
    data = base62.decode(text[len(PREFIX) : -_CHECKSUM_CHARACTERS])
    if not data.startswith(_VERSION):
        raise TokenError("made by another version of the gateway")
    return data


def _claims(data: bytes) -> Claims:
    try:
        match json.loads(data):
            case {"sub": str(subject), "jti": str(identity), "exp": int(expires), "can": str(letters), **others}:
                rights = frozenset(_LETTERS[letter] for letter in letters)
                projects, grants, source = (others.pop(name, None) for name in ("for", "grant", "from"))
                scope = Scope(rights, _patterns(projects), _grants(grants), _source(source))
                # A claim that is not understood may be a limit.
                if subject and identity and not others and type(expires) is int and expires < _MAX_TIME:
                    return Claims(subject, identity, _bounded(scope), expires)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise TokenError("its claims can't be read") from error
    raise TokenError("its claims can't be read")


def _patterns(projects: Any) -> tuple[str, ...]:
    if projects is None:
        return ()
    if not isinstance(projects, list) or not projects:
        raise ValueError("no list of projects")
    return tuple(ProjectPattern.parse(text).text for text in projects)


def _grants(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value:
        raise ValueError("no grant")
    return value


def _source(value: Any) -> str:
    if not isinstance(value, str | None):
        raise ValueError("no source")  # noqa: TRY004  callers catch one type
    return value or ""


def _bounded(scope: Scope) -> Scope:
    """Raises ValueError for a token that grants anything but to write some projects."""
    if scope.grants and (not scope.projects or scope.rights != {Right.WRITE}):
        raise ValueError("a grant without bounds")
    return scope


def _checksum(text: str) -> str:
    number = binascii.crc32(text.encode())
    return base62.encode(number.to_bytes(4, "big")).rjust(_CHECKSUM_CHARACTERS, base62.ALPHABET[0])
