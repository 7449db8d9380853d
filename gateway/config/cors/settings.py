"""The section `cors`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.section import Section
from gateway.config.types import COMMA_SEPARATED, Refused, Words

ANY = "*"
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]{{2,45}}\]"
_ORIGIN = re.compile(rf"[a-z][a-z0-9+.-]{{0,40}}://(?:{_HOST})(?::(?:\*|[1-9][0-9]{{0,4}}))?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}")
_OWN_HEADER = "x-requested-with"
_MAX_SECONDS = 86400


def _origins(texts: list[str]) -> list[str]:
    return [_origin(text) for text in texts]


def _origin(text: str) -> str:
    """As browsers write it: in small letters, and without the port that the scheme has anyway (HTML, 7.1.1)."""
    text = text.lower()
    if text != ANY and not _ORIGIN.fullmatch(text):
        raise Refused("must be an origin like https://app.example.org, https://*.example.org or http://localhost:*")
    return text.removesuffix(_DEFAULT_PORTS.get(text.partition(":")[0], ""))


def _header_names(names: list[str]) -> list[str]:
    if not all(_TOKEN.fullmatch(name) for name in names):
        raise Refused("must be names of headers, like Authorization")
    return names


def _request_headers(names: list[str]) -> list[str]:
    if _OWN_HEADER in {name.lower() for name in names}:
        raise Refused("can't have X-Requested-With, by which the gateway knows the scripts of its own pages")
    return _header_names(names)


class CorsSettings(Section):
    """Which pages of other origins may read what the gateway answers."""

    origins: Annotated[Words, AfterValidator(_origins)] = Field(
        [],
        description="Origins of the pages, like https://app.example.org, https://*.example.org or http://localhost:*; "
        "'*': all; empty: no CORS",
    )
    methods: Annotated[list[Literal["GET", "HEAD", "POST"]], COMMA_SEPARATED] = Field(
        ["GET", "HEAD"], description="What they may do; with POST, they may also upload files (see publish)"
    )
    headers: Annotated[Words, AfterValidator(_request_headers)] = Field(
        [
            "Accept",  # browsers ask for a long one, too
            "Authorization",
            "Cache-Control",
            "Content-Type",
            "If-Match",
            "If-Modified-Since",
            "If-None-Match",
            "If-Range",
            "If-Unmodified-Since",
            "Range",
            "X-Request-ID",
        ],
        description="Headers that they may send; '*': all but X-Requested-With",
    )
    exposed_headers: Annotated[Words, AfterValidator(_header_names)] = Field(
        ["Accept-Ranges", "Content-Encoding", "Content-Range", "ETag", "Retry-After", "X-Request-ID"],
        description="Headers that they may read, besides those that all may, such as Content-Length; '*': all",
    )
    max_age: int = Field(
        600,
        ge=0,
        le=_MAX_SECONDS,
        description="Seconds that browsers remember what pages may send (Chromium: 7200)",
    )
    credentials: bool = Field(
        False,
        description="Let them read what the browser gets by its own credentials: cookies of access.login, passwords "
        "that it remembers; not with '*'",
    )
