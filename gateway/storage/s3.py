"""Objects in an S3 bucket, streamed through signed requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from gateway.config import StorageSettings
from gateway.edge.headers import to_client
from gateway.edge.paths import encode_key
from gateway.errors import GatewayError, NotFoundError
from gateway.model import Endpoint, ObjectRequest, Stream
from gateway.signing.credentials import CredentialSource
from gateway.signing.sigv4 import canonical_query
from gateway.storage import listing
from gateway.storage.base import StoredObject
from gateway.storage.client import Client
from gateway.storage.endpoint import resolve
from gateway.storage.signed import Answer, SignedClient

_ACCESS_DENIED = "AccessDenied"

log = logging.getLogger("gateway.storage")


class S3Storage:
    """A Storage (see base.py) over one bucket."""

    def __init__(
        self,
        settings: StorageSettings,
        credentials: CredentialSource,
        *,
        index_document: str,
        on_fault: Callable[[str], None] = lambda label: None,
    ) -> None:
        """`on_fault` hears of every error answer of the bucket, by its S3 code, retried ones included."""
        self.credentials = credentials
        self._settings = settings
        self._index_document = index_document
        self._on_fault = on_fault
        self._may_list = True
        self._client = Client(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            max_connections=settings.max_pool_connections,
            verify=settings.verify,
        )
        self._signed: SignedClient

    def __str__(self) -> str:
        return f"S3 bucket {self._settings.bucket} at {self.endpoint.origin}{self.endpoint.base_path}"

    @property
    def endpoint(self) -> Endpoint:
        return self._signed.endpoint

    async def start(self) -> None:
        """Resolves the endpoint and gets credentials, side by side. Raises ConfigError if no endpoint fits."""
        endpoint, credentials = await asyncio.gather(
            self._resolve(None), self.credentials.get(), return_exceptions=True
        )
        if isinstance(endpoint, BaseException):
            raise endpoint
        if isinstance(credentials, BaseException):
            log.error("%s", credentials)  # they may come later; /ready says so meanwhile
        self._signed = SignedClient(
            self._client,
            self.credentials,
            endpoint,
            relocate=self._resolve,
            max_attempts=self._settings.max_attempts,
            patience=self._settings.read_timeout,
            on_fault=self._on_fault,
        )

    async def close(self) -> None:
        await self.credentials.close()
        await self._client.close()

    async def fetch(self, request: ObjectRequest) -> Stream:
        path = "/" + encode_key(self._settings.prefix + request.key)
        headers = request.headers
        answer = await self._signed.send(request.method, path, headers=headers)
        if answer.upstream.status == 206 and not _same_object(headers.get("if-range"), answer):
            # A store that ignores If-Range would have the client glue two versions together.
            answer.upstream.close()
            whole = {name: value for name, value in headers.items() if name not in ("range", "if-range")}
            answer = await self._signed.send(request.method, path, headers=whole)
        return _stream(request, answer)

    async def is_directory(self, key: str) -> bool:
        if self._may_list:
            try:
                return bool((await self._list_page(key, limit=1)).objects)
            except GatewayError as error:
                if error.code != _ACCESS_DENIED:
                    raise
                self._may_list = False
                log.warning("no permission to list the bucket (s3:ListBucket); directories are told by their index")
        for candidate in (key + self._index_document, key):
            try:
                (await self.fetch(ObjectRequest("HEAD", candidate))).close()
                return True
            except NotFoundError:
                pass
        return False

    async def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        left = limit
        token = None
        while left is None or left > 0:
            page = await self._list_page(prefix, limit=listing.MAX_KEYS if left is None else left, token=token)
            for item in page.objects[:left]:
                yield item
            token = page.next_token
            if token is None:
                return
            if left is not None:
                left -= len(page.objects)

    async def check(self) -> dict[str, str]:
        credentials = await self.credentials.get()
        found = {
            "backend": "s3",
            "bucket": self._settings.bucket or "",
            "region": self.endpoint.region,
            "endpoint": self.endpoint.origin,
            "credentials": credentials.provider,
        }
        try:
            await self._list_page("", limit=1)
        except GatewayError as error:
            if error.code != _ACCESS_DENIED:
                raise
            # The bucket answers and knows us; whether objects may be read shows only when one is.
            found["note"] = "no permission to list the bucket (s3:ListBucket)"
        return found

    def credentials_expire_at(self) -> float | None:
        credentials = self.credentials.usable()
        return credentials.expires_at if credentials else None

    async def _list_page(self, prefix: str, *, limit: int, token: str | None = None) -> listing.ListingPage:
        query = canonical_query(listing.parameters(self._settings.prefix + prefix, limit=limit, token=token))
        # A path-style bucket is listed at `/bucket`, a virtual-hosted one at `/`.
        answer = await self._signed.send("GET", "" if self.endpoint.base_path else "/", query=query)
        return listing.parse(await answer.upstream.read_listing(answer.first), self._settings.prefix)

    async def _resolve(self, region: str | None) -> Endpoint:
        return await asyncio.to_thread(resolve, self._settings, region)


def _same_object(if_range: str | None, answer: Answer) -> bool:
    """Whether a 206 belongs to the object that If-Range names (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    validator = "etag" if if_range.startswith('"') else "last-modified"
    return answer.upstream.headers.get(validator) == if_range


def _stream(request: ObjectRequest, answer: Answer) -> Stream:
    upstream = answer.upstream
    headers = to_client(upstream.headers, request.key)
    bodiless = request.method == "HEAD" or upstream.status == 304
    if upstream.status == 304:
        headers.pop("Content-Length", None)
    return Stream(
        status=upstream.status,
        headers=headers,
        body=None if bodiless else upstream.body(answer.first),
        close=upstream.close,
        upstream_status=upstream.status,
    )
