"""Opens connections to the storage: directly or through a proxy, with or without TLS."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.executors import FOREIGN_NAMES
from gateway.upstream.address_policy import AddressPolicy
from gateway.upstream.connection import UpstreamConnection
from gateway.upstream.proxy import Proxy
from gateway.upstream.tls_contexts import context_of

REFUSED = "AddressRefused"


class Connector:
    """Opens connections, all with the same options. `proxies` are by the scheme of the request."""

    def __init__(
        self,
        *,
        connect_timeout: float,
        read_timeout: float,
        verify: bool | Path = True,
        client_cert: Sequence[Path] = (),
        proxies: Mapping[str, Proxy] = MappingProxyType({}),
        policy: AddressPolicy | None = None,
    ) -> None:
        """Times in seconds: to connect, and between two reads. `verify` may be the path of a CA bundle; `client_cert`
        is one PEM file with certificate and key, or one of each. Without a `policy`, any address is permitted. Raises
        OSError or ssl.SSLError if the files can't be used.
        """
        self._policy = policy
        self.proxies = proxies
        self.connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._verify = verify
        self._client_cert = client_cert
        self._tls: ssl.SSLContext | None = None
        if client_cert or isinstance(verify, Path):
            self._tls_context()  # to fail now

    def trusts(self, scheme: str, host: str) -> bool:
        """Whether the settings name this server, rather than another server that they name."""
        return self._policy is None or self._policy.trusts(*_address(scheme, host))

    async def connect(self, scheme: str, host: str) -> UpstreamConnection:
        """Connects to `host`, which has a port unless it is the scheme's. Raises UpstreamError (with the code REFUSED
        if the policy forbids it), UpstreamTimeoutError."""
        proxy = self.proxies.get(scheme)
        to = f"the proxy {proxy.host}:{proxy.port}" if proxy else host
        try:
            async with asyncio.timeout(self.connect_timeout):
                return await self._open(scheme, host, proxy)
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"can't connect to {to} within {self.connect_timeout:g} s") from error
        except ssl.SSLError as error:
            raise UpstreamError(f"TLS with {host} failed: {error}", code="TLS") from error
        except OSError as error:
            raise UpstreamError(f"can't connect to {to}: {error}", code="ConnectionFailed") from error

    async def _open(self, scheme: str, host: str, proxy: Proxy | None) -> UpstreamConnection:
        (name, port), tls = _address(scheme, host), scheme == "https"
        if self._policy is not None and not self._policy.trusts(name, port):
            if proxy is None:
                return await self._open_permitted(self._policy, name, port, tls=tls)
            if not self._policy.permits_name(name):
                raise _refused(host)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: UpstreamConnection(self._read_timeout),
            proxy.host if proxy else name,
            proxy.port if proxy else port,
            ssl=self._tls_context() if (proxy.tls if proxy else tls) else None,
            # RFC 8305. A single address needs no race, and a race that is cancelled just when it is won leaks a socket.
            happy_eyeballs_delay=None if _is_address(proxy.host if proxy else name) else 0.25,
        )
        if proxy and tls:
            try:
                await proxy.tunnel(connection, host if urlsplit(f"//{host}").port else f"{host}:{port}")
                await connection.start_tls(self._tls_context(), name)
            except BaseException:
                connection.close()
                raise
        return connection

    async def _open_permitted(self, policy: AddressPolicy, name: str, port: int, *, tls: bool) -> UpstreamConnection:
        """Connects to one of the addresses that the policy permits. The name is resolved once, before the check."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.connect_timeout
        found = await FOREIGN_NAMES.run(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        addresses = _by_turns([str(address[0]) for *_, address in found if policy.permits(str(address[0]))])
        for left in range(len(addresses), 0, -1):
            try:
                async with asyncio.timeout((until - loop.time()) / left):
                    _, connection = await loop.create_connection(
                        lambda: UpstreamConnection(self._read_timeout),
                        addresses[-left],
                        port,
                        ssl=self._tls_context() if tls else None,
                        server_hostname=name if tls else None,
                    )
                    return connection
            except OSError:  # a timeout is one
                if left == 1:
                    raise
        raise _refused(name)

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = context_of(self._verify, self._client_cert)
        return self._tls


def _address(scheme: str, host: str) -> tuple[str, int]:
    parts = urlsplit(f"//{host}")
    return parts.hostname or "", parts.port or (443 if scheme == "https" else 80)


def _refused(host: str) -> UpstreamError:
    what = "has no public address, and another index may link to public ones only; to allow it: fallback.allow_hosts"
    return UpstreamError(f"{host} {what}", code=REFUSED)


def _by_turns(addresses: Sequence[str]) -> list[str]:
    """IPv6 and IPv4 addresses in turn (RFC 8305, 4): often one of the two families does not work."""
    families = [[address for address in addresses if (":" in address) is six] for six in (True, False)]
    return [address for pair in zip_longest(*families) for address in pair if address is not None]


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
