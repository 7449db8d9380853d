"""Builds the clients of the bucket from the storage settings."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from gateway import __version__
from gateway.cache.lru import MemoryLimit
from gateway.config.storage_settings import StorageSettings
from gateway.config.types import is_proxy
from gateway.errors import ConfigError, Problem
from gateway.http.target import encode_key
from gateway.messages import Endpoint
from gateway.storage.s3.client import SignedClient
from gateway.storage.s3.origins import cloudfront
from gateway.storage.s3.origins.origin import BucketOrigin, Origin
from gateway.storage.s3.origins.presigned_urls import PresignedUrls
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.storage.s3.signing.scheme import Scheme, SigV2, SigV4
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.circuits import Circuits
from gateway.upstream.client import Client
from gateway.upstream.connector import Connector
from gateway.upstream.proxy import Proxy

if TYPE_CHECKING:
    from gateway.storage.s3.signing.cloudfront_signer import CloudFrontSigner

_OTHER_CONNECT_SECONDS = 5.0
_OTHER_READ_SECONDS = 10.0
_OTHER_CONNECTIONS = 64
Relocate = Callable[[str], Awaitable[Endpoint]]


@dataclass(frozen=True, slots=True)
class S3Clients:
    """`bucket` lists and writes; `origin` reads objects, through `reading`; `direct` reads them past the cache that a
    distribution has; `links` makes URLs for clients."""

    client: Client
    bucket: SignedClient
    reading: SignedClient
    direct: SignedClient
    origin: Origin
    links: PresignedUrls


def reach(
    settings: StorageSettings,
    endpoint: Endpoint,
    credentials: CredentialSource,
    signer: "CloudFrontSigner | None",
    signed_queries: MemoryLimit,
    *,
    relocate: Relocate,
    on_fault: Callable[[str], None],
    circuits: Circuits | None = None,
) -> S3Clients:
    """Raises ConfigError for certificates that can't be used. Blocks while it reads files."""
    client = _client(settings, endpoint, circuits)

    def signed(endpoint: Endpoint, scheme: Scheme | None, relocate: Relocate | None = relocate) -> SignedClient:
        return SignedClient(
            client,
            endpoint,
            scheme=scheme,
            credentials=credentials,
            relocate=relocate,
            max_attempts=settings.max_attempts,
            on_fault=on_fault,
        )

    bucket = signed(endpoint, _scheme(settings))
    if settings.backend == "cloudfront":
        reading = signed(cloudfront.endpoint(settings.cloud_front_domain or ""), None, relocate=None)
        distribution = cloudfront.CloudFrontOrigin(
            reading,
            signer,
            signed_queries,
            root="/" + encode_key(settings.prefix),
            ip_range=settings.cloud_front_ip_range,
            wildcard=settings.cloud_front_wildcard,
            lifetime=settings.expire_after,
            buffer_time=settings.buffer_time,
        )
        return S3Clients(client, bucket, reading, bucket, distribution, distribution.links)
    reading = signed(endpoint, None) if settings.public_url else bucket
    origin = BucketOrigin(reading)
    links = PresignedUrls(origin, signed_queries, lifetime=settings.expire_after, buffer_time=settings.buffer_time)
    return S3Clients(client, bucket, reading, reading, origin, links)


def reads_as(settings: StorageSettings) -> str:
    """Tells apart the ways in which objects are read, of which one may be let in where another is not. Empty for the
    credentials that botocore finds by itself."""
    if settings.backend == "cloudfront":
        return f"{settings.cloud_front_domain} {settings.cloud_front_key_id or ''}"
    if settings.public_url or settings.signature_version == "unsigned":
        return "unsigned"
    who = settings.aws_access_key_id, settings.profile_name, settings.assume_role_arn
    return hashlib.sha256(repr(who).encode()).hexdigest()[:16] if any(who) else ""  # caches on disk have it in clear


def _scheme(settings: StorageSettings) -> Scheme | None:
    if settings.signature_version == "unsigned":
        return None
    return SigV2(settings.bucket or "") if settings.signature_version == "s3" else SigV4()


def _client(settings: StorageSettings, endpoint: Endpoint, circuits: Circuits | None) -> Client:
    try:
        connector = Connector(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            verify=settings.verify,
            client_cert=settings.client_cert or (),
            proxies={scheme: Proxy.parse(url) for scheme, url in _proxies(settings, endpoint).items()},
        )
    except OSError as error:
        key = "storage.client_cert" if settings.client_cert else "storage.verify"
        raise ConfigError([Problem(key, "set", f"can't be used: {error}")]) from error
    agent = f"gateway/{__version__} {settings.user_agent_extra or ''}".rstrip()
    return Client(
        connector, max_connections=settings.max_pool_connections, user_agent=agent, circuits=circuits, tells_trace=True
    )


def client_for(
    address: str,
    policy: AddressPolicy,
    circuits: Circuits | None = None,
    *,
    connect_timeout: float = _OTHER_CONNECT_SECONDS,
    read_timeout: float = _OTHER_READ_SECONDS,
    tells_trace: bool = False,
) -> Client:
    """A client for a server other than the bucket, and for its redirects. It trusts the system's certificates
    (SSL_CERT_FILE). `tells_trace` is a Client's."""
    proxies = {scheme: Proxy.parse(url) for scheme, url in _environment_proxies(address).items()}
    connector = Connector(connect_timeout=connect_timeout, read_timeout=read_timeout, proxies=proxies, policy=policy)
    agent = f"gateway/{__version__}"
    return Client(
        connector, max_connections=_OTHER_CONNECTIONS, user_agent=agent, circuits=circuits, tells_trace=tells_trace
    )


def _proxies(settings: StorageSettings, endpoint: Endpoint) -> Mapping[str, str]:
    if settings.proxies is not None:
        return settings.proxies
    # NO_PROXY is evaluated for the one host that objects are read from.
    read_from = settings.cloud_front_domain if settings.backend == "cloudfront" else None
    return _environment_proxies(read_from or endpoint.origin)


def _environment_proxies(address: str) -> Mapping[str, str]:
    found = {} if proxy_bypass(urlsplit(address).netloc) else getproxies()
    proxies = {scheme: _with_scheme(url) for scheme, url in found.items() if scheme in ("http", "https")}
    for scheme, url in proxies.items():
        if not is_proxy(url):
            message = "must be an address like http://proxy:3128"
            raise ConfigError([Problem(f"{scheme.upper()}_PROXY", "environment", message)])
    return proxies


def _with_scheme(url: str) -> str:
    return url if "://" in url else f"http://{url}"
