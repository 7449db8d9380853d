"""What an administrator may ask of a running gateway, with a token."""

import hmac
from collections.abc import Callable

from gateway.errors import MethodNotAllowedError, UnauthorizedError
from gateway.messages import BufferedResponse
from gateway.ops.health import report


class Admin:
    """Guards actions with one bearer token (RFC 6750, 2.1)."""

    def __init__(self, token: str, refresh: Callable[[], None]) -> None:
        self._token = token.encode()
        self._refresh = refresh

    def refresh(self, method: str, authorization: str) -> BufferedResponse:
        """Makes the next pages from new listings. Raises MethodNotAllowedError, UnauthorizedError."""
        if method != "POST":
            raise MethodNotAllowedError(method, "POST")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token):
            raise UnauthorizedError("no token, or a wrong one")
        self._refresh()
        return report(200, status="refreshed")
