"""The interface of storage backends. A backend returns data (Stream or Redirect), never a web response."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Container, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.messages import Caller, ObjectRequest, Redirect, Stream


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing. `modified` is in seconds since the epoch; `etag` includes its quotes."""

    key: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class Children:
    """The direct children of a directory: objects, and names of directories, each in order.

    `blank` means that the directory is empty, and may be so by accident: a volume that is not mounted leaves an empty
    directory. An empty listing of a bucket is certain, so it is never `blank`. `more` means that others follow, which a
    limit has left out; `absent`, that it is known that there is no such directory.
    """

    objects: tuple[StoredObject, ...]
    folders: tuple[str, ...]
    blank: bool = False
    more: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Some thousand objects of a long listing. Sorting batches by `order` puts them in key order. `digest` changes with
    the content; `objects` is None if the caller already knows the digest. `missed` names an entry that exists but can't
    be read: the listing is then incomplete."""

    order: tuple[str, int]
    digest: bytes
    objects: tuple[StoredObject, ...] | None
    missed: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """Metadata of one version of a release file. None means unknown, or not so. `sha256` is in hex; `yanked` is the
    reason, which may be empty; `uploaded` is when the file was first added to its release, in seconds since the epoch,
    if that differs from `modified`; `unreadable` marks a wheel from which no metadata can be read. `uploader` is who
    published it through the gateway, and `publisher` the job that did, as JSON (see publish/trusted/sources.py)."""

    sha256: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    uploaded: float | None = None
    unreadable: bool = False
    uploader: str | None = None
    publisher: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A URL at which a client can get an object. The gateway hands it out until `reusable_until`, in seconds since the
    epoch. `shared` means that it works for every client, not only for the one it was signed for."""

    url: str
    reusable_until: float
    shared: bool = False


class ObjectLinks(Protocol):
    """Makes URLs at which clients get objects without the gateway."""

    @property
    def proven(self) -> bool:
        """Whether URLs are known to work. Before the storage's first answer, one may be signed for the wrong region."""

    def serves(self, caller: Caller) -> bool:
        """Whether a URL can be made that works for this caller."""

    def variant(self, caller: Caller) -> Hashable:
        """A value that differs when URLs of the same object would be signed differently."""

    async def get(self, key: str, caller: Caller) -> Link:
        """Returns a URL for GET."""


class Storage(Protocol):
    """A store of objects, below `storage.prefix`. Keys are relative to that prefix.

    Every method raises only GatewayErrors: NotFoundError, PreconditionFailedError, RangeNotSatisfiableError,
    and the Upstream* family.
    """

    async def start(self) -> None:
        """Prepares the storage. Must not fail if the storage can't be reached: `check` reports that."""

    async def close(self) -> None:
        """Closes connections and ends tasks."""

    async def fetch(self, request: ObjectRequest) -> Stream | Redirect:
        """Answers GET or HEAD for one key, honouring Range and If-*. Raises NotFoundError if it does not exist.

        A Redirect answers only requests that allow it.
        """

    async def url(self, key: str, *, method: str = "GET", lifetime: int | None = None) -> str | None:
        """Returns a URL at which a client can get the object, valid for `lifetime` seconds or as long as the settings
        say; None if the storage has no URLs. Does not check that the object exists."""

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
        """Writes an object as its bytes arrive, and returns its ETag. The object is not visible before it is complete.

        Raises PreconditionFailedError if `only_new` and the object exists, or if the object's ETag is not `replaces`;
        both checks are atomic. Stores `metadata` as far as the storage has a place for it, and may fill in the time
        of the upload and the hash of a small object.
        """

    async def delete(self, key: str) -> None:
        """Removes an object. An absent object counts as removed."""

    async def is_directory(self, key: str) -> bool:
        """True if any object lies below `key`, which ends with a slash."""

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> "Children":
        """Lists the direct children of `prefix`, which is empty or ends with a slash: all, or the first `limit` in key
        order. With `after`, lists those that follow this name, which ends with a slash if it is a directory's; whether
        it still exists does not matter."""

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        """Returns the metadata that was stored with an object; computes none.

        With an ETag, raises PreconditionFailedError if the object is another version now.
        """

    def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        """Lists the objects whose keys start with `prefix`, in key order, at most `limit`."""

    def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        """Lists all objects whose keys start with `prefix`, in any order. Omits the objects of batches whose digest is
        `known`."""

    async def check(self) -> dict[str, str]:
        """Sends the storage a request. Returns findings (backend, bucket, credentials …); raises if unusable."""

    def diagnose(self) -> AsyncIterator[tuple[str, str]]:
        """Like `check`, step by step for a person: yields the name of each step and its finding. A step without a name
        continues the one before."""

    def stats(self) -> Mapping[str, int]:
        """The resources held now (connections, fills, bytes), by name."""

    def expire(self) -> None:
        """Makes all caches revalidate what they hold."""

    def forget(self, key: str) -> None:
        """Like `expire`, for one object: another process may have written or removed it."""

    def credentials_expire_at(self) -> float | None:
        """When the current credentials expire or have expired, in seconds since the epoch; None if never or not
        known."""


class Backend(Storage, Protocol):
    """A storage that answers with the bytes themselves. The classes that access a store implement it, and so do the
    decorators that cache or resume; `package.module:Class` in `storage.backend` names one, which is constructed
    with the StorageSettings.
    """

    @property
    def local(self) -> bool:
        """Whether objects are as near as a cache would be, so that no cache is needed."""

    @property
    def identity(self) -> str:
        """A name that no other storage has, for caches that outlive the process. Known after `start`."""

    @property
    def links(self) -> ObjectLinks | None:
        """None if clients can reach objects only through the gateway. Known after `start`."""

    async def fetch(self, request: ObjectRequest) -> Stream:
        """Like Storage.fetch, but never redirects."""


async def one_chunk(content: bytes) -> AsyncIterator[bytes]:
    """Bytes that are in memory, as `put` takes them."""
    yield content
