"""The public keys of an issuer (RFC 7517), and the signatures that they verify. Imports joserfc: import it lazily."""

from collections.abc import Iterable, Mapping
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import Key, import_key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from gateway.access.oidc.jwt import Jwt, JwtError
from gateway.access.oidc.strict_json import parse_object

# Verifying with a longer RSA key, or with many keys, would hold up the event loop.
_RSA_BITS = range(2048, 8192 + 1)
_MAX_EXPONENT_BITS = 64
_MAX_KEYS = 100
_MAX_KEYS_OF_ONE_ID = 4
# What a public key consists of. Nothing else of it is read: certificates and their URLs prove nothing here.
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519", "Ed448")}
_PRIVATE = "d"


class Keys:
    """The keys of one issuer by their ids, several of which may have the same."""

    def __init__(self, keys: Iterable[tuple[str, str, Key]]) -> None:
        """Each key with its id and its algorithm, which is empty for any that fits the key."""
        self._by_id: dict[str, list[tuple[str, Key]]] = {}
        for key_id, algorithm, key in keys:
            self._by_id.setdefault(key_id, []).append((algorithm, key))

    def __contains__(self, key_id: str) -> bool:
        return key_id in self._by_id

    def verify(self, token: Jwt, algorithm: str, key_id: str) -> None:
        """Raises JwtError unless a key of this id has signed the token by this algorithm."""
        for own_algorithm, key in self._by_id.get(key_id, ())[:_MAX_KEYS_OF_ONE_ID]:
            if own_algorithm in ("", algorithm) and _has_signed(key, algorithm, token):
                return
        raise JwtError("its signature is wrong, or its key is not one of the issuer's for such signatures")


def parse_keys(data: bytes) -> Keys:
    """The usable keys of a JWK Set: others may stand beside them. Takes a while: call it in a thread. Raises ValueError
    if there is none."""
    found = parse_object(data).get("keys")
    if not isinstance(found, list) or len(found) > _MAX_KEYS:
        raise ValueError(f"no list of at most {_MAX_KEYS} keys")
    usable = [key for member in found if (key := _parsed(member)) is not None]
    if not usable:
        raise ValueError("no key among them that can verify a signature")
    return Keys(usable)


def _parsed(member: Any) -> tuple[str, str, Key] | None:
    """None for a key that verifies no signatures, can't be identified, is no key, or is no secret any more."""
    fields: Mapping[str, Any] = member if isinstance(member, dict) else {}
    key_id, algorithm, operations = fields.get("kid"), fields.get("alg", ""), fields.get("key_ops", ["verify"])
    if not isinstance(key_id, str) or not key_id or not isinstance(algorithm, str) or _PRIVATE in fields:
        return None
    if fields.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    key = _public_key(fields)
    return (key_id, algorithm, key) if key is not None else None


def _public_key(fields: Mapping[str, Any]) -> Key | None:
    kind = fields.get("kty")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        return None
    public: dict[str, Any] = {name: fields.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) for value in public.values()):
        return None
    if kind in _CURVES and public["crv"] not in _CURVES[kind]:
        return None
    try:
        if kind == "RSA" and not (_bits(public["n"]) in _RSA_BITS and _bits(public["e"]) <= _MAX_EXPONENT_BITS):
            return None
        return import_key({"kty": kind, **public})
    except (JoseError, ValueError):
        return None


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number.encode())).bit_length()


def _has_signed(key: Key, algorithm: str, token: Jwt) -> bool:
    signed, _, signature = token.text.rpartition(".")
    signer = JWSRegistry.algorithms[algorithm]
    try:
        signer.check_key(key)
        return signer.verify(signed.encode(), urlsafe_b64decode(signature.encode()), key)
    except (JoseError, ValueError):
        return False
