"""What the section `site` says of the content of a site: encodings, types and headers."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.config.section import Section
from gateway.config.types import COMMA_SEPARATED, Refused, Size, Words

_MOST_CHARACTERS = 2000
_MOST_HEADERS = 50
_MOST_VALUE_CHARACTERS = 4096
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_NAME = re.compile(_WORD)
_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_DIRECTIVE = rf'{_WORD}(?:=(?:{_WORD}|"[ !#-\[\]-~]*"))?'
_DIRECTIVES = re.compile(rf"{_DIRECTIVE}(?: ?, ?{_DIRECTIVE})*")
_TYPE = re.compile(rf'{_WORD}/{_WORD}(?:; ?{_WORD}=(?:{_WORD}|"[ !#-\[\]-~]*"))*')
_MEDIA = re.compile(r"[\w.+-]+/(?:[\w.+-]+|\*)", re.ASCII)
_SUFFIX = re.compile(r"\.?[A-Za-z0-9_+-]{1,32}")
# Headers that say how a message is framed, what its content is or who is asked for credentials. They are the gateway's.
_OURS = re.compile(
    "connection|keep-alive|te|trailer|transfer-encoding|upgrade|proxy-.*|set-cookie2?|content-(?!security-policy).*"
    "|accept-ranges|age|allow|cache-control|cache-status|date|etag|expires|last-modified|location|pragma|refresh"
    "|retry-after|server|vary|www-authenticate|x-request-id|access-control-.*|host|authorization|cookie"
)


def path_pattern(text: str) -> str:
    if not text.startswith("/") or "//" in text or re.search(r"[\x00-\x1f\x7f-\x9f?#\\]", text):
        raise Refused("must be a path like /old/* or /old.html, as text, without percent-escapes and without a query")
    if text.count("*") > 1 or len(text) > _MOST_CHARACTERS:
        raise Refused(f"must have one * at most, and {_MOST_CHARACTERS} characters")
    return text


def _cache_control(text: str) -> str:
    if not _DIRECTIVES.fullmatch(text) or len(text) > _MOST_VALUE_CHARACTERS:
        raise Refused("must be directives of Cache-Control, like public, max-age=3600")
    return text


def _types(types: dict[str, str]) -> dict[str, str]:
    for suffix, value in types.items():
        if not _SUFFIX.fullmatch(suffix) or not _TYPE.fullmatch(value):
            raise Refused("must name, for each extension, its type, like {.geojson: application/geo+json}")
    return {f".{suffix.removeprefix('.').lower()}": value for suffix, value in types.items()}


def _media_types(types: list[str]) -> list[str]:
    if not all(_MEDIA.fullmatch(one) for one in types):
        raise Refused("must be types without parameters, like application/json or text/*")
    return [one.lower() for one in types]


def _headers(headers: dict[str, str]) -> dict[str, str]:
    """The headers, with names as the gateway writes its own: they are compared with these."""
    if len(headers) > _MOST_HEADERS:
        raise Refused(f"must not be more than {_MOST_HEADERS}")
    named: dict[str, str] = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise Refused("has a name that no header can have")
        if _OURS.fullmatch(name.lower()):
            raise Refused("has a header that the gateway itself sets, or that must not be set for all answers")
        if not _VALUE.fullmatch(value) or len(value) > _MOST_VALUE_CHARACTERS:
            raise Refused("has a value that is empty, not ASCII, or too long, or has spaces around it or a line break")
        if (written := "-".join(part.capitalize() for part in name.split("-"))) in named:
            raise Refused("has one name twice: in headers, upper and lower case are the same")
        named[written] = value
    return named


PathPattern = Annotated[str, AfterValidator(path_pattern)]


class CacheControlSettings(Section):
    """Files, by a path or a pattern with one `*`, and for how long clients may keep them."""

    path: PathPattern = Field(description="Path of the file in the site, like /assets/* or /*.html")
    value: Annotated[str, AfterValidator(_cache_control)] = Field(description="Like public, max-age=3600")


class HeaderSettings(Section):
    """Paths, by a pattern with one `*`, and headers of all answers there."""

    path: PathPattern = Field(description="Path that clients ask for, like /* or /embed/*")
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(
        description="Names and values, like {X-Content-Type-Options: nosniff}"
    )


class CompressSettings(Section):
    """Which objects are compressed on the fly, with zstd or gzip; {} for these defaults."""

    types: Annotated[Words, AfterValidator(_media_types)] = Field(
        [
            "text/*",
            "application/javascript",
            "application/json",
            "application/ld+json",
            "application/manifest+json",
            "application/wasm",
            "application/xhtml+xml",
            "application/xml",
            "application/rss+xml",
            "application/atom+xml",
            "image/svg+xml",
        ],
        description="Content types, without parameters; text/* stands for all texts",
    )
    min_bytes: Size = Field(1400, ge=1400, description="Size of the smallest; less fits into one packet")
    max_bytes: Size = Field(
        1024 * 1024, le=8 * 1024 * 1024, description="Size of the largest; up to a quarter of index.memory_bytes"
    )
    private: bool = Field(
        False, description="Compress what is not for everyone, too: private objects, and all with access"
    )

    @model_validator(mode="after")
    def _in_order(self) -> "CompressSettings":
        if self.min_bytes > self.max_bytes:
            raise Refused("has a min_bytes that is more than max_bytes")
        return self


Encodings = Annotated[list[Literal["br", "zstd", "gzip"]], COMMA_SEPARATED]
Types = Annotated[dict[str, str], AfterValidator(_types)]
