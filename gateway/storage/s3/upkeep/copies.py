"""Copies objects within one server, so that their bytes don't pass through here.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
"""

import asyncio
from collections.abc import Mapping

from gateway.errors import PreconditionFailedError
from gateway.http.target import encode_key
from gateway.storage.base import ObjectMetadata
from gateway.storage.s3.client import Request, SignedClient
from gateway.storage.s3.metadata import headers_of
from gateway.storage.s3.signing.sigv4 import canonical_query
from gateway.storage.s3.upload import ASSEMBLY_SECONDS, Uploads, answered_fields
from gateway.storage.upkeep import CopySource

# CopyObject takes up to 5 GB, but a server answers nothing until it has copied. In parts, that is not so long, and
# several are copied at once.
MOST_AT_ONCE_BYTES = 64 * 1024 * 1024
_PART_BYTES, _MOST_PARTS, _PARTS_AT_ONCE = 32 * 1024 * 1024, 10_000, 4
_CARRIED = ("content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires")
_USER_METADATA = "x-amz-meta-"


class Copies:
    """Copies with the encryption, ACL and storage class of the settings of the destination."""

    def __init__(self, client: SignedClient, uploads: Uploads) -> None:
        self._client = client
        self._uploads = uploads

    async def headers(self, path: str, etag: str) -> tuple[int, Mapping[str, str]]:
        """The size of an object, and its headers that a copy has too. Raises the errors of Upkeep.copy_source."""
        answer = (await self._client.perform(Request("HEAD", path))).upstream
        answer.close()
        said = answer.headers
        # Compared here, without If-Match: some servers ignore If-Match in a HEAD.
        if said.get("etag", "").strip('"') != etag.strip('"'):
            raise PreconditionFailedError(f"the object no longer has the ETag {etag}")
        carried = {name: value for name, value in said.items() if name in _CARRIED or name.startswith(_USER_METADATA)}
        return int(said.get("content-length", "0")), carried

    async def copy(
        self, source: CopySource, path: str, metadata: ObjectMetadata, *, only_new: bool, in_parts: bool
    ) -> str:
        """See Upkeep."""
        condition = {"if-none-match": "*"} if only_new else {}
        headers = {**source.headers, **headers_of(metadata), **self._uploads.options}
        if in_parts or source.size > MOST_AT_ONCE_BYTES:
            return await self._uploads.in_parts(
                path, headers, condition, lambda upload_id: self._copy_parts(source, path, upload_id)
            )
        # Tags are not carried over: that would need two permissions more, and they often say how long to keep a file.
        replace = {"x-amz-metadata-directive": "REPLACE", "x-amz-tagging-directive": "REPLACE"}
        signed = {**headers, **replace, **_from(source)}
        request = Request(
            "PUT",
            path,
            headers=condition,
            signed_headers=signed,
            repeatable=not only_new,
            answer_seconds=ASSEMBLY_SECONDS,
        )
        return (await answered_fields(await self._uploads.perform(request))).get("ETag", "")

    async def _copy_parts(self, source: CopySource, path: str, upload_id: str) -> list[str]:
        """Their ETags."""
        slots = asyncio.Semaphore(_PARTS_AT_ONCE)
        length = max(_PART_BYTES, -(-source.size // _MOST_PARTS))
        starts = range(0, max(source.size, 1), length)

        async def copy(number: int, start: int) -> str:
            headers = _from(source)
            if len(starts) > 1:
                headers["x-amz-copy-source-range"] = f"bytes={start}-{min(start + length, source.size) - 1}"
            query = canonical_query({"partNumber": str(number), "uploadId": upload_id})
            async with slots:
                request = Request("PUT", path, query, signed_headers=headers, answer_seconds=ASSEMBLY_SECONDS)
                answer = await self._uploads.perform(request)
                return (await answered_fields(answer)).get("ETag", "")

        tasks = [asyncio.create_task(copy(number, start)) for number, start in enumerate(starts, 1)]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise


def source_name(bucket: str, object_name: str) -> str:
    """As the header x-amz-copy-source has it; an access point has an ARN of its own form."""
    if bucket.startswith("arn:"):
        return f"{bucket}/object/{encode_key(object_name)}"
    return f"/{bucket}/{encode_key(object_name)}"


def _from(source: CopySource) -> dict[str, str]:
    return {"x-amz-copy-source": source.name, "x-amz-copy-source-if-match": source.etag}
