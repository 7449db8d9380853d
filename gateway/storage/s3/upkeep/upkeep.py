"""The Upkeep (see gateway/storage/upkeep.py) of a bucket."""

from collections.abc import AsyncIterator, Hashable
from dataclasses import replace

from gateway.config.storage_settings import StorageSettings
from gateway.errors import ACCESS_DENIED, NotFoundError, UpstreamError
from gateway.http.target import encode_key
from gateway.storage.base import ObjectMetadata
from gateway.storage.s3.client import SignedClient
from gateway.storage.s3.layout import Layout
from gateway.storage.s3.listing import Progress
from gateway.storage.s3.signing.sigv4 import canonical_query
from gateway.storage.s3.upkeep.copies import Copies, source_name
from gateway.storage.s3.upkeep.unfinished import NO_LISTING, Marker, UploadsPage, parameters, parse
from gateway.storage.s3.upload import Uploads
from gateway.storage.upkeep import CopySource, UnfinishedUpload


class S3Upkeep:
    """Keys are relative to `storage.prefix`, as everywhere."""

    def __init__(self, client: SignedClient, uploads: Uploads, layout: Layout, settings: StorageSettings) -> None:
        self._client = client
        self._uploads = uploads
        self._layout = layout
        self._settings = settings
        self._copies = Copies(client, uploads)

    @property
    def place(self) -> Hashable:
        """The server, and who asks it: a copy is made with the credentials of the destination."""
        settings = self._settings
        return settings.endpoint_url, settings.profile_name, settings.aws_access_key_id, settings.signature_version

    def now(self) -> float:
        return self._client.now()

    async def is_taken(self, key: str) -> bool:
        return False  # a bucket has no links

    async def unfinished(self) -> AsyncIterator[UnfinishedUpload]:
        after, progress = None, Progress()
        while True:
            page = await self._page(after)
            following = page.following
            token = f"{following.key}\0{following.id}" if following is not None else None
            progress.note(tuple((upload.key, upload.id) for upload in page.uploads), token)
            for upload in page.uploads:
                if (key := self._layout.key(upload.key)) is not None:
                    yield replace(upload, key=key)
            if following is None:
                return
            after = following

    async def give_up(self, upload: UnfinishedUpload) -> None:
        await self._uploads.abort(self._path(upload.key), upload.id)

    async def copy_source(self, key: str, etag: str) -> CopySource:
        size, headers = await self._copies.headers(self._path(key), etag)
        name = source_name(self._settings.bucket or "", self._layout.object_name(key))
        return CopySource(self.place, name, etag, size, headers)

    async def copy(
        self, source: CopySource, key: str, metadata: ObjectMetadata, *, only_new: bool, in_parts: bool
    ) -> str:
        return await self._copies.copy(source, self._path(key), metadata, only_new=only_new, in_parts=in_parts)

    async def _page(self, after: Marker | None) -> UploadsPage:
        try:
            return parse(await self._listing(after, encoded=False))
        except UpstreamError as error:
            if error.code != NO_LISTING:
                raise
            return parse(await self._listing(after, encoded=True))

    async def _listing(self, after: Marker | None, *, encoded: bool) -> bytes:
        query = canonical_query(parameters(self._layout.listing_prefix(""), after, encoded=encoded))
        path = "" if self._client.endpoint.base_path else "/"  # of the bucket: path style, or virtual-hosted
        try:
            answer = await self._client.send("GET", path, query=query)
        except NotFoundError as error:
            if error.code != ACCESS_DENIED:
                raise
            what = f"unfinished uploads may not be listed (s3:ListBucketMultipartUploads): {error.detail}"
            raise UpstreamError(what, code=error.code, upstream_status=error.upstream_status) from error
        return await answer.upstream.read_listing(answer.first)

    def _path(self, key: str) -> str:
        return "/" + encode_key(self._layout.object_name(key))
