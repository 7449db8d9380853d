"""Converts stored HTML pages to JSON."""

from collections.abc import Hashable, Mapping
from urllib.parse import parse_qs

from gateway.cache.lru import MemoryLimit
from gateway.errors import BadRequestError, GatewayError, UpstreamBusyError, UpstreamError
from gateway.index.etags import conditional
from gateway.index.page_reads import PageReads
from gateway.index.rendered import Rendered, RenderedPages
from gateway.index.simple import pages
from gateway.index.simple.cache_control import REVALIDATE
from gateway.index.simple.names import normalize
from gateway.index.simple.negotiation import Form, choose, encoding_for, takes_html
from gateway.index.simple.page_text import text_of
from gateway.index.simple.static_page import names_of, project_of
from gateway.messages import BufferedResponse, PageRequest, Stream
from gateway.single_flight import SingleFlight
from gateway.upstream.limited import read_limited

_MAX_PAGE_BYTES = 64 * 1024 * 1024
# What the cache says of the stored page holds for its JSON: that it is stale, and how old.
_OF_THE_CACHE = ("Cache-Status", "Age")
_JSON_TYPES = frozenset({Form.JSON_V1.value, "application/json"})


def wants_json(accept: str, query: str) -> bool:
    """Whether the client asks for JSON and does not accept the page as it is stored."""
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


def is_json(headers: Mapping[str, str]) -> bool:
    """Whether a page with these headers is stored as JSON."""
    return headers.get("Content-Type", "").partition(";")[0].strip().lower() in _JSON_TYPES


def unavailable(error: GatewayError) -> UpstreamBusyError:
    """Installers take an absent page for an absent project, but try again after a 503."""
    return UpstreamBusyError(error.detail, public=error.public, code=error.code, upstream_status=error.upstream_status)


def negotiated(headers: dict[str, str]) -> dict[str, str]:
    """The headers of a stored page, with Accept in Vary: its URL serves JSON too (RFC 9110, 12.5.5)."""
    fields = [field.strip() for field in headers.get("Vary", "").split(",") if field.strip()]
    if "*" in fields or "accept" in map(str.lower, fields):
        return headers
    return {**headers, "Vary": ", ".join([*fields, "Accept"])}


class StoredPages:
    """Stored HTML pages as JSON, each of them read and converted once while its ETag stays the same: clients that ask
    for a page at the same time would otherwise take its size in memory each."""

    def __init__(self, memory: MemoryLimit) -> None:
        self._rendered = RenderedPages("stored pages as JSON", memory)
        self._converting = SingleFlight[Rendered]()
        self._reads = PageReads()

    async def as_json(self, stream: Stream, key: str, request: PageRequest) -> BufferedResponse:
        """The stored page as JSON. `key` is the directory's, empty for the root."""
        encoding, said = encoding_for(request.accept_encoding), stream.headers
        etag = said.get("ETag")
        page = self._rendered.known(key, encoding, (), etag) if etag is not None else None
        version = etag if etag is not None else object()
        flight = key, encoding, version
        if page is not None or self._converting.asking(flight):
            stream.close()
        if page is None:
            page = await self._converting.once(flight, lambda: self._convert(stream, key, encoding, version))
        headers = {"Content-Type": Form.JSON_V1.value, "Vary": "Accept, Accept-Encoding", "Cache-Control": REVALIDATE}
        headers |= {name: said[name] for name in _OF_THE_CACHE if name in said}
        if page.encoding is not None:
            headers["Content-Encoding"] = page.encoding
        return conditional(page.body, page.etag, headers, request.wanted, stream.fresh_for)

    async def _convert(self, stream: Stream, key: str, encoding: str | None, version: Hashable) -> Rendered:
        """Reads the page to its end, or closes the stream."""
        try:
            async with self._reads.begin() as read:
                content = await read_limited(_MAX_PAGE_BYTES, read.in_turn(stream.body)) if stream.body else b""
                if len(content) > _MAX_PAGE_BYTES:
                    raise UpstreamError(f"the page {key!r} is over {_MAX_PAGE_BYTES} bytes")
                said = stream.headers
                return await self._rendered.get(key, encoding, (), version, lambda: _to_json(key, content, said))
        except ValueError as error:
            public = f"The stored page can't be shown as JSON: {error}"
            raise UpstreamError(f"the page {key!r} can't be read: {error}", public=public) from error
        finally:
            stream.close()


def _to_json(key: str, content: bytes, headers: Mapping[str, str]) -> bytes:
    text = text_of(content, headers, _MAX_PAGE_BYTES)
    if is_json(headers):
        return text.encode()
    name = normalize(key.rstrip("/").rpartition("/")[2])
    return pages.project_json(project_of(name, text)) if name not in ("", "simple") else pages.root_json(names_of(text))
