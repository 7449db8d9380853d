"""Operations on the bucket itself: listing it, and creating it if it is missing; and versions of its objects."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Container
from dataclasses import replace

from gateway.errors import GatewayError, NotFoundError, PreconditionFailedError, UpstreamError
from gateway.executors import LISTINGS
from gateway.messages import Endpoint, ObjectRequest, Stream
from gateway.storage.base import Batch, Children, ObjectMetadata, StoredObject
from gateway.storage.s3 import listing
from gateway.storage.s3.absence import Absence
from gateway.storage.s3.client import Request, SignedClient
from gateway.storage.s3.errors import IMPOSSIBLE_KEY
from gateway.storage.s3.layout import Layout
from gateway.storage.s3.metadata import metadata_of
from gateway.storage.s3.signing.sigv4 import canonical_query
from gateway.storage.s3.stream import stream_of
from gateway.storage.s3.sweep import Sweep

_CREATE = '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>{}</LocationConstraint></CreateBucketConfiguration>'
# Longer listings are parsed in a thread: a thousand objects take some 10 ms.
_LONG_BYTES = 32 * 1024
# An id that is none, one that is unknown, and that of a mark that says that the object was deleted.
_NO_VERSION = frozenset({400, 404, 405})
# The one region that must not be sent as a LocationConstraint.
_FIRST_REGION = "us-east-1"

log = logging.getLogger("gateway.storage")


class Bucket:
    """Lists one bucket, by the keys of its layout."""

    def __init__(self, client: SignedClient, layout: Layout, absence: Absence) -> None:
        self._client = client
        self._absence = absence
        self._layout = layout

    async def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        """See base.py."""
        found, progress = 0, listing.Progress()
        token: str | None = None
        while limit is None or found < limit:
            page = await self._page(prefix, limit=limit, token=token)
            progress.note(tuple(item.key for item in page.objects), page.next_token)
            for item in page.objects:
                key = self._layout.key(item.key)
                if key is None or not key.startswith(prefix):
                    continue
                yield replace(item, key=key)
                found += 1
                if found == limit:
                    return
            token = page.next_token
            if token is None:
                return

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        """See base.py."""
        before = self._layout.object_name(prefix)
        start = before + after if after else ""
        objects: list[StoredObject] = []
        folders: list[str] = []
        token: str | None = None
        progress = listing.Progress()
        while True:
            left = None if limit is None else limit - len(objects) - len(folders)
            page = await self._page(prefix, limit=left, token=token, delimiter="/", after=start)
            found = (*(item.key for item in page.objects), *page.folders)
            progress.note(found, page.next_token)
            if not all(name.startswith(before) for name in found):
                raise UpstreamError("the listing is of another directory than the one requested")
            objects += [replace(item, key=prefix + item.key.removeprefix(before)) for item in page.objects]
            # What lies in a directory follows its name, so that S3 tells the directory once more.
            names = [name for folder in page.folders if (name := folder.removeprefix(before)) != after]
            folders += [name.removesuffix("/") for name in names]
            token = page.next_token
            if token is None or (limit is not None and len(objects) + len(folders) >= limit):
                return Children(tuple(objects), tuple(folders), more=token is not None)

    def batches(self, prefix: str, known: Container[bytes]) -> AsyncGenerator[Batch, None]:
        """See base.py."""
        return Sweep(self._body, self._layout, prefix, known).batches()

    async def version(self, request: ObjectRequest, path: str) -> Stream:
        """One version of an object. A refusal is no sign of an outage: this takes a permission of its own
        (s3:GetObjectVersion)."""
        query = canonical_query({"versionId": request.version})
        try:
            answer = await self._client.send(request.method, path, query=query, headers=request.headers)
        except UpstreamError as error:
            if error.upstream_status not in _NO_VERSION:
                raise
            raise NotFoundError(error.detail, code=error.code, upstream_status=error.upstream_status) from error
        return stream_of(request, answer)

    async def metadata(self, path: str, etag: str) -> ObjectMetadata:
        """See base.py."""
        request = Request("HEAD", path, signed_headers={"x-amz-checksum-mode": "ENABLED"})
        answer = (await self._client.perform(request)).upstream
        answer.close()
        # Compared here, without If-Match: some servers ignore If-Match in a HEAD.
        if etag and answer.headers.get("etag", "").strip('"') != etag.strip('"'):
            raise PreconditionFailedError(f"the object no longer has the ETag {etag}")
        return metadata_of(answer.headers)

    async def first(self) -> StoredObject | None:
        """Returns any object, None if there is none. Raises the error of a listing that fails."""
        page = await self._page("", limit=1)
        return page.objects[0] if page.objects else None

    async def create(self) -> None:
        """Creates the bucket if it does not exist. Logs failures; /ready will report them."""
        try:
            await self._page("", limit=1)
        except GatewayError as error:
            if error.code != "NoSuchBucket":
                return
            try:
                request = Request("PUT", self._path, body=_configuration(self._client.endpoint))
                (await self._client.perform(request)).upstream.close()
                log.warning("the bucket did not exist and has been created in %s", self._client.endpoint.region)
            except GatewayError as refused:
                log.error("the bucket does not exist and can't be created: %s", refused)

    @property
    def _path(self) -> str:
        # A path-style bucket is at `/bucket`, a virtual-hosted one at `/`.
        return "" if self._client.endpoint.base_path else "/"

    async def _page(
        self, prefix: str, *, limit: int | None, token: str | None = None, delimiter: str = "", after: str = ""
    ) -> listing.ListingPage:
        most = listing.MAX_KEYS if limit is None or self._layout.prepend_hash else limit
        try:
            names, start = self._layout.listing_prefix(prefix), after if token is None else ""
            body = await self._body(names, limit=most, token=token, delimiter=delimiter, after=start)
        except NotFoundError as error:
            if prefix and error.code in IMPOSSIBLE_KEY:
                return listing.ListingPage([], [], None)
            raise
        return await LISTINGS.run(listing.parse, body) if len(body) > _LONG_BYTES else listing.parse(body)

    async def _body(
        self,
        prefix: str,
        *,
        token: str | None = None,
        after: str = "",
        limit: int = listing.MAX_KEYS,
        delimiter: str = "",
    ) -> bytes:
        query = listing.parameters(prefix, limit=limit, token=token, delimiter=delimiter, after=after)
        answer = await self._client.send("GET", self._path, query=canonical_query(query))
        if answer.upstream.status != 200:  # with a 204 or 206, the bucket would seem to be empty
            answer.upstream.close()
            raise UpstreamError(f"the storage answered a listing with {answer.upstream.status}", code="NoListing")
        body = await answer.upstream.read_listing(answer.first)
        self._absence.listed()
        return body


def _configuration(endpoint: Endpoint) -> bytes:
    return b"" if endpoint.region == _FIRST_REGION else _CREATE.format(endpoint.region).encode()
