"""ETags of generated pages, and 304 for clients that have them (RFC 9110, 13.1). Pure."""

import hashlib
from collections.abc import Mapping

from gateway.http.conditions import not_modified
from gateway.messages import BufferedResponse


def etag_of(body: bytes, suffix: str = "") -> str:
    """A strong ETag, with its quotes."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}{suffix}"'


def conditional(
    body: bytes, etag: str, headers: Mapping[str, str], wanted: Mapping[str, str], fresh_for: float = 0.0
) -> BufferedResponse:
    """`wanted` has the request's conditions. Raises PreconditionFailedError if If-Match does not hold."""
    headers = {**headers, "ETag": etag}
    if not_modified(wanted, etag=etag, modified=None):  # generated pages have no modification time
        return BufferedResponse(304, b"", headers, fresh_for=fresh_for)
    return BufferedResponse(200, body, headers, fresh_for=fresh_for)
