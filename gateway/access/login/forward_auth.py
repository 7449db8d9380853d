"""Reads who has logged in at a proxy in front of the gateway, which says so in headers. Pure.

Anybody can send such headers: whoever calls this has made sure that the proxy is one to believe.
"""

from multidict import MultiMapping

from gateway.access.authenticator import Identity
from gateway.errors import BadRequestError
from gateway.rights.subjects import is_name

_MAX_NAME = 256
# What may stand around a value (RFC 9110, 5.6.3). Others, such as U+00A0, are part of a name.
_SPACES = " \t"


class ForwardAuth:
    """What can't be read is never taken for a part of itself: such a request is refused."""

    method = "forward_auth"

    def __init__(self, user_header: str, groups_header: str | None) -> None:
        self._user = user_header
        self._groups = groups_header

    def __str__(self) -> str:
        return f"{self._user} of trusted proxies"

    def identity(self, headers: MultiMapping[str]) -> Identity | None:
        """None if the proxy names nobody. Raises BadRequestError for a header that is there twice, and for names that
        can't be."""
        name = self._one(headers, self._user)
        if not name:
            return None
        if not is_name(name) or len(name) > _MAX_NAME:
            raise self._refusal(self._user, "has a name that no user can have")
        listed = self._one(headers, self._groups).split(",") if self._groups is not None else []
        groups = frozenset(group for text in listed if (group := text.strip(_SPACES)))
        if any(len(group) > _MAX_NAME or not group.isprintable() for group in groups):
            raise self._refusal(self._groups, "has a name that no group can have")
        return Identity(name, groups)

    def _one(self, headers: MultiMapping[str], header: str) -> str:
        values = headers.getall(header, ())
        if len(values) > 1:
            # One of them may be the client's own, which the proxy has let through.
            raise self._refusal(header, "is there more than once")
        return values[0].strip(_SPACES) if values else ""

    @staticmethod
    def _refusal(header: str | None, what: str) -> BadRequestError:
        return BadRequestError(
            f"the header {header} {what}", public="The proxy in front of this gateway does not say clearly who you are"
        )
