"""Writes objects to the bucket: in one request, or as a multipart upload if they are large."""

import asyncio
import hashlib
import logging
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from html import unescape
from xml.sax.saxutils import escape

from gateway.config.storage_settings import StorageSettings
from gateway.errors import (
    ACCESS_DENIED,
    GatewayError,
    NotFoundError,
    PreconditionFailedError,
    UpstreamError,
)
from gateway.executors import HASH
from gateway.single_flight import to_its_end
from gateway.storage.base import ObjectMetadata
from gateway.storage.s3.client import Answer, Request, SignedClient
from gateway.storage.s3.errors import parse
from gateway.storage.s3.metadata import headers_of
from gateway.storage.s3.signing.sigv4 import canonical_query

# S3 takes at most 10,000 parts, and only the last may be under 5 MiB: objects can have up to 80 GB.
PART_BYTES = 8 * 1024 * 1024
# S3 may take minutes to put the parts of an upload together, and sends a space now and then meanwhile. Others send
# nothing. https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
ASSEMBLY_SECONDS = 300.0
_NO_SUCH_UPLOAD = "NoSuchUpload"
_XML_FIELD = re.compile(rb"<(UploadId|ETag)>([^<]{1,2048})</\1>")

log = logging.getLogger("gateway.storage")


class Uploads:
    """Writes objects with the encryption, ACL and storage class of the settings. Holds two parts in memory at most."""

    def __init__(self, client: SignedClient, settings: StorageSettings) -> None:
        self._client = client
        options = {
            "x-amz-server-side-encryption": settings.server_side_encryption,
            "x-amz-server-side-encryption-aws-kms-key-id": settings.sse_kms_key_id,
            "x-amz-acl": settings.object_acl,
            "x-amz-storage-class": settings.storage_class,
        }
        self.options = {name: value for name, value in options.items() if value is not None}

    async def put(
        self,
        path: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str,
        cache_control: str | None,
        only_new: bool,
        replaces: str | None,
        metadata: ObjectMetadata | None,
    ) -> str:
        """See base.py. The object is not visible before it is complete."""
        signed = {"content-type": content_type, **self.options}
        if cache_control is not None:
            signed["cache-control"] = cache_control
        condition = {"if-none-match": "*"} if only_new else {"if-match": replaces} if replaces is not None else {}
        parts = _parts(chunks)
        first = await anext(parts, memoryview(b""))
        second = await anext(parts, memoryview(b""))
        if metadata is not None:
            if metadata.sha256 is None and not second:
                metadata = replace(metadata, sha256=(await HASH.run(hashlib.sha256, first)).hexdigest())
            signed |= headers_of(replace(metadata, uploaded=metadata.uploaded or time.time()))
        try:
            if second:
                pieces = _chain([first, second], parts)
                return await self.in_parts(
                    path, signed, condition, lambda upload_id: self._send_parts(path, upload_id, pieces)
                )
            repeatable = not condition
            request = Request("PUT", path, headers=condition, signed_headers=signed, body=first, repeatable=repeatable)
            return _etag(await self.perform(request))
        except NotFoundError as error:
            if replaces is None:
                raise
            raise PreconditionFailedError(f"there is no object to replace: {error.detail}") from error

    async def delete(self, path: str) -> None:
        """Deletes an object. An absent object counts as deleted."""
        with suppress(NotFoundError):
            (await self.perform(Request("DELETE", path))).upstream.close()

    async def perform(self, request: Request) -> Answer:
        """Sends a request that writes. Raises UpstreamError if that is not permitted, and the error that remains."""
        try:
            return await self._client.perform(request)
        except NotFoundError as error:
            if error.code != ACCESS_DENIED:
                raise
            # AccessDenied may mean an absent object when a key is read, but not when it is written.
            what = f"writing is not permitted (s3:PutObject, s3:DeleteObject): {error.detail}"
            raise UpstreamError(what, code=error.code, upstream_status=error.upstream_status) from error

    async def in_parts(
        self,
        path: str,
        signed: Mapping[str, str],
        condition: Mapping[str, str],
        send: Callable[[str], Awaitable[list[str]]],
    ) -> str:
        """Writes an object as an upload in parts, which is given up if anything fails. `send` sends the parts of the
        upload with this id, and returns their ETags. Returns the object's ETag."""
        beginning = asyncio.ensure_future(self._begin(path, signed))
        try:
            upload_id = await to_its_end(beginning)  # nobody else knows the id, without which it can't be aborted
            etags = await send(upload_id)
            return await self._complete(path, upload_id, etags, condition)
        except BaseException:
            if not beginning.cancelled() and beginning.exception() is None:
                await to_its_end(asyncio.ensure_future(self._clean_up(path, beginning.result())))
            raise

    async def _begin(self, path: str, signed: Mapping[str, str]) -> str:
        """The id of a new upload in parts."""
        answer = await self.perform(Request("POST", path, "uploads=", signed_headers=signed))
        upload_id = (await answered_fields(answer)).get("UploadId")
        if upload_id is None:
            raise UpstreamError("the bucket started a multipart upload without an UploadId")
        return upload_id

    async def _send_parts(self, path: str, upload_id: str, parts: AsyncIterator[memoryview]) -> list[str]:
        """Their ETags. While one part is sent, the next one arrives and is hashed; those before have been sent then."""
        etags: list[str] = []
        sending: asyncio.Task[Answer] | None = None
        try:
            async for part in parts:
                digest = (await HASH.run(hashlib.sha256, part)).hexdigest()
                if sending is not None:
                    etags.append(_etag(await sending))
                query = canonical_query({"partNumber": str(len(etags) + 1), "uploadId": upload_id})
                sending = asyncio.create_task(self.perform(Request("PUT", path, query, body=part, payload_hash=digest)))
                del part
            if sending is not None:
                etags.append(_etag(await sending))
        except BaseException:
            if sending is not None:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            raise
        return etags

    async def _complete(self, path: str, upload_id: str, etags: list[str], condition: Mapping[str, str]) -> str:
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{parts}</CompleteMultipartUpload>'
        query = canonical_query({"uploadId": upload_id})
        request = Request(
            "POST", path, query, condition, body=body.encode(), repeatable=False, answer_seconds=ASSEMBLY_SECONDS
        )
        return (await answered_fields(await self.perform(request))).get("ETag", "")

    async def abort(self, path: str, upload_id: str) -> None:
        """Gives an upload in parts up. One that is gone counts as given up. Raises GatewayErrors."""
        query = canonical_query({"uploadId": upload_id})
        try:
            (await self.perform(Request("DELETE", path, query))).upstream.close()
        except GatewayError as error:
            if error.code != _NO_SUCH_UPLOAD:  # it may have been completed, and the answer to that was lost
                raise

    async def _clean_up(self, path: str, upload_id: str) -> None:
        """Aborts a multipart upload: otherwise its parts would stay and cost money."""
        try:
            await self.abort(path, upload_id)
        except GatewayError as error:
            log.warning("an unfinished upload could not be aborted, and its parts stay in the bucket: %s", error)


async def _parts(chunks: AsyncIterable[bytes]) -> AsyncIterator[memoryview]:
    """Regroups the bytes into pieces of PART_BYTES; the last may be shorter. They take turns in two buffers, because
    fresh memory would cost more than the copy: a piece is overwritten when the next but one is asked for. A buffer
    grows as it is filled for the first time: most objects are small, and many are written at once."""
    buffer, other = bytearray(), bytearray()
    length = 0
    async for chunk in chunks:
        left = memoryview(chunk)
        while left:
            taken = left[: PART_BYTES - length]
            if len(buffer) == PART_BYTES:
                memoryview(buffer)[length : length + len(taken)] = taken
            else:
                buffer += taken
            left, length = left[len(taken) :], length + len(taken)
            if length == PART_BYTES:
                yield memoryview(buffer)
                buffer, other, length = other, buffer, 0
    if length:
        yield memoryview(buffer)[:length]


async def _chain(first: list[memoryview], others: AsyncIterator[memoryview]) -> AsyncIterator[memoryview]:
    while first:
        yield first.pop(0)
    async for part in others:
        yield part


def _etag(answer: Answer) -> str:
    answer.upstream.close()
    return answer.upstream.headers.get("etag", "")


async def answered_fields(answer: Answer) -> dict[str, str]:
    """The fields of an XML answer. While S3 assembles parts, or copies, it may answer 200 with an error in the body."""
    body = await answer.upstream.read_listing(answer.first)
    if b"<Error>" in body:
        raise parse(500, answer.upstream.headers, body).error()
    return {name.decode(): unescape(value.decode()) for name, value in _XML_FIELD.findall(body)}
