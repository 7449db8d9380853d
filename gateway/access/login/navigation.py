"""Which requests are those of a person who looks at a page: only these may be sent to another one to log in. Pure.

Installers accept HTML too, and would take a page with a form for an index without packages.
"""

from multidict import MultiMapping


def is_navigation(headers: MultiMapping[str]) -> bool:
    """Whether a browser shows its user what it gets. Browsers say so (Fetch Metadata, 2.2), or, if they are older or
    don't trust the connection, accept XHTML, which no installer does."""
    ranges = {part.partition(";")[0].strip().lower() for part in ",".join(headers.getall("Accept", ())).split(",")}
    mode = headers.get("Sec-Fetch-Mode")
    if mode is None:
        return "application/xhtml+xml" in ranges
    return mode == "navigate" and bool(ranges & {"text/html", "application/xhtml+xml"})


def is_script(headers: MultiMapping[str]) -> bool:
    """Whether a script of a page asks, or the page for its images and the like: a challenge would make the browser ask
    for a password."""
    return headers.get("Sec-Fetch-Mode", "navigate") != "navigate"


def is_prefetch(headers: MultiMapping[str]) -> bool:
    """Whether the browser fetches ahead of time what perhaps nobody will look at."""
    return any("prefetch" in headers.get(name, "").lower() for name in ("Sec-Purpose", "Purpose", "X-Moz"))


def is_own_form(headers: MultiMapping[str]) -> bool:
    """Whether a form may have been sent by a page of this site. Older browsers don't say: there the form's token alone
    decides. (`Origin` is of no use, because pages with `Referrer-Policy: no-referrer` send `null`.)"""
    return headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
