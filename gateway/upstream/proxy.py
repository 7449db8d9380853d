"""HTTP proxies on the way to the storage (RFC 9110, 9.3.6 and 7.1)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gateway.errors import UpstreamError
from gateway.upstream.connection import UpstreamConnection


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where a proxy is, and the value of Proxy-Authorization if its URL has a user."""

    tls: bool
    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Proxy":
        """Reads `http://user:password@host:port`; with https://, the gateway speaks TLS with the proxy itself."""
        parts = urlsplit(url)
        authorization = None
        if parts.username is not None:
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = f"Basic {base64.b64encode(user.encode()).decode()}"
        tls = parts.scheme == "https"
        return cls(tls, parts.hostname or "", parts.port or (443 if tls else 80), authorization)

    def headers(self) -> Mapping[str, str]:
        return {"Proxy-Authorization": self.authorization} if self.authorization is not None else {}

    async def tunnel(self, connection: UpstreamConnection, authority: str) -> None:
        """Asks for a tunnel to `host:port`. Raises UpstreamError if the proxy refuses."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers().items())
        head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n"
        answer = await connection.exchange("CONNECT", head.encode())
        if answer.status != 200:
            raise UpstreamError(
                f"the proxy {self.host}:{self.port} refused a tunnel to {authority}: {answer.status}",
                code="ProxyRefused",
            )
