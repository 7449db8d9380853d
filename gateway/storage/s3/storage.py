"""Objects in an S3 bucket, reached by signed requests or through a CloudFront distribution."""

import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Container, Mapping

from gateway.cache.lru import MemoryLimit
from gateway.config.storage_settings import StorageSettings
from gateway.errors import (
    ACCESS_DENIED,
    CredentialsError,
    GatewayError,
    NotFoundError,
    RangeNotSatisfiableError,
    UpstreamError,
)
from gateway.executors import AWS
from gateway.http.target import encode_key
from gateway.messages import Endpoint, ObjectRequest, Stream
from gateway.storage.base import Batch, Children, ObjectMetadata, StoredObject
from gateway.storage.s3 import ahead
from gateway.storage.s3.absence import Absence
from gateway.storage.s3.bucket import Bucket
from gateway.storage.s3.clients import S3Clients, reach, reads_as
from gateway.storage.s3.layout import Layout
from gateway.storage.s3.origins import cloudfront
from gateway.storage.s3.origins.presigned_urls import KeyedLinks
from gateway.storage.s3.signing.credentials import CredentialSource
from gateway.storage.s3.stream import stream_of
from gateway.storage.s3.upkeep.upkeep import S3Upkeep
from gateway.storage.s3.upload import Uploads
from gateway.upstream.circuits import Circuits

# How long listing stays off after a refusal: the permission may be granted meanwhile, or the refusal was an outage.
_REFUSED_SECONDS = 60.0
# After a failed listing, refused objects count as an outage for this long without another listing.
_UNTOLD_SECONDS = 5.0
# S3's limit, in UTF-8.
_MAX_KEY_BYTES = 1024

log = logging.getLogger("gateway.storage")


class S3Storage:
    """A Backend (see base.py) over one bucket, read directly or through its CloudFront distribution."""

    local = False

    def __init__(
        self,
        settings: StorageSettings,
        credentials: CredentialSource,
        signed: MemoryLimit,
        *,
        index_document: str,
        on_fault: Callable[[str], None] = lambda label: None,
        circuits: Circuits | None = None,
        website_redirects: bool = False,
    ) -> None:
        """`signed` is the memory for signed queries. `on_fault` is called with the S3 code of every error answer of
        the bucket, retried ones included. With `website_redirects`, streams tell where an object redirects to.

        Raises ConfigError for a CloudFront key that can't be used.
        """
        self.credentials = credentials
        self._settings = settings
        self._signed = signed
        self._index_document = index_document
        self._on_fault = on_fault
        self._circuits = circuits
        self._website_redirects = website_redirects
        self._layout = Layout(settings.prefix, prepend_hash=settings.prepend_hash, index_document=index_document)
        self._signer = cloudfront.signer(settings) if settings.backend == "cloudfront" else None
        self._absence = Absence()
        # With hashes in front of keys, directories can't be listed.
        self._list_from = float("inf") if settings.prepend_hash else float("-inf")  # on the monotonic clock
        self._tell_from = float("-inf")  # on the monotonic clock
        self._reach: S3Clients | None = None
        self.links: KeyedLinks
        self._bucket: Bucket
        self.upkeep: S3Upkeep
        self._uploads: Uploads

    def __str__(self) -> str:
        settings = self._settings
        through = f", read through {settings.cloud_front_domain}" if settings.backend == "cloudfront" else ""
        return f"S3 bucket {settings.bucket} at {self.endpoint.origin}{self.endpoint.base_path}{through}"

    @property
    def endpoint(self) -> Endpoint:
        return self._reached.bucket.endpoint

    @property
    def signs(self) -> bool:
        """Whether requests are signed, so that credentials are needed."""
        return self._settings.signature_version != "unsigned"

    @property
    def _reached(self) -> S3Clients:
        assert self._reach is not None, "start() comes first"
        return self._reach

    async def start(self) -> None:
        """Resolves the endpoint and loads credentials. Raises ConfigError if no endpoint fits, or a certificate can't
        be used."""
        settings = self._settings
        endpoint = await self._resolve(None)
        if self.signs:
            try:
                await self.credentials.get()
            except CredentialsError as error:
                log.error("%s; `gateway check` tells more", error)  # they may appear later; /ready reports it
        self._reach = reached = await AWS.run(
            reach,
            settings,
            endpoint,
            self.credentials,
            self._signer,
            self._signed,
            relocate=self._resolve,
            on_fault=self._on_fault,
            circuits=self._circuits,
        )
        self._bucket = Bucket(reached.bucket, self._layout, self._absence)
        self._uploads = Uploads(reached.bucket, settings)
        self.upkeep = S3Upkeep(reached.bucket, self._uploads, self._layout, settings)
        self.links = KeyedLinks(reached.origin, reached.links, reached.reading, self._path)
        if settings.create_bucket:
            await self._bucket.create()

    async def close(self) -> None:
        await self.credentials.close()
        if self._reach is not None:
            await self._reach.client.close()

    @property
    def identity(self) -> str:
        endpoint, settings = self.endpoint, self._settings
        redirects = " website" if self._website_redirects else ""  # objects without their redirects are others
        hashed = f" hash {self._index_document}" if settings.prepend_hash else ""  # keys stand for others, too
        reader = f" as {way}" if (way := reads_as(settings)) else ""  # what one may read, another may not
        return f"{endpoint.origin}{endpoint.base_path} {settings.bucket} {settings.prefix}{redirects}{hashed}{reader}"

    async def fetch(self, request: ObjectRequest) -> Stream:
        """Raises the error that remains after all remedies."""
        path = self._path(request.key)
        if request.version:
            return await self._bucket.version(request, path)
        try:
            if request.uncached:
                answer = await self._reached.direct.send(request.method, path, headers=request.headers)
            else:
                answer = await self._reached.origin.open(request.method, path, dict(request.headers))
        except NotFoundError as error:
            outage = self._absence.outage(error)
            if outage is not None and not await self._is_unlisted(request.key):
                raise outage from error
            raise
        self._absence.given_out()
        return stream_of(request, answer, website_redirects=self._website_redirects)

    async def _is_unlisted(self, key: str) -> bool:
        """Whether a listing shows that the object does not exist. Credentials that may list the whole bucket but read
        only a part get AccessDenied for every key outside that part."""
        if time.monotonic() < max(self._list_from, self._tell_from):
            return False
        try:
            return key not in [item.key async for item in self._bucket.list(key, limit=1)]
        except GatewayError:
            self._tell_from = time.monotonic() + _UNTOLD_SECONDS
            return False

    async def url(self, key: str, *, method: str = "GET", lifetime: int | None = None) -> str:
        path = self._path(key)
        origin = self._reached.origin
        grant = await origin.grant(method, path, None, lifetime or self._settings.expire_after)
        return f"{origin.url(path)}?{grant.query}" if grant.query else origin.url(path)

    async def put(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        cache_control: str | None = None,
        only_new: bool = False,
        replaces: str | None = None,
        metadata: ObjectMetadata | None = None,
    ) -> str:
        return await self._uploads.put(
            self._path(key),
            chunks,
            content_type=content_type or "application/octet-stream",
            cache_control=cache_control,
            only_new=only_new,
            replaces=replaces,
            metadata=metadata,
        )

    async def delete(self, key: str) -> None:
        await self._uploads.delete(self._path(key))

    async def is_directory(self, key: str) -> bool:
        if len(key) > _MAX_KEY_BYTES:
            return False  # no object has a longer key, so none lies below this one
        if time.monotonic() >= self._list_from:
            try:
                return bool([item async for item in self._bucket.list(key, limit=1)])
            except GatewayError as error:
                if error.code != ACCESS_DENIED:
                    raise
                self._list_from = time.monotonic() + _REFUSED_SECONDS
                log.warning("no permission to list the bucket (s3:ListBucket); directories are found by their index")
        for candidate in (key + self._index_document, key):
            try:
                # Not HEAD: if the object is absent, a second request would be needed to learn why.
                (await self.fetch(ObjectRequest("GET", candidate, {"range": "bytes=0-0"}))).close()
                return True
            except RangeNotSatisfiableError:
                return True  # the object exists and is empty
            except NotFoundError:
                pass
        return False

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        return await self._bucket.children(prefix, limit=limit, after=after)

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        return await self._bucket.metadata(self._path(key), etag)

    def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        return self._bucket.list(prefix, limit=limit)

    def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        return self._bucket.batches(prefix, known)

    def expire(self) -> None:
        """Nothing is cached."""

    def forget(self, key: str) -> None:
        """Nothing is cached."""

    async def check(self) -> dict[str, str]:
        found = {
            "backend": self._settings.resolved_backend,
            "bucket": self._settings.bucket or "",
            "region": self.endpoint.region,
            "endpoint": self.endpoint.origin,
            "credentials": (await self.credentials.get()).provider if self.signs else "none: unsigned",
        }
        try:
            sample = await self._bucket.first()
        except GatewayError as error:
            if error.code != ACCESS_DENIED:
                raise
            # The bucket accepts our credentials; whether they may read objects shows only when one is read.
            found["note"] = "no permission to list the bucket (s3:ListBucket)"
            return found
        if self._settings.backend == "cloudfront" and sample is not None:
            await self._check_distribution(sample.key)
        return found

    async def diagnose(self) -> AsyncIterator[tuple[str, str]]:
        configured = self.endpoint.region
        if self.signs:
            credentials = await self.credentials.get()
            yield "credentials", f"{credentials.masked} from {credentials.provider}"
        else:
            yield "credentials", "none: storage.signature_version is unsigned"
        found = await self.check()
        region = self.endpoint.region
        yield "bucket", f"answers in region {region}"
        if region != configured:
            yield "", f"The region was learnt from the storage's answer; set storage.region_name to {region}."
        if note := found.get("note"):
            yield "", f"Note: {note}. Paths without a slash find directories more slowly, and nothing can be listed."

    def stats(self) -> Mapping[str, int]:
        return self._reached.client.stats()

    def credentials_expire_at(self) -> float | None:
        return self.credentials.expires_at() if self.signs else None

    async def _check_distribution(self, object_name: str) -> None:
        """Reads an object that exists: AccessDenied can then only be an error, not S3's answer for an absent object."""
        path = "/" + encode_key(object_name)
        try:
            (await self._reached.origin.open("HEAD", path, {})).upstream.close()
        except NotFoundError as error:
            what = f"the distribution refuses an object that exists in the bucket ({error.detail})"
            raise UpstreamError(what, code="DistributionDenied") from error

    def _path(self, key: str) -> str:
        """Raises NotFoundError for a key that is another one's with its hash: each object has one key."""
        if self._layout.is_alias(key):
            raise NotFoundError("a key with the hash of another one")
        return "/" + encode_key(self._layout.object_name(key))

    async def _resolve(self, region: str | None) -> Endpoint:
        return await AWS.run(ahead.endpoint, self._settings, region)
