"""Methods of HTTP, of which clients may make up any number, as OpenTelemetry's semantic conventions name them. Pure."""

_KNOWN = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_MAX_METHOD_LENGTH = 32


def method_name(method: str) -> str:
    """The first word of a span's name."""
    return method if method in _KNOWN else "HTTP"


def method_attributes(method: str) -> dict[str, str]:
    if method in _KNOWN:
        return {"http.request.method": method}
    return {"http.request.method": "_OTHER", "http.request.method_original": method[:_MAX_METHOD_LENGTH]}
