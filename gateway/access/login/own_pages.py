"""Which requests that change something a page of the gateway's own may have sent. Pure.

A page of another site can have a browser send a form with the password that the browser remembers, or with a session's
cookie, or to a gateway that only this browser can reach.
"""

from multidict import MultiMapping

from gateway.errors import ForbiddenError

# A page of another origin can't add a header without asking first (CORS), and is never permitted to.
HEADER, VALUE = "X-Requested-With", "gateway"


def demand_no_foreign_page(headers: MultiMapping[str], base_url: str) -> None:
    """Raises ForbiddenError for what a browser says a page of another site sends. `base_url` is that of the gateway's
    root, empty if it is not known. (Fetch Metadata; RFC 6454, 7)"""
    host = base_url.partition("://")[2].partition("/")[0].lower()
    for site in headers.getall("Sec-Fetch-Site", ()):
        if site not in ("none", "same-origin"):
            raise ForbiddenError(f"sent by a page of {headers.get('Origin') or site}")
    for origin in headers.getall("Origin", ()):
        if not host or origin.partition("://")[2].lower() != host:
            raise ForbiddenError(f"sent by a page of {origin or 'an unknown site'}")


def is_own_script(headers: MultiMapping[str]) -> bool:
    """Whether the script of our own page sends it. That of a page of another origin may never send the header, even if
    the page may publish (see http/cors.py)."""
    own = headers.get("Sec-Fetch-Site", "same-origin") in ("none", "same-origin")
    return own and headers.get(HEADER) == VALUE
