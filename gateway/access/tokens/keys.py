"""The keys that sign tokens: a shared secret (HMAC-SHA256, RFC 2104) or a pair of keys (Ed25519, RFC 8032)."""

import hashlib
import hmac
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

ID_BYTES = 4
_HMAC_BYTES, _ED25519_BYTES = 32, 64
SIGNATURE_BYTES = (_HMAC_BYTES, _ED25519_BYTES)
_MIN_SECRET_BYTES = 32


class TokenKey(Protocol):
    """`id` has ID_BYTES, and tells which of several keys has signed; `may_sign` is False for a public key."""

    id: bytes
    signature_bytes: int
    may_sign: bool

    def sign(self, data: bytes) -> bytes: ...

    def verify(self, data: bytes, signature: bytes) -> bool: ...


def parse_key(text: str) -> TokenKey:
    """A key from a PEM block of Ed25519, private or public, or from any other text of at least 32 bytes, which is the
    secret itself. Raises ValueError, which says what is wrong and quotes nothing."""
    data = text.strip().encode()
    if not data.startswith(b"-----BEGIN "):
        if len(data) < _MIN_SECRET_BYTES:
            raise ValueError(f"must have at least {_MIN_SECRET_BYTES} bytes: openssl rand -base64 32")
        return HmacKey(data)
    try:
        public = data.startswith(b"-----BEGIN PUBLIC KEY-----")
        key = load_pem_public_key(data) if public else load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
        raise ValueError("is no PEM key that can be read: openssl genpkey -algorithm ed25519") from error
    if isinstance(key, Ed25519PublicKey | Ed25519PrivateKey):
        return Ed25519Key(key)
    raise ValueError("must be an Ed25519 key: openssl genpkey -algorithm ed25519")


class HmacKey:
    """Whoever can verify with it can sign too."""

    signature_bytes = _HMAC_BYTES
    may_sign = True

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = hashlib.sha256(b"gateway token key\0" + secret).digest()[:ID_BYTES]

    def sign(self, data: bytes) -> bytes:
        return hmac.digest(self._secret, data, "sha256")

    def verify(self, data: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(data), signature)


class Ed25519Key:
    """Gateways need only the public key."""

    signature_bytes = _ED25519_BYTES

    def __init__(self, key: Ed25519PrivateKey | Ed25519PublicKey) -> None:
        self._private = key if isinstance(key, Ed25519PrivateKey) else None
        self._public = key.public_key() if isinstance(key, Ed25519PrivateKey) else key
        self.may_sign = self._private is not None
        self.id = hashlib.sha256(b"gateway token key\0" + self._public.public_bytes_raw()).digest()[:ID_BYTES]

    def sign(self, data: bytes) -> bytes:
        assert self._private is not None, "may_sign is False"
        return self._private.sign(data)

    def verify(self, data: bytes, signature: bytes) -> bool:
        try:
            self._public.verify(signature, data)
        except InvalidSignature:
            return False
        return True
