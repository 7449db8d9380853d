"""The one place that turns an answer into bytes for the client."""

import json
import time
from collections.abc import AsyncIterator
from typing import cast

from aiohttp import web
from aiohttp.http import StreamWriter

from gateway.errors import GatewayError
from gateway.http.target import location
from gateway.messages import Answer, BufferedResponse, FilePart, Redirect, RequestRecord, Stream
from gateway.server.reply import Reply
from gateway.server.sendfile import FileSender

_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"


def error_page(error: GatewayError, *, accept: str, request_id: str) -> BufferedResponse:
    """A short text, or JSON for who asks for it. Only the error's public side is in it."""
    if _JSON in accept.lower():
        report = {"status": error.status, "error": error.public, "request_id": request_id}
        body, content_type = json.dumps(report) + "\n", _JSON
    else:
        body, content_type = f"{error.status} {error.public}\nrequest id: {request_id}\n", _TEXT
    # An absent file may be uploaded the next minute: no cache between may keep the refusal.
    headers = {**error.headers, "Content-Type": content_type, "Cache-Control": "no-store"}
    return BufferedResponse(error.status, body.encode(), headers, error.upstream_status, error.code)


def whole(answer: BufferedResponse | Redirect, exchange: RequestRecord, *, close: bool = False) -> Reply:
    """The reply to a request that is answered without a stream, not sent."""
    if isinstance(answer, Redirect):
        headers = _common(answer.headers | {"Location": location(answer.location)}, exchange)
        return Reply(answer.status, headers, b"", close=close)
    headers = _common(answer.headers, exchange)
    return Reply(answer.status, headers, answer.body, close=close, fresh_for=answer.fresh_for)


def note(reply: Reply, exchange: RequestRecord, began: float) -> None:
    """That this has been sent from `began` on, as the log and the metrics tell it."""
    exchange.status = reply.status
    exchange.first_byte = began
    if exchange.method != "HEAD":
        exchange.sent_bytes = len(reply.body or b"")


async def send(request: web.BaseRequest, answer: Answer, exchange: RequestRecord) -> Reply:
    """Sends the answer as fast as the client takes it and no faster, and notes in `exchange` what was sent.

    Where the body breaks off, the connection is closed short of what Content-Length promised: raises ConnectionError,
    which is how aiohttp is told so.
    """
    if not isinstance(answer, Stream):
        return await _send_whole(request, answer, exchange)
    exchange.upstream_status = answer.upstream_status
    exchange.cache = answer.cache
    if answer.content is not None:
        answer.close()
        page = BufferedResponse(answer.status, answer.content, answer.headers, fresh_for=answer.fresh_for)
        return await _send_whole(request, page, exchange)
    try:
        reply = Reply(answer.status, _common(answer.headers, exchange))
        await reply.prepare(request)
        exchange.status = answer.status
        sender: FileSender | None = getattr(request.protocol, "file_sender", None)
        if sender is not None and answer.parts is not None and "Content-Length" in answer.headers:
            await _send_body(request, answer.parts, sender, exchange)
        elif answer.body is not None:
            await _send_body(request, answer.body, None, exchange)
        await request.writer.write_eof()
    except GatewayError as error:
        exchange.error = f"body broke off: {error}"
        exchange.code = error.code
        raise ConnectionAbortedError(exchange.error) from error
    finally:
        answer.close()
    return reply


async def _send_whole(request: web.BaseRequest, answer: BufferedResponse | Redirect, exchange: RequestRecord) -> Reply:
    reply, began = whole(answer, exchange), time.monotonic()
    await reply.prepare(request)
    note(reply, exchange, began)
    return reply


async def _send_body(
    request: web.BaseRequest, body: AsyncIterator[bytes | FilePart], sender: FileSender | None, exchange: RequestRecord
) -> None:
    """`sender` is for parts of files, where there are any."""
    writer = cast(StreamWriter, request.writer)
    async for part in body:
        if exchange.first_byte is None:
            exchange.first_byte = time.monotonic()
        if isinstance(part, FilePart):
            assert sender is not None
            async for sent in sender.send(part):
                exchange.sent_bytes += sent
            continue
        await writer.write(part, drain=False)
        exchange.sent_bytes += len(part)
        del part  # what the client is slow to take is held once, by the transport
        await writer.drain()


def _common(headers: dict[str, str], exchange: RequestRecord) -> dict[str, str]:
    return {**headers, "X-Request-ID": exchange.request_id, "Server": "gateway"}
