"""What an administrator's action needs to know of a request."""

from functools import partial

from gateway.ops.admin import AdminRequest
from gateway.ops.purge import MOST_BODY_BYTES
from gateway.server.protocol import Request

_BODY_SECONDS = 10.0


def admin_request(request: Request, query: str) -> AdminRequest:
    return AdminRequest(
        request.method,
        query,
        request.headers.get("Authorization", ""),
        request.headers.get("Content-Type", ""),
        partial(request.read_limited, MOST_BODY_BYTES, _BODY_SECONDS),
    )
