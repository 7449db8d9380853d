"""A token that a route of the gateway asks for."""

import hmac

from gateway.errors import UnauthorizedError


class BearerToken:
    """One bearer token (RFC 6750, 2.1), which the setting of this name has."""

    def __init__(self, token: str, setting: str) -> None:
        self._token = token.encode()
        self._setting = setting

    def check(self, authorization: str) -> None:
        """Raises UnauthorizedError for the header Authorization of a request that does not have the token."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token):
            public = f"This route needs the header Authorization: Bearer …, with the token set in {self._setting}"
            raise UnauthorizedError("no token, or a wrong one", public=public)
