"""URLs of servers that decide who a client is: https, except on loopback."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

_MAX_CHARACTERS = 2048
# No user, whose password would be a secret, and no fragment. ASCII only: it is requested as it is written.
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[1-9][0-9]{0,4})?(?:/[!-\"$-~]*)?", re.ASCII
)


def is_secure_url(text: str) -> bool:
    """Whether the text is an https URL, or an http URL of a loopback address."""
    if len(text) > _MAX_CHARACTERS or not _URL.fullmatch(text):
        return False
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme == "https" or _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
