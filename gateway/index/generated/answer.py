"""Generated pages as answers to a request."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.cache.refreshing import RefreshedValue
from gateway.http.cache_status import hit
from gateway.index.catalog.listing import Files, Projects
from gateway.index.etags import conditional
from gateway.index.rendered import Rendered
from gateway.index.simple.cache_control import REVALIDATE, for_seconds
from gateway.index.simple.names import SIMPLE
from gateway.index.simple.negotiation import Form, is_browser
from gateway.index.simple.pages import Project
from gateway.index.simple.stored import format_of
from gateway.messages import BufferedResponse, PageRequest


def is_for_people(request: PageRequest, form: Form, root: str) -> bool:
    """Whether a browser asks: installers never accept XHTML. `root` is the key above all projects, with its slash."""
    plain = request.key.removeprefix(root).startswith(f"{SIMPLE}/")
    return form is Form.HTML and not plain and is_browser(request.accept) and not format_of(request.query)


def answer(
    refresh: float,
    request: PageRequest,
    form: Form,
    page: Rendered,
    sources: Sequence[RefreshedValue[Files] | RefreshedValue[Project] | RefreshedValue[Projects]],
    more_headers: Mapping[str, str] = MappingProxyType({}),
    *,
    max_age: int = 0,
) -> BufferedResponse:
    """What `sources` say is used for `refresh` seconds; clients may keep the page for `max_age` seconds."""
    headers = {
        "Content-Type": form.value,
        "Vary": "Accept, Accept-Encoding",
        "Cache-Control": for_seconds(max_age),
        **more_headers,
    }
    if page.encoding is not None:
        headers["Content-Encoding"] = page.encoding
    age = max(source.age for source in sources)
    fresh_for = refresh - age
    stale = any(source.stale for source in sources)
    if age >= 1 or stale:  # a younger listing may have been made for this request
        headers["Cache-Status"] = hit(fresh_for, stale=stale)
    if stale:
        fresh_for = 0.0
        headers |= {"Age": str(int(age)), "Cache-Control": REVALIDATE}
    return conditional(page.body, page.etag, headers, request.wanted, fresh_for)
