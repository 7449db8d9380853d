"""What a trace says of a request, by OpenTelemetry's semantic conventions for HTTP servers. Pure.

Neither queries nor the names of users are in it: both may be secret.
"""

from gateway.messages import CLIENT_GONE, RequestRecord
from gateway.ops.log import path_of
from gateway.tracing.methods import method_attributes, method_name

_MAX_TEXT_LENGTH = 1024  # the client's, and a queue is full of it

ABORTED = "aborted"


def describe(record: RequestRecord, scheme: str) -> None:
    """Tells the record's span of its request, and of the answer."""
    span = record.span
    attributes: dict[str, str | int] = {
        **method_attributes(record.method),
        "url.scheme": scheme,
        "url.path": path_of(record.target)[:_MAX_TEXT_LENGTH],
        "client.address": record.client,
        "network.peer.address": record.peer or record.client,
        "user_agent.original": record.agent[:_MAX_TEXT_LENGTH],
        "http.response.body.size": record.sent_bytes,
        "gateway.mount": record.mount,
        "gateway.route": record.route,
        "gateway.cache": record.cache,
        "gateway.error_code": record.code or "",
        "gateway.request_id": record.request_id,
    }
    if record.status != CLIENT_GONE:
        attributes["http.response.status_code"] = record.status
    span.rename(f"{method_name(record.method)} {record.route}")
    span.note({name: value for name, value in attributes.items() if value != ""})
    if record.status >= 500:
        span.fail(str(record.status), record.error)
    elif record.error and (record.status < 400 or record.status == CLIENT_GONE):
        span.fail(ABORTED, record.error)  # the client has left, or the body broke off
