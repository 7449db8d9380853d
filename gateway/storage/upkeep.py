"""What a storage can do besides reading and writing: show uploads that nobody has ended, and copy objects by itself."""

from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.storage.base import ObjectMetadata


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """An upload that has begun and not ended: its bytes take up room, and nobody sees them. `id` tells it from others
    of the same key; `begun` is in seconds since the epoch."""

    key: str
    id: str
    begun: float


@dataclass(frozen=True, slots=True)
class CopySource:
    """One version of an object that storages of the same `place` can copy by themselves. `name` is what the server
    calls it, `headers` are those that a copy has to have too."""

    place: Hashable
    name: str
    etag: str
    size: int
    headers: Mapping[str, str]


class Upkeep(Protocol):
    """Changes are not seen by caches in front of the storage: whoever uses it has none."""

    def now(self) -> float:
        """The time by the clock that dates objects and uploads, in seconds since the epoch. It is known once the
        storage has answered."""

    async def is_taken(self, key: str) -> bool:
        """Whether a link has this name that leads nowhere now: the volume with the file may be away."""

    def unfinished(self) -> AsyncIterator[UnfinishedUpload]:
        """Lists the uploads that have begun and not ended. Raises GatewayErrors."""

    async def give_up(self, upload: UnfinishedUpload) -> None:
        """Removes what there is of an upload; it can't be ended then. One that is gone counts as removed. Raises
        GatewayErrors, also for one that is known to be under way."""

    @property
    def place(self) -> Hashable:
        """Storages with the same one can copy each other's objects; None if this one copies nothing by itself."""

    async def copy_source(self, key: str, etag: str) -> CopySource:
        """Raises NotFoundError, PreconditionFailedError if the object has another ETag, and other GatewayErrors."""

    async def copy(
        self, source: CopySource, key: str, metadata: ObjectMetadata, *, only_new: bool, in_parts: bool
    ) -> str:
        """Copies an object of this place, with what `metadata` has besides its own, and returns the ETag of the copy.
        With `in_parts`, the condition is the one of an upload in parts: some servers heed only that.

        Raises PreconditionFailedError if `only_new` and there is such a key, or if the source is another version by
        now; NotFoundError if the source is gone; and other GatewayErrors.
        """


def upkeep_of(storage: Any) -> Upkeep | None:
    """None for a backend that can't do any of this; one of your own need not even say so."""
    upkeep: Upkeep | None = getattr(storage, "upkeep", None)
    return upkeep
