"""An OpenID Connect issuer on loopback that does as the test says, and keys that sign without the gateway's library."""

import asyncio
import base64
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

NOW = 1_800_000_000.0
AUDIENCE = "gateway"
METADATA, KEYS = "/.well-known/openid-configuration", "/keys"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True)
class SigningKey:
    """`public` is a JWK without its id."""

    algorithm: str
    public: Mapping[str, Any]
    sign: Callable[[bytes], bytes]

    def jwk(self, key_id: str, **more: Any) -> dict[str, Any]:
        return {**self.public, "kid": key_id, **more}

    def token(self, claims: Mapping[str, Any] | bytes, key_id: str = "one", **header: Any) -> str:
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        return self.signed(json.dumps({"alg": self.algorithm, "kid": key_id, **header}).encode(), payload)

    def signed(self, header: bytes, payload: bytes) -> str:
        text = f"{b64(header)}.{b64(payload)}"
        return f"{text}.{b64(self.sign(text.encode()))}"


@lru_cache
def _rsa(which: int, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@lru_cache
def rsa_key(which: int = 0, bits: int = 2048) -> SigningKey:
    key = _rsa(which, bits)
    numbers = key.public_key().public_numbers()
    public = {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    return SigningKey("RS256", public, lambda data: key.sign(data, padding.PKCS1v15(), hashes.SHA256()))


def pss_key() -> SigningKey:
    """The same as `rsa_key()`, by another algorithm."""
    key, how = _rsa(0, 2048), padding.PSS(padding.MGF1(hashes.SHA256()), hashes.SHA256.digest_size)
    return SigningKey("PS256", rsa_key().public, lambda data: key.sign(data, how, hashes.SHA256()))


@lru_cache
def ec_key(curve: str = "P-256") -> SigningKey:
    kind, algorithm, size, digest = {
        "P-256": (ec.SECP256R1(), "ES256", 32, hashes.SHA256()),
        "P-384": (ec.SECP384R1(), "ES384", 48, hashes.SHA384()),
        "secp256k1": (ec.SECP256K1(), "ES256K", 32, hashes.SHA256()),
    }[curve]
    key = ec.generate_private_key(kind)
    numbers = key.public_key().public_numbers()
    x, y = (b64(value.to_bytes(size, "big")) for value in (numbers.x, numbers.y))

    def sign(data: bytes) -> bytes:
        parts = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
        return b"".join(part.to_bytes(size, "big") for part in parts)

    return SigningKey(algorithm, {"kty": "EC", "crv": curve, "x": x, "y": y}, sign)


@lru_cache
def ed25519_key() -> SigningKey:
    key = ed25519.Ed25519PrivateKey.generate()
    public = {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_key().public_bytes_raw())}
    return SigningKey("EdDSA", public, key.sign)


class Issuer:
    """`answers` replace what it says at a path; requests wait while `held` is set. `asked` has the paths asked for."""

    def __init__(self) -> None:
        self.keys = [rsa_key().jwk("one"), ec_key().jwk("two")]
        self.metadata: dict[str, Any] = {}
        self.answers: dict[str, Callable[[], web.StreamResponse]] = {}
        self.asked: list[str] = []
        self.peers: list[int] = []  # the port of each request's client
        self._go = asyncio.Event()
        self._go.set()
        self._runner: web.ServerRunner | None = None

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"{'https' if tls is not None else 'http'}://127.0.0.1:{self.port}"
        self.metadata = {"issuer": self.url, "jwks_uri": self.url + KEYS}

    async def stop(self) -> None:
        self._go.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def hold(self) -> None:
        self._go.clear()

    async def released(self) -> None:
        """Waits while requests are held."""
        await self._go.wait()

    def claims(self, **more: Any) -> dict[str, Any]:
        times = {"exp": int(NOW) + 600, "iat": int(NOW) - 10}
        return {"iss": self.url, "aud": AUDIENCE, "sub": "alice", **times, **more}

    def says(self, path: str, body: bytes | str = b"", status: int = 200, **headers: str) -> None:
        self.answers[path] = lambda: web.Response(body=body, status=status, headers=headers)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        self.got = await request.read()
        self.got_headers = request.headers
        assert request.transport is not None
        self.peers.append(request.transport.get_extra_info("peername")[1])
        await self.released()
        if request.path in self.answers:
            return self.answers[request.path]()
        documents = {METADATA: self.metadata, KEYS: {"keys": self.keys}}
        if request.path not in documents:
            return web.Response(status=404)
        return web.json_response(documents[request.path])
