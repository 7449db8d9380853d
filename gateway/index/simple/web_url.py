"""Checks and encodes URLs that other servers give, before they are requested. Pure."""

import re
from urllib.parse import quote, urljoin, urlsplit

_MAX_URL = 8192
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# A name, or an IPv4 or IPv6 address, with or without a port; no user, whose password would be a secret.
_HOST = re.compile(rf"(?:(?:{_LABEL}\.)*{_LABEL}\.?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{{1,5}})?")
_MAX_HOST = 259  # a name of 253, and a port
_TARGET_SAFE = "/%:@!$&'()*+,;=~?"  # existing escapes are kept


def split(url: str) -> tuple[str, str, str]:
    """Scheme, host (with a port if the URL has one) and encoded target of an absolute URL. Raises ValueError unless it
    is a valid http or https URL."""
    if len(url) > _MAX_URL:
        raise ValueError("a URL over 8 KB")
    try:
        parts = urlsplit(url)
        port = parts.port
        target = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe=_TARGET_SAFE)
    except ValueError as error:
        raise ValueError(f"an invalid URL ({error})") from error
    if parts.scheme not in ("http", "https"):
        raise ValueError("a URL that is neither http nor https")
    if len(parts.netloc) > _MAX_HOST or not _HOST.fullmatch(parts.netloc) or port == 0:
        raise ValueError("a URL with an invalid host or port")
    return parts.scheme, parts.netloc.lower(), target


def joined(base: str, url: str) -> str:
    """The absolute URL, encoded and without its fragment, of the link `url` on a page at `base`. Raises ValueError
    unless it is a valid http or https URL, and if it leads from https to http, where others could change the answer."""
    if not url or len(url) > _MAX_URL:
        raise ValueError("no URL, or one over 8 KB")
    try:
        url = urljoin(base, url)
    except ValueError as error:
        raise ValueError(f"an invalid URL ({error})") from error
    scheme, host, target = split(url)
    if scheme == "http" and base.startswith("https:"):
        raise ValueError("a URL that leads from https to http")
    return f"{scheme}://{host}{target}"


def without_query(url: str) -> str:
    """For logs: a query may be a signature."""
    return url.partition("?")[0]
