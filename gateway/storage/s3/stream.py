"""Streams for clients, made from the bucket's answers."""

from gateway.http.headers import WEBSITE_REDIRECT, to_client
from gateway.messages import ObjectRequest, Stream
from gateway.storage.s3.client import Answer
from gateway.storage.s3.metadata import sha256_of


def stream_of(request: ObjectRequest, answer: Answer, *, website_redirects: bool = False) -> Stream:
    """Makes a Stream with the part of the bucket's answer that a client may see; and where the object redirects to, if
    `website_redirects`."""
    upstream = answer.upstream
    headers = to_client(upstream.headers, request.key)
    if website_redirects and (location := upstream.headers.get(WEBSITE_REDIRECT)) is not None:
        headers[WEBSITE_REDIRECT] = location
    if upstream.status == 304:
        headers.pop("Content-Length", None)
    if request.method == "HEAD" or upstream.status == 304:
        return Stream(upstream.status, headers, None, upstream.close, upstream.status)
    whole = headers.get("Content-Length") == str(len(answer.first))
    return Stream(
        upstream.status,
        headers,
        _Body(answer),
        upstream.close,
        upstream.status,
        content=answer.first if whole else None,
        sha256=sha256_of(upstream.headers),
        may_resume=upstream.may_be_sent_again,
    )


class _Body:
    """The body of one answer, in chunks as they arrive. Not a generator: a generator would keep the last chunk in
    memory."""

    __slots__ = ("_first", "_upstream")

    def __init__(self, answer: Answer) -> None:
        self._first = answer.first
        self._upstream = answer.upstream

    def __aiter__(self) -> "_Body":
        return self

    async def __anext__(self) -> bytes:
        chunk, self._first = self._first, b""
        if chunk := chunk or await self._upstream.read():
            return chunk
        raise StopAsyncIteration
