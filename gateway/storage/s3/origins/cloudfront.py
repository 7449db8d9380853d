"""A CloudFront distribution as the origin of objects."""

import asyncio
import math
import time
from collections.abc import Hashable
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.cache.lru import MemoryLimit
from gateway.config.storage_settings import StorageSettings
from gateway.errors import ConfigError, Problem
from gateway.messages import Caller, Endpoint
from gateway.storage.s3.client import Answer, SignedClient, SignedQuery
from gateway.storage.s3.origins.presigned_urls import PresignedUrls

if TYPE_CHECKING:
    from gateway.storage.s3.signing.cloudfront_signer import CloudFrontSigner


def signer(settings: StorageSettings) -> "CloudFrontSigner | None":
    """Returns a signer with the key from the settings; None without a key id. Raises ConfigError."""
    if settings.cloud_front_key_id is None:
        return None
    from gateway.storage.s3.signing.cloudfront_signer import (  # takes some 30 ms, needed only with a key
        CloudFrontSigner,
        load_key,
    )

    password = settings.cloud_front_key_password
    try:
        if settings.cloud_front_key_string is not None:
            key, source = "storage.cloud_front_key_string", "set"
            # In an environment variable, line ends may have become `\n`.
            pem = settings.cloud_front_key_string.get_secret_value().replace("\\n", "\n").encode()
        else:
            key, source = "storage.cloud_front_key_file", str(settings.cloud_front_key_file)
            assert settings.cloud_front_key_file is not None
            pem = settings.cloud_front_key_file.read_bytes()
        private_key = load_key(pem, password.get_secret_value().encode() if password else None)
    except OSError as error:
        raise ConfigError([Problem(key, source, f"can't be read: {error.strerror}")]) from None
    except ValueError as error:
        raise ConfigError([Problem(key, source, str(error))]) from None
    return CloudFrontSigner(settings.cloud_front_key_id, private_key, settings.cloud_front_hash_algorithm)


def endpoint(domain: str) -> Endpoint:
    """Returns the endpoint of a domain such as `https://d111111abcdef8.cloudfront.net`."""
    parts = urlsplit(domain)
    return Endpoint(parts.scheme, parts.netloc, "", region="", service="cloudfront")


class CloudFrontOrigin:
    """An Origin (see origin.py). The gateway fetches through signed URLs that are not bound to an IP address."""

    def __init__(
        self,
        client: SignedClient,
        signer: "CloudFrontSigner | None",
        memory: MemoryLimit,
        *,
        root: str,
        ip_range: bool | IPv4Network,
        wildcard: bool,
        lifetime: int,
        buffer_time: int,
    ) -> None:
        """`client` does not sign. `root` is the encoded path of the directory of all objects, with its slash;
        `ip_range` and `wildcard` come from the settings cloud_front_ip_range and cloud_front_wildcard."""
        self._client = client
        self._signer = signer
        self._root = root
        self._ip_range = ip_range
        self._wildcard = wildcard
        self.links = PresignedUrls(self, memory, lifetime=lifetime, buffer_time=buffer_time)
        self._one_at_a_time = asyncio.Lock()

    async def open(self, method: str, path: str, headers: dict[str, str]) -> Answer:
        query = urlsplit((await self.links.get(path)).url).query
        return await self._client.send(method, path, query=query, headers=headers)

    def url(self, path: str) -> str:
        return f"{self._client.endpoint.origin}{path}"

    @property
    def shared(self) -> bool:
        return self._ip_range is not True or self._signer is None

    def serves(self, caller: Caller) -> bool:
        # CloudFront's policies support IPv4 only.
        return self.shared or _ipv4(caller) is not None

    def variant(self, caller: Caller | None) -> Hashable:
        return self._source(caller) if self._signer is not None else None

    async def grant(self, method: str, path: str, caller: Caller | None, lifetime: int) -> SignedQuery:
        if self._signer is None:
            return SignedQuery("", math.inf)
        resource, source = self.scope(path), self._source(caller)
        async with self._one_at_a_time:  # one signature at a time may block the event loop
            await asyncio.sleep(0)
            expires_at = int(time.time()) + lifetime
            if source is None and not resource.endswith("/*"):
                return SignedQuery(self._signer.canned(resource, expires_at), expires_at)
            return SignedQuery(self._signer.custom(resource, expires_at, source), expires_at)

    def scope(self, path: str) -> str:
        """The object, or all objects of its directory, but never all objects of the storage.

        A `*` in a key is no wildcard: it is encoded.
        """
        directory = path.rpartition("/")[0] + "/"
        return self.url(directory + "*" if self._wildcard and len(directory) > len(self._root) else path)

    def _source(self, caller: Caller | None) -> str | None:
        if caller is None or self._ip_range is False:
            return None
        if self._ip_range is True:
            return f"{_ipv4(caller)}/32"
        return str(self._ip_range)


def _ipv4(caller: Caller) -> IPv4Address | None:
    try:
        address = ip_address(caller.address)
    except ValueError:
        return None  # a Unix socket's peer
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped
