"""The settings of the caches, and of how large objects get there and through."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gateway.config.section import Section
from gateway.config.types import NonNegativeSeconds, NotEmpty, Size


class CacheSettings(Section):
    """Copies of objects, which save requests and are served while the storage can't be reached."""

    memory_bytes: Size = Field(
        16 * 1024 * 1024,
        ge=0,
        description="Memory for small objects, absent keys and whole replies, per worker; 0: nothing is kept in memory",
    )
    object_max_bytes: Size = Field(1024 * 1024, ge=0, description="Largest object that is kept in memory")
    dir: Annotated[Path, NotEmpty] | None = Field(
        None, description="Directory for objects of any size, which survive restarts; unset: nothing is kept on disk"
    )
    disk_bytes: Size = Field(
        10 * 1024**3, ge=1024 * 1024, description="Size limit of cache.dir; no object gets more than a quarter of it"
    )
    index_ttl: NonNegativeSeconds = Field(
        30.0, description="Seconds that a copy of a stored page, or other object, is used without asking the bucket"
    )
    file_ttl: NonNegativeSeconds = Field(
        3600.0, description="The same for package files; a listing that shows another ETag ends it at once"
    )
    negative_ttl: NonNegativeSeconds = Field(5.0, description="Seconds that a key is remembered to be absent")
    allow_bypass: bool = Field(False, description="Honour Cache-Control: no-cache of clients")
    immutable_files: bool = Field(
        False, description="Promise that package files never change: clients may reuse them for a year without asking"
    )
    prefetch: bool = Field(
        False, description="When an installer asks for a page, fetch in advance what it is likely to ask for next"
    )
    stale_if_error: NonNegativeSeconds = Field(
        86400.0, description="Seconds that stale copies are served while the storage can't be reached"
    )

    @property
    def replies_bytes(self) -> int:
        """The part of `memory_bytes` for whole replies, which live for a second."""
        return self.memory_bytes // 8

    @property
    def objects_bytes(self) -> int:
        """The part of `memory_bytes` for objects and absent keys."""
        return self.memory_bytes - self.replies_bytes


class ParallelSettings(Section):
    """Large objects are fetched in parallel parts if one connection to the storage is slower than the client."""

    min_bytes: Size = Field(32 * 1024 * 1024, ge=0, description="Size from which an object counts as large")
    connections: int = Field(8, ge=1, le=64, description="Connections for one object at once; 1: never in parts")
    memory_bytes: Size = Field(
        32 * 1024 * 1024,
        ge=1024 * 1024,
        description="Memory for bytes in transit: parts that arrive ahead of their turn, small objects; per worker",
    )
