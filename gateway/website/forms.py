"""In which form a client gets a listing, and from where on (RFC 9110, 12.5.1). Pure."""

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qs

from gateway.errors import BadRequestError, NotAcceptableError
from gateway.index.simple.negotiation import preferred

_MOST_CHARACTERS = 1024  # of a key of S3
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PUBLIC = "Not acceptable: listings are text/html, application/json or text/plain"
_KINDS_OF_CLIENTS = 32


class Form(Enum):
    """The content type of each form."""

    HTML = "text/html; charset=utf-8"
    JSON = "application/json"
    TEXT = "text/plain; charset=utf-8"


# Of equally welcome ones, the first wins.
_OFFERED = {"text/html": Form.HTML, "application/json": Form.JSON, "text/plain": Form.TEXT}
_BY_NAME = {"html": Form.HTML, "json": Form.JSON, "text": Form.TEXT, "txt": Form.TEXT}


class Wanted(NamedTuple):
    """`named` is the form if the query says so, as links to the next page then have to."""

    form: Form
    named: str


def begins_after(query: str) -> str:
    """The name after which a page begins, empty for the first page. Raises BadRequestError."""
    after = _single(query, "after")
    if _CONTROL.search(after) or len(after) > _MOST_CHARACTERS:
        raise BadRequestError("a name that none can have", public="The query's after is no name")
    return after


def wanted(accept: str, query: str) -> Wanted:
    """Raises BadRequestError and NotAcceptableError."""
    named = _single(query, "format")
    form = _BY_NAME.get(named.lower()) if named else _accepted(accept)
    if form is None:
        # The log has no queries.
        raise NotAcceptableError("an unknown format" if named else f"Accept: {accept}", public=_PUBLIC)
    return Wanted(form, named)


@lru_cache(_KINDS_OF_CLIENTS)
def _accepted(accept: str) -> Form | None:
    return preferred(accept, _OFFERED)


def _single(query: str, name: str) -> str:
    if name not in query:
        return ""
    values = parse_qs(query, keep_blank_values=True).get(name, [""])
    if len(values) > 1:
        raise BadRequestError(f"several {name}", public=f"The query must not have more than one {name}")
    return values[0]
