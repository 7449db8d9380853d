"""The settings of a proxy that knows who has logged in."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.config.section import Section
from gateway.config.types import Refused

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, 5.1
# The headers of the user and of the groups.
_PRESETS = {
    "authelia": ("Remote-User", "Remote-Groups"),
    "oauth2-proxy": ("X-Forwarded-User", "X-Forwarded-Groups"),
    "oauth2-proxy-auth-request": ("X-Auth-Request-User", "X-Auth-Request-Groups"),
}


def _header(text: str) -> str:
    if not _HEADER.fullmatch(text):
        raise Refused("must be the name of a header, like Remote-User")
    return text


Header = Annotated[str, AfterValidator(_header)]


class ForwardAuthSettings(Section):
    """A proxy in front of the gateway that lets people log in, and says in headers who they are. Only those in
    server.trusted_proxies are believed."""

    preset: Literal["authelia", "oauth2-proxy", "oauth2-proxy-auth-request"] | None = Field(
        None,
        description="Headers that a product sends: authelia: Remote-User, Remote-Groups; oauth2-proxy, as the proxy "
        "itself: X-Forwarded-User, -Groups; oauth2-proxy-auth-request, behind nginx: X-Auth-Request-User, -Groups",
    )
    user_header: Header | None = Field(None, description="Header with the user's name, in place of the preset's")
    groups_header: Header | None = Field(
        None, description="Header with the names of the user's groups, separated by commas, in place of the preset's"
    )

    @model_validator(mode="after")
    def _names_headers(self) -> "ForwardAuthSettings":
        user, groups = self.headers
        if not user:
            raise Refused("must have a preset or a user_header")
        if groups is not None and user.lower() == groups.lower():
            raise Refused("must have one header for the user, and another one for the groups")
        return self

    @property
    def headers(self) -> tuple[str, str | None]:
        """The headers of the user and of the groups; without the latter, nothing is said about groups."""
        user, groups = _PRESETS[self.preset] if self.preset is not None else ("", None)
        return self.user_header or user, self.groups_header or groups
