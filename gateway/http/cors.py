"""Which pages of other origins may read what the gateway answers (the CORS protocol of the Fetch standard). Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

from multidict import MultiMapping

from gateway.config.cors.settings import ANY, CorsSettings
from gateway.errors import ForbiddenError
from gateway.messages import Answer, BufferedResponse, Stream

_ORIGIN, _METHOD, _HEADERS = "Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"
_VARY_OF_PREFLIGHT = f"{_METHOD}, {_HEADERS}"
# A longer one has no host name (RFC 1035, 2.3.4).
_MAX_ORIGIN = 320
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}")
# Our own pages' scripts are known by it: pages of other origins may never send it.
_NEVER = frozenset({"x-requested-with"})
_SHOWN = 80


class Cors:
    """The answers of one mount, for pages of other origins."""

    def __init__(self, settings: CorsSettings) -> None:
        names = settings.origins
        self._any = ANY in names
        self._exact = frozenset(name for name in names if "*" not in name)
        patterns = [_pattern(name) for name in names if "*" in name and name != ANY]
        self._patterns = re.compile("|".join(patterns)) if patterns else None
        self._methods = frozenset(settings.methods)
        self._headers = frozenset(name.lower() for name in settings.headers)
        self._preflight = {
            "Access-Control-Allow-Methods": ", ".join(settings.methods),
            "Access-Control-Max-Age": str(settings.max_age),
            "Vary": _VARY_OF_PREFLIGHT,
        }
        self._permission = {"Access-Control-Allow-Credentials": "true"} if settings.credentials else {}
        if settings.exposed_headers:
            self._permission["Access-Control-Expose-Headers"] = ", ".join(settings.exposed_headers)

    def share(self, answer: Answer, headers: MultiMapping[str]) -> Answer:
        """The answer to a request with these headers, for the page that has sent it. A Stream is changed in place."""
        given = self._shared(answer.headers, headers)
        if isinstance(answer, Stream):
            answer.headers = given
            return answer
        return replace(answer, headers=given)

    def preflight(self, headers: MultiMapping[str]) -> BufferedResponse:
        """The answer to a preflight: what a page may send; `share` adds whose page. Raises ForbiddenError for an origin
        or a method that is not configured: browsers send GET, HEAD and POST whatever they are told of methods, unless
        the answer is an error."""
        method = headers.get(_METHOD, "")
        if self._permitted(headers) is None:
            shown = headers[_ORIGIN][:_SHOWN]
            raise ForbiddenError(f"{shown!r} is not in cors.origins", public="Pages of this origin may not read here")
        if method not in self._methods:
            shown = method[:_SHOWN]
            raise ForbiddenError(f"{shown!r} is not in cors.methods", public="Pages may not use this method here")
        allowed = dict(self._preflight)
        if asked := ", ".join(filter(self._may_send, _names(headers.getall(_HEADERS, ())))):
            allowed["Access-Control-Allow-Headers"] = asked
        return BufferedResponse(204, b"", allowed)

    def may_publish(self, headers: MultiMapping[str]) -> bool:
        """Whether a page has sent this that may do more than read."""
        return "POST" in self._methods and not self._any and self._permitted(headers) is not None

    def _shared(self, answer: dict[str, str], request: MultiMapping[str]) -> dict[str, str]:
        permitted = self._permitted(request)
        shared = answer if self._any else {**answer, "Vary": _vary(answer.get("Vary", ""))}
        if permitted is None:
            return shared
        return {**shared, "Access-Control-Allow-Origin": permitted, **self._permission}

    def _permitted(self, headers: MultiMapping[str]) -> str | None:
        """The origin that the answer names; None if it names none. The same for all if all may read: then the answer
        does not depend on who asks."""
        if self._any:
            return ANY
        origins = headers.getall(_ORIGIN, ())
        if len(origins) != 1 or len(origin := origins[0]) > _MAX_ORIGIN:
            return None
        if origin in self._exact or (self._patterns is not None and self._patterns.fullmatch(origin)):
            return origin
        return None

    def _may_send(self, name: str) -> bool:
        return name not in _NEVER and (ANY in self._headers or name in self._headers)


def is_preflight(headers: MultiMapping[str]) -> bool:
    """Whether OPTIONS with these headers asks what a page may send."""
    return _ORIGIN in headers and _METHOD in headers


def cors_of(settings: CorsSettings) -> Cors | None:
    """None if no page of another origin may read."""
    return Cors(settings) if settings.origins else None


def _pattern(name: str) -> str:
    """`*.` at the start of the host stands for one label or several, and `*` at its end for any port, or none."""
    scheme, _, rest = name.partition("://")
    host = rest.removesuffix(":*")
    port = r"(?::[1-9][0-9]{0,4})?" if host != rest else ""
    labels = r"(?:[a-z0-9_-]{1,63}\.)+" if host.startswith("*.") else ""
    return f"{re.escape(scheme)}://{labels}{re.escape(host.removeprefix('*.'))}{port}"


def _names(lines: Sequence[str]) -> list[str]:
    """The names of headers that a browser asks for, each once."""
    names = (name.strip().lower() for line in lines for name in line.split(","))
    return [*dict.fromkeys(name for name in names if _TOKEN.fullmatch(name))]


def _vary(given: str) -> str:
    names = {name.strip().lower() for name in given.split(",")}
    if not given:
        return _ORIGIN
    return given if "*" in names or "origin" in names else f"{given}, {_ORIGIN}"
