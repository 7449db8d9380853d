"""The address that clients know the gateway by, for the few links that must be absolute. Pure."""

import re
from urllib.parse import urlsplit

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")


class PublicAddress:
    """Where the gateway's root is: as it is configured, else as each request says."""

    def __init__(self, public_url: str | None, base_path: str) -> None:
        """`public_url` has the path that the gateway is mounted at; `base_path` is that path, if it is not given.
        `path` is that of the root, as clients see it."""
        self._public_url = public_url.rstrip("/") + "/" if public_url else None
        self._base_path = base_path
        self.path = urlsplit(self._public_url).path if self._public_url is not None else f"{base_path}/"

    def of(self, scheme: str, host: str) -> str:
        """With a slash at its end; empty if `host` is none."""
        if self._public_url is not None:
            return self._public_url
        if scheme not in ("http", "https") or not _HOST.fullmatch(host):
            return ""
        return f"{scheme}://{host}{self._base_path}/"
