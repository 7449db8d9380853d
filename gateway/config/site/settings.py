"""The section `site`."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gateway.config.access.settings import from_yaml
from gateway.config.section import Section
from gateway.config.types import Hosts, Refused

# Patterns with a `*` are tried one after the other, some 0.1 µs each, before anything is looked up.
_MOST_REDIRECTS = 1000
_MOST_CHARACTERS = 2000
_UNUSABLE = re.compile(r"[\x00-\x20\x7f-\x9f\\]")


def _document(text: str) -> str:
    """A key in the site, which may be given with a slash in front, as a path."""
    key = text.removeprefix("/")
    if not key or key.endswith("/") or any(name == "" or name.startswith(".") for name in key.split("/")):
        raise Refused("must be a key in the site, like 404.html or errors/404.html")
    return key


def _path(text: str) -> str:
    if not text.startswith("/") or "//" in text or re.search(r"[\x00-\x1f\x7f-\x9f?#\\]", text):
        raise Refused("must be a path like /old/* or /old.html, as text, without percent-escapes and without a query")
    if text.count("*") > 1 or len(text) > _MOST_CHARACTERS:
        raise Refused(f"must have one * at most, and {_MOST_CHARACTERS} characters")
    return text


def _target(text: str) -> str:
    if _UNUSABLE.search(text) or text.count("*") > 1 or len(text) > _MOST_CHARACTERS:
        raise Refused(f"must have no spaces, no backslashes, one * at most, and {_MOST_CHARACTERS} characters")
    if text.startswith("/") and not text.startswith("//"):
        return text
    parts = _split(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "*" in parts.netloc:
        raise Refused("must be a path in the site, like /new/*, or an address like https://www.example.org/*")
    return text


def _split(text: str) -> Any:
    try:
        return urlsplit(text)
    except ValueError:
        raise Refused("must be a path in the site, or an address like https://www.example.org/") from None


class RedirectSettings(Section):
    """A path, or a pattern with one `*` for any text, and where its clients are sent instead."""

    path: Annotated[str, AfterValidator(_path)] = Field(description="Path in the site, like /old.html or /old/*")
    to: Annotated[str, AfterValidator(_target)] = Field(
        description="Path in the site, or an address; a * stands for what that of path has matched"
    )
    status: Literal[301, 302, 307, 308] = Field(301, description="301, 302, 307 or 308")

    @model_validator(mode="after")
    def _has_what_it_uses(self) -> "RedirectSettings":
        if "*" in self.to and "*" not in self.path:
            raise Refused("has a * in to, but none in path")
        return self


class SiteSettings(Section):
    """A web site in place of a package index, if index.mode is site."""

    listing: bool = Field(False, description="List what is in a directory that has no index document")
    spa: bool = Field(
        False, description="Answer a browser that navigates to an absent page with the index document of the root"
    )
    error_document: Annotated[str, AfterValidator(_document)] | None = Field(
        None, description="Key of the page that absent ones get, with status 404, like 404.html"
    )
    redirects: Annotated[list[RedirectSettings], BeforeValidator(from_yaml), Field(max_length=_MOST_REDIRECTS)] = Field(
        [], description="The first that fits applies: [{path: /old/*, to: /new/*, status: 301}]"
    )
    website_redirects: bool = Field(
        False, description="Follow the x-amz-website-redirect-location of objects; needs a bucket"
    )
    redirect_hosts: Hosts = Field([], description="Hosts to which these may lead; all others are ignored")
    versions: bool = Field(
        False, description="Serve ?versionId=… to readers who may write; without access, to everyone; needs S3"
    )
