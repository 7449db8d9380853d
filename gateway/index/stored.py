"""Pages that are stored, in a form that they are not stored in."""

from collections.abc import Mapping
from urllib.parse import parse_qs

from gateway.errors import BadRequestError, GatewayError, UpstreamBusyError, UpstreamError
from gateway.index import pages
from gateway.index.conditional import conditional, etag_of
from gateway.index.freshness import REVALIDATE
from gateway.index.links import names_of, project_of
from gateway.index.names import normalize
from gateway.index.negotiation import Form, choose, takes_html
from gateway.model import Page, Stream
from gateway.storage.chunks import up_to

_MAX_PAGE_BYTES = 64 * 1024 * 1024


def wants_json(accept: str, query: str) -> bool:
    """Whether the client asks for JSON and would not take the page as it is stored."""
    wanted = format_of(query)
    if wanted is None and takes_html(accept):
        return False
    return choose(accept, wanted) is Form.JSON_V1


def format_of(query: str) -> str | None:
    """The value of `?format=`. Raises BadRequestError if there are several."""
    if not query:
        return None
    values = parse_qs(query, keep_blank_values=True).get("format", [])
    if len(values) > 1:
        raise BadRequestError("two formats", public="The query must not have more than one format")
    return values[0] if values else None


def unavailable(error: GatewayError) -> UpstreamBusyError:
    """Installers take an absent page for an absent project, and try again after a 503."""
    return UpstreamBusyError(error.detail, public=error.public, code=error.code, upstream_status=error.upstream_status)


def negotiated(headers: dict[str, str]) -> dict[str, str]:
    """Headers of a stored page, at whose URL its JSON is too: caches must tell clients apart (RFC 9110, 12.5.5)."""
    fields = [field.strip() for field in headers.get("Vary", "").split(",") if field.strip()]
    if "*" in fields or "accept" in map(str.lower, fields):
        return headers
    return {**headers, "Vary": ", ".join([*fields, "Accept"])}


async def as_json(stream: Stream, key: str, wanted: Mapping[str, str]) -> Page:
    """What a stored HTML page says, as JSON. `key` is the directory's, empty for the root."""
    try:
        content = await up_to(_MAX_PAGE_BYTES, stream.body) if stream.body is not None else b""
    finally:
        stream.close()
    if len(content) > _MAX_PAGE_BYTES:
        raise UpstreamError(f"the page {key!r} is over {_MAX_PAGE_BYTES} bytes")
    text = content.decode("utf-8", "replace")
    name = normalize(key.rstrip("/").rpartition("/")[2])
    body = pages.project_json(project_of(name, text)) if name not in ("", "simple") else pages.root_json(names_of(text))
    headers = {
        "Content-Type": Form.JSON_V1.value,
        "Vary": "Accept, Accept-Encoding",
        "Cache-Control": REVALIDATE,
    }
    return conditional(body, etag_of(body), headers, wanted)
