"""What every storage backend offers. A backend returns data (Stream or Redirect), never a web response."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Container, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.messages import Caller, ObjectRequest, Redirect, Stream


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of a listing. `modified` is in seconds since the epoch; `etag` bears its quotes."""

    key: str
    size: int
    etag: str
    modified: float


@dataclass(frozen=True, slots=True)
class Children:
    """What lies right below a directory: objects by key and the names of directories, each in order.

    `blank`: there is nothing at all, and that may be because the storage is not what it was: a volume that is not
    mounted leaves an empty directory. A bucket's answer leaves no such doubt.
    """

    objects: tuple[StoredObject, ...]
    folders: tuple[str, ...]
    blank: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Some thousand objects of a long listing. Batches are in key order if they are sorted by `order`. `digest` changes
    with what is in it; `objects` are None where that is known to who asked. `missed` names something that is there and
    can't be looked at: then the listing is not all that there is."""

    order: tuple[str, int]
    digest: bytes
    objects: tuple[StoredObject, ...] | None
    missed: str | None = None


@dataclass(frozen=True, slots=True)
class ObjectMetadata:
    """Of one version of a release file. None is what is not known, or not so: `sha256` is in hex, `yanked` the reason,
    maybe empty; `uploaded` when its release got it first, in seconds since the epoch, where that is not `modified`;
    `unreadable` is a wheel out of which no metadata can be read."""

    sha256: str | None = None
    requires_python: str | None = None
    yanked: str | None = None
    uploaded: float | None = None
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A URL that opens an object for a client. It is handed out until `reusable_until`, in seconds since the epoch.
    `shared`: it works for every client, whoever it was signed for."""

    url: str
    reusable_until: float
    shared: bool = False


class ObjectLinks(Protocol):
    """URLs at which clients get objects without the gateway."""

    @property
    def proven(self) -> bool:
        """Whether URLs are known to be right: until the storage has answered once, one may be signed for the wrong
        region."""

    def serves(self, caller: Caller) -> bool:
        """Whether a URL can be made that works for this caller."""

    def variant(self, caller: Caller) -> Hashable:
        """What decides, besides the object, how a URL is signed now."""

    async def get(self, key: str, caller: Caller) -> Link:
        """A URL for GET."""


class Storage(Protocol):
    """A store of objects, below `storage.prefix`. Keys are relative to that prefix.

    Every method raises only GatewayErrors: NotFoundError, PreconditionFailedError, RangeNotSatisfiableError,
    and the Upstream* family.
    """

    async def start(self) -> None:
        """Gets ready; must not fail because the storage can't be reached (that is what `check` tells)."""

    async def close(self) -> None:
        """Gives back connections and tasks."""

    async def fetch(self, request: ObjectRequest) -> Stream | Redirect:
        """Answers GET or HEAD for one key, honouring Range and If-*. Raises NotFoundError where there is none.

        A Redirect answers only requests that allow it.
        """

    async def url(self, key: str, *, method: str = "GET", lifetime: int | None = None) -> str | None:
        """Where a client could have the object itself, for `lifetime` seconds or as long as the settings say; None if
        there is no such place. Does not look whether the object exists."""

    async def put(
        self,
        key: str,
        chunks: AsyncIterable[bytes],
        *,
        content_type: str | None = None,
        only_new: bool = False,
        replaces: str | None = None,
        metadata: ObjectMetadata | None = None,
    ) -> str:
        """Writes an object as the bytes come, and returns its ETag. Nobody sees it before it is whole.

        `only_new` raises PreconditionFailedError if there is one already, `replaces` unless the one with this ETag is
        there, however many try at once. `metadata` is written with it, as far as the storage has a place for it. The
        storage adds what it leaves open and the storage can tell: when it was uploaded, the hash of a small one.
        """

    async def delete(self, key: str) -> None:
        """Removes an object. One that is not there counts as removed."""

    async def is_directory(self, key: str) -> bool:
        """True if any object lies below `key`, which ends with a slash."""

    async def children(self, prefix: str = "", *, limit: int | None = None) -> "Children":
        """What lies right below `prefix`, which is empty or ends with a slash; the first `limit` of it, in key order,
        where that is less."""

    async def metadata(self, key: str, etag: str = "") -> ObjectMetadata:
        """What the storage has been told of an object when it was written; nothing is computed.

        With an ETag, of just this version: raises PreconditionFailedError if it is another one now.
        """

    def list(self, prefix: str = "", *, limit: int | None = None) -> AsyncIterator[StoredObject]:
        """The objects whose keys start with `prefix`, in key order, at most `limit`."""

    def batches(self, prefix: str = "", *, known: Container[bytes] = ()) -> AsyncGenerator[Batch, None]:
        """All objects whose keys start with `prefix`, in any order. Those of batches with a `known` digest are not
        told again."""

    async def check(self) -> dict[str, str]:
        """Asks the storage itself. Returns what it found (backend, bucket, credentials …); raises if unusable."""

    def diagnose(self) -> AsyncIterator[tuple[str, str]]:
        """As `check`, step by step for a person: the name of each step and what it found. A step without a name adds
        to the one before."""

    def stats(self) -> Mapping[str, int]:
        """What is held now (connections, fills, bytes), by name."""

    def expire(self) -> None:
        """What is cached must be asked for again."""

    def forget(self, key: str) -> None:
        """As `expire`, of this object: it may have been written or removed by others."""

    def credentials_expire_at(self) -> float | None:
        """When the current credentials expire, in seconds since the epoch; None if never or not known."""


class Backend(Storage, Protocol):
    """A storage that answers with the bytes themselves. What reaches the bytes is one, and so are the decorators that
    cache or resume them; `package.module:Class` in `storage.backend` names one, made with the StorageSettings.
    """

    @property
    def local(self) -> bool:
        """Whether objects are as near as a cache would be, so that none is put in front."""

    @property
    def identity(self) -> str:
        """What tells this storage's objects from those of any other, for caches that outlive the process. Known after
        `start`."""

    @property
    def links(self) -> ObjectLinks | None:
        """None if clients can reach objects only through the gateway. Known after `start`."""

    async def fetch(self, request: ObjectRequest) -> Stream:
        """As a Storage's, but never redirects."""
