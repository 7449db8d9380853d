"""CloudFront's signed URLs. Pure: the time is an argument.

https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/private-content-signed-urls.html
"""

import base64
import json
from typing import TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey

_RSA_BITS = 2048
# CloudFront's own base64 variant: these three characters have to be replaced in a query.
_URL_SAFE = bytes.maketrans(b"+=/", b"-_~")


def load_key(pem: bytes, password: bytes | None = None) -> PrivateKey:
    """An RSA key of 2048 bits or an ECDSA key on P-256, the two kinds that CloudFront accepts.

    Raises ValueError, which names the problem and never quotes the key.
    """
    try:
        key = load_pem_private_key(pem, password)
    except TypeError:  # raised for a password without encryption, or encryption without a password
        if password is None:
            raise ValueError("is encrypted; set storage.cloud_front_key_password") from None
        raise ValueError("is not encrypted; remove storage.cloud_front_key_password") from None
    except (ValueError, UnsupportedAlgorithm):
        wrong_password = " with this password" if password is not None else ""
        raise ValueError(f"is not a private key in PEM{wrong_password}") from None
    if isinstance(key, RSAPrivateKey) and key.key_size == _RSA_BITS:
        return key
    if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1):
        return key
    raise ValueError(f"is not a key that CloudFront accepts: RSA of {_RSA_BITS} bits, or ECDSA on P-256")


class CloudFrontSigner:
    """Signs with one key. A signature takes some 0.3 ms with RSA, 0.05 ms with ECDSA."""

    def __init__(self, key_id: str, key: PrivateKey, hash_algorithm: str = "SHA1") -> None:
        """`hash_algorithm` is SHA1, CloudFront's default, or SHA256, which URLs then name."""
        self._key = key
        self._hash = SHA256() if hash_algorithm == "SHA256" else SHA1()  # noqa: S303
        self._suffix = f"&Key-Pair-Id={key_id}" + ("&Hash-Algorithm=SHA256" if hash_algorithm == "SHA256" else "")

    def canned(self, url: str, expires_at: int) -> str:
        """The query string that is valid for `url` only, until `expires_at`, in seconds since the epoch."""
        return f"Expires={expires_at}&Signature={self._signature(policy(url, expires_at))}{self._suffix}"

    def custom(self, resource: str, expires_at: int, source: str | None = None) -> str:
        """The query string that is valid for all URLs that match `resource`, in which `*` matches anything.

        `source` is the IPv4 network, as 192.0.2.0/24, that they may be fetched from.
        """
        text = policy(resource, expires_at, source)
        return f"Policy={_encode(text.encode())}&Signature={self._signature(text)}{self._suffix}"

    def _signature(self, text: str) -> str:
        if isinstance(self._key, RSAPrivateKey):
            return _encode(self._key.sign(text.encode(), PKCS1v15(), self._hash))
        return _encode(self._key.sign(text.encode(), ECDSA(self._hash)))


def policy(resource: str, expires_at: int, source: str | None = None) -> str:
    """The policy in the exact form that CloudFront rebuilds for canned URLs: no blanks, this order."""
    condition: dict[str, dict[str, int | str]] = {"DateLessThan": {"AWS:EpochTime": expires_at}}
    if source is not None:
        condition["IpAddress"] = {"AWS:SourceIp": source}
    return json.dumps({"Statement": [{"Resource": resource, "Condition": condition}]}, separators=(",", ":"))


def _encode(data: bytes) -> str:
    return base64.b64encode(data).translate(_URL_SAFE).decode()
