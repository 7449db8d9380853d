"""The one place that turns an answer into bytes for the client."""

import time
from collections.abc import AsyncIterator
from typing import cast

from aiohttp import web
from aiohttp.http import StreamWriter

from gateway.errors import GatewayError, UpstreamError
from gateway.http.cache_status import fetched
from gateway.http.target import location
from gateway.messages import Answer, BufferedResponse, FilePart, Redirect, RequestRecord, Stream
from gateway.server.connections.sendfile import FileSender
from gateway.server.reply import Reply
from gateway.transfer.open_file import throw_into


def whole(answer: BufferedResponse | Redirect, record: RequestRecord, *, close: bool = False) -> Reply:
    """The reply for an answer without a stream, not sent yet."""
    if isinstance(answer, Redirect):
        headers = _common(answer.headers | {"Location": location(answer.location)}, record)
        return Reply(answer.status, headers, b"", close=close, fresh_for=answer.fresh_for, cookies=answer.cookies)
    return Reply(
        answer.status,
        _common(answer.headers, record),
        answer.body,
        close=close,
        fresh_for=answer.fresh_for,
        reason=answer.reason,
        cookies=answer.cookies,
    )


def note(reply: Reply, record: RequestRecord, began: float) -> None:
    """Records, for the log and the metrics, that `reply` was sent from `began` on."""
    record.status = reply.status
    record.first_byte = began
    if record.method != "HEAD":
        record.sent_bytes = len(reply.body or b"")


async def send(request: web.BaseRequest, answer: Answer, record: RequestRecord) -> Reply:
    """Sends the answer as fast as the client takes it and no faster, and notes in `record` what was sent.

    If the body breaks off, raises ConnectionError: aiohttp then closes the connection before the client has got as many
    bytes as Content-Length promised.
    """
    if not isinstance(answer, Stream):
        return await _send_whole(request, answer, record)
    record.upstream_status = answer.upstream_status
    record.cache = answer.cache
    record.fetched = fetched(answer.headers.get("Cache-Status", ""))
    if answer.content is not None:
        answer.close()
        page = BufferedResponse(answer.status, answer.content, answer.headers, fresh_for=answer.fresh_for)
        return await _send_whole(request, page, record)
    try:
        reply = Reply(answer.status, _common(answer.headers, record))
        await reply.prepare(request)
        record.status = answer.status
        sender: FileSender | None = getattr(request.protocol, "file_sender", None)
        if sender is not None and answer.parts is not None and "Content-Length" in answer.headers:
            await _send_body(request, answer.parts, sender, record)
        elif answer.body is not None:
            await _send_body(request, answer.body, None, record)
        await request.writer.write_eof()
    except GatewayError as error:
        record.error = f"body broke off: {error}"
        record.code = error.code
        raise ConnectionAbortedError(record.error) from error
    finally:
        answer.close()
    return reply


async def _send_whole(request: web.BaseRequest, answer: BufferedResponse | Redirect, record: RequestRecord) -> Reply:
    reply, began = whole(answer, record), time.monotonic()
    await reply.prepare(request)
    note(reply, record, began)
    return reply


async def _send_body(
    request: web.BaseRequest, body: AsyncIterator[bytes | FilePart], sender: FileSender | None, record: RequestRecord
) -> None:
    """`sender` sends the parts of files; it is None if there are none."""
    writer = cast(StreamWriter, request.writer)
    async for part in body:
        if record.first_byte is None:
            record.first_byte = time.monotonic()
        if isinstance(part, FilePart):
            assert sender is not None
            try:
                async for sent in sender.send(part):
                    record.sent_bytes += sent
            except UpstreamError as error:
                await throw_into(body, error)
                raise
            continue
        await writer.write(part, drain=False)
        record.sent_bytes += len(part)
        del part  # bytes that the client is slow to read are held once, by the transport
        await writer.drain()


def _common(headers: dict[str, str], record: RequestRecord) -> dict[str, str]:
    return {**headers, "X-Request-ID": record.request_id, "Server": "gateway"}
