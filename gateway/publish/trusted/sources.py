"""Where a file comes from that a trusted publisher has published: told by its token, kept with the file. Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway.config.access.oidc import claim_text

_MAX_CHARACTERS = 400
MAX_VALUE = 150
_MAX_SUBJECT = 200
_NOT_SHOWN = re.compile(r"[^!#-\[\]-~]")  # nor what JSON escapes: the source is text in the claims of a token


def text_of(claims: Mapping[str, Any], name: str) -> str:
    """The claim as text; empty if it is absent, or is neither a text nor a number."""
    return claim_text(claims.get(name)) or ""


def source(fields: Iterable[tuple[str, str]]) -> str:
    """A JSON object in printable ASCII, from the most important field on: of those that are empty, and of those for
    which there is no more room, it has none."""
    found: dict[str, str] = {}
    for name, value in fields:
        more = found | {name: _shown(value, MAX_VALUE)}
        if value and len(_json(more)) <= _MAX_CHARACTERS:
            found = more
    return _json(found)


def service(kind: str, issuer: str, public: str) -> str:
    """Whose names of repositories are meant: a server of one's own has the same ones as the public service."""
    host = urlsplit(issuer).netloc.lower()
    return kind if host == urlsplit(public).netloc else f"{kind}@{host}"


def subject(text: str) -> str:
    """As name of who publishes, in logs and beside files."""
    return _shown(text, _MAX_SUBJECT)


def _shown(text: str, most: int) -> str:
    return _NOT_SHOWN.sub("?", text)[:most]


def _json(fields: Mapping[str, str]) -> str:
    return json.dumps(fields, separators=(",", ":"))
