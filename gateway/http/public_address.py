"""The URL at which clients reach the gateway, for the few links that must be absolute. Pure."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")


class PublicAddress:
    """The URL of the gateway's root: the configured one, else the one that each request names."""

    def __init__(self, public_url: str | None, base_path: str) -> None:
        """`public_url` includes the path at which the gateway is mounted; without it, `base_path` is that path. The
        attribute `path` is the path of the root, as clients see it."""
        self._public_url = public_url.rstrip("/") + "/" if public_url else None
        self._base_path = base_path
        self.path = urlsplit(self._public_url).path if self._public_url is not None else f"{base_path}/"

    def of(self, scheme: str, host: str) -> str:
        """The URL, with a slash at its end; empty if `host` is not valid."""
        if self._public_url is not None:
            return self._public_url
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            return ""
        return f"{scheme}://{host}{self._base_path}/"
