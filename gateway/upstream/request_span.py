"""What a trace says of a request to a server, by OpenTelemetry's semantic conventions for HTTP clients. Pure.

URLs are without their queries: those of some storages are signatures.
"""

from gateway.tracing.methods import method_attributes
from gateway.tracing.span import NOTHING, Span, current

_MAX_URL_LENGTH = 1024
_PORTS = {"http": 80, "https": 443}


def request_span(method: str, scheme: str, host: str, target: str) -> Span:
    """The span of one request; `host` is the header's value."""
    above = current.get()
    if not above.recorded:
        return NOTHING
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdigit():
        name, port = host, str(_PORTS[scheme])
    url = f"{scheme}://{host}{target.partition('?')[0]}"
    attributes: dict[str, str | int] = {
        **method_attributes(method),
        "url.full": url[:_MAX_URL_LENGTH],
        "server.address": name.strip("[]"),
        "server.port": int(port),
    }
    return above.child(method, "client", attributes)


def note_answer(span: Span, status: int) -> None:
    """What the server has answered. That something is not there is an ordinary answer here."""
    if not span.recorded:
        return
    span.note({"http.response.status_code": status})
    if status >= 400 and status not in (404, 412, 416):
        span.fail(str(status))
