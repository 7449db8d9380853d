"""Objects in an S3 bucket: streamed through signed requests, or redirected to signed URLs."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Container
from contextlib import aclosing

from gateway.cache.aged import AgedCache
from gateway.cache.disk import DiskCache
from gateway.cache.lru import MemoryLimit
from gateway.cache.patience import Patience
from gateway.config import CacheSettings, ParallelSettings, StorageSettings
from gateway.edge.paths import encode_key
from gateway.errors import GatewayError, NotFoundError, UpstreamError
from gateway.executors import AWS
from gateway.model import Endpoint, ObjectRequest, Redirect, Stream
from gateway.signing.credentials import CredentialSource
from gateway.storage import cloudfront
from gateway.storage.base import Batch, Children, Facts, StoredObject
from gateway.storage.bucket import Bucket
from gateway.storage.build import Reach, reach
from gateway.storage.cached import CachedReader
from gateway.storage.circuits import Circuits
from gateway.storage.delivery import Delivery
from gateway.storage.endpoint import resolve
from gateway.storage.layout import Layout
from gateway.storage.reader import ObjectReader
from gateway.storage.upload import Uploads

_ACCESS_DENIED = "AccessDenied"
# How long a refused listing is believed: the permission may have been given since, or the refusal was an outage.
_REFUSED_SECONDS = 60.0
_DIRECTORIES_BYTES = 2 * 1024 * 1024
# S3's limit, in UTF-8.
_MAX_KEY_BYTES = 1024

log = logging.getLogger("gateway.storage")


class S3Storage:
    """A Storage (see base.py) over one bucket, read directly or through its CloudFront distribution."""

    def __init__(
        self,
        settings: StorageSettings,
        credentials: CredentialSource,
        *,
        index_document: str,
        cache: CacheSettings | None = None,
        parallel: ParallelSettings | None = None,
        on_fault: Callable[[str], None] = lambda label: None,
        circuits: Circuits | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Without `cache` nothing is kept in memory. `on_fault` hears of every error answer of the bucket, by its S3
        code, retried ones included. `circuits` and `patience` are for those who want to know of outages, too.

        Raises ConfigError for a CloudFront key that can't be used.
        """
        self.credentials = credentials
        self._settings = settings
        self._index_document = index_document
        self._on_fault = on_fault
        self._circuits = circuits
        self._patience = patience or Patience()
        self._parallel = parallel or ParallelSettings()
        self._cache = cache if cache is not None and (cache.memory_bytes or cache.dir) else None
        self._layout = Layout(settings.prefix, prepend_hash=settings.prepend_hash, index_document=index_document)
        self._signer = cloudfront.signer(settings) if settings.backend == "cloudfront" else None
        # Below hashes, directories can't be listed.
        self._list_from = float("inf") if settings.prepend_hash else float("-inf")  # on the monotonic clock
        # Each 404 asks whether its key is a directory.
        self._directories: AgedCache[str, bool] = AgedCache(
            self._look_for_directory,
            fresh_seconds=(cache or CacheSettings()).ttl_missing,
            stale_seconds=0,
            name="directories",
            memory=MemoryLimit(_DIRECTORIES_BYTES),
        )
        self._reach: Reach | None = None
        self._bucket: Bucket
        self._reader: ObjectReader
        self._cached: CachedReader | None = None
        self._delivery: Delivery
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
        """Whether there are credentials to be had."""
        return self._settings.signature_version != "unsigned"

    @property
    def _reached(self) -> Reach:
        assert self._reach is not None, "it is started first"
        return self._reach

    async def start(self) -> None:
        """Resolves the endpoint and gets credentials, side by side. Raises ConfigError if no endpoint fits, or a
        certificate can't be used."""
        settings = self._settings
        wanted = [self._resolve(None), self.credentials.get()] if self.signs else [self._resolve(None)]
        endpoint, *credentials = await asyncio.gather(*wanted, return_exceptions=True)
        if not isinstance(endpoint, Endpoint):
            raise endpoint
        for failed in credentials:
            if isinstance(failed, BaseException):
                log.error("%s", failed)  # they may come later; /ready says so meanwhile
        self._reach = reached = await AWS.run(
            reach,
            settings,
            endpoint,
            self.credentials,
            self._signer,
            relocate=self._resolve,
            on_fault=self._on_fault,
            circuits=self._circuits,
        )
        self._bucket = Bucket(reached.bucket, self._layout)
        self._uploads = Uploads(reached.bucket, settings)
        self._reader = ObjectReader(reached.origin, self._path, self._parallel)
        if self._cache is not None:
            self._cached = CachedReader(self._reader, self._cache, self._disk(), self._patience)
        self._delivery = Delivery(
            reached.origin,
            reached.links,
            self._cached.open if self._cached is not None else self._reader.open,
            self._path,
            mode=settings.redirect_urls,
            min_size=settings.redirect_min_size,
            stream_user_agents=settings.stream_user_agents,
            check=settings.redirect_check,
            proven=lambda: reached.reading.proven,
        )
        if settings.create_bucket:
            await self._bucket.create()

    async def close(self) -> None:
        await self.credentials.close()
        await self._directories.close()
        if self._cached is not None:
            await self._cached.close()
        if self._reach is not None:
            await self._reach.client.close()

    async def fetch(self, request: ObjectRequest) -> Stream | Redirect:
        return await self._delivery.answer(request)

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
        only_new: bool = False,
        replaces: str | None = None,
        facts: Facts | None = None,
    ) -> str:
        try:
            return await self._uploads.put(
                self._path(key),
                chunks,
                content_type=content_type or "application/octet-stream",
                only_new=only_new,
                replaces=replaces,
                facts=facts,
            )
        finally:
            self._forget(key)

    async def delete(self, key: str) -> None:
        try:
            await self._uploads.delete(self._path(key))
        finally:
            self._forget(key)

    async def is_directory(self, key: str) -> bool:
        # No object has a longer key, so none lies below this one.
        return len(key) <= _MAX_KEY_BYTES and (await self._directories.get(key)).value

    async def _look_for_directory(self, key: str) -> bool:
        if time.monotonic() >= self._list_from:
            try:
                return bool([item async for item in self._bucket.list(key, limit=1)])
            except GatewayError as error:
                if error.code != _ACCESS_DENIED:
                    raise
                self._list_from = time.monotonic() + _REFUSED_SECONDS
                log.warning("no permission to list the bucket (s3:ListBucket); directories are told by their index")
        for candidate in (key + self._index_document, key):
            try:
                (await self._reader.open(ObjectRequest("HEAD", candidate))).close()
                return True
            except NotFoundError:
                pass
        return False

    async def children(self, prefix: str = "") -> Children:
        children = await self._bucket.children(prefix)
        for item in children.objects:
            self._note(item)
        return children

    async def facts(self, key: str, etag: str = "") -> Facts:
        return await self._bucket.facts(self._path(key), etag)

    async def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        async for item in self._bucket.list(prefix, limit=limit):
            self._note(item)
            yield item

    async def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        async with aclosing(self._bucket.batches(prefix, known)) as batches:
            async for batch in batches:
                for item in batch.objects or ():
                    self._note(item)
                yield batch

    def expire(self) -> None:
        self._directories.expire()
        if self._cached is not None:
            self._cached.expire()

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
            if error.code != _ACCESS_DENIED:
                raise
            # The bucket answers and knows us; whether objects may be read shows only when one is.
            found["note"] = "no permission to list the bucket (s3:ListBucket)"
            return found
        if self._settings.backend == "cloudfront" and sample is not None:
            await self._check_distribution(sample.key)
        return found

    def credentials_expire_at(self) -> float | None:
        credentials = self.credentials.usable() if self.signs else None
        return credentials.expires_at if credentials else None

    async def _check_distribution(self, object_name: str) -> None:
        """CloudFront says AccessDenied for a wrong signature and S3 for an absent object: for one that is there, the
        difference is plain."""
        path = "/" + encode_key(object_name)
        try:
            (await self._reached.origin.open("HEAD", path, {})).upstream.close()
        except NotFoundError as error:
            what = f"the distribution does not give out an object that the bucket has ({error.detail})"
            raise UpstreamError(what, code="DistributionDenied") from error

    def _note(self, item: StoredObject) -> None:
        if self._cached is not None:
            self._cached.note(item.key, item.etag)

    def _forget(self, key: str) -> None:
        self._directories.expire()
        if self._cached is not None:
            self._cached.forget(key)

    def _disk(self) -> DiskCache | None:
        cache, endpoint = self._cache, self.endpoint
        if cache is None or cache.dir is None:
            return None
        scope = f"{endpoint.origin}{endpoint.base_path} {self._settings.bucket} {self._settings.prefix}"
        return DiskCache(cache.dir, cache.disk_bytes, scope)

    def _path(self, key: str) -> str:
        return "/" + encode_key(self._layout.object_name(key))

    async def _resolve(self, region: str | None) -> Endpoint:
        return await AWS.run(resolve, self._settings, region)
