"""Renders pages to bytes, off the event loop, and keeps them until what they are made of changes."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import ReferenceType, ref

from gateway.cache.lru import LruCache, MemoryLimit, weight_of
from gateway.executors import PAGES
from gateway.index.backlog import Backlog
from gateway.index.etags import etag_of
from gateway.index.simple.compression import compress
from gateway.single_flight import SingleFlight

T = TypeVar("T")

_OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Sourced(Generic[T]):
    """A value, with weak references to the objects that it was made of."""

    value: T
    made_of: tuple[ReferenceType[object], ...]
    version: Hashable

    def stands(self, made_of: Sequence[object], version: Hashable) -> bool:
        """Whether the value was made of these very objects at this version."""
        return (
            self.version == version
            and len(self.made_of) == len(made_of)
            and all(then() is now for then, now in zip(self.made_of, made_of, strict=True))
        )


def sourced(value: T, made_of: Sequence[object], version: Hashable) -> Sourced[T]:
    return Sourced(value, tuple(map(ref, made_of)), version)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Rendered:
    """`etag` includes its quotes, and differs by encoding."""

    body: bytes
    etag: str
    encoding: str | None


class RenderedPages:
    """The most recently used pages, by slot (which page, in which form) and encoding."""

    def __init__(self, name: str, memory: MemoryLimit, backlog: Backlog | None = None) -> None:
        """`backlog` counts the pages that are being rendered."""
        self._pages = LruCache[Hashable, Sourced[Rendered]](name, memory, _weight)
        self._backlog = backlog or Backlog()
        self._rendering = SingleFlight[Rendered]()

    def known(
        self, slot: Hashable, encoding: str | None, made_of: Sequence[object], version: Hashable
    ) -> Rendered | None:
        """The page, if it was made of these very objects at this version."""
        page = self._pages.get((slot, encoding))
        return page.value if page is not None and page.stands(made_of, version) else None

    async def get(
        self,
        slot: Hashable,
        encoding: str | None,
        made_of: Sequence[object],
        version: Hashable,
        render: Callable[[], bytes],
    ) -> Rendered:
        """The page if it is known; else what `render` returns, which runs in a thread, once for all callers."""
        page = self.known(slot, encoding, made_of, version)
        if page is not None:
            return page
        # The objects live as long as they are being rendered, so no other object has the same id meanwhile.
        flight = slot, encoding, version, *map(id, made_of)
        return await self._rendering.once(flight, lambda: self._make(slot, encoding, tuple(made_of), version, render))

    async def _make(
        self,
        slot: Hashable,
        encoding: str | None,
        made_of: tuple[object, ...],
        version: Hashable,
        render: Callable[[], bytes],
    ) -> Rendered:
        with self._backlog:
            page = await PAGES.run(_render, render, encoding)
        self._pages.put((slot, encoding), sourced(page, made_of, version))
        return page


def _weight(slot: Hashable, page: Sourced[Rendered]) -> int:
    return weight_of(slot) + weight_of(page.value.body) + weight_of(page.version) + _OVERHEAD_BYTES


def _render(render: Callable[[], bytes], encoding: str | None) -> Rendered:
    plain = render()
    body, used = compress(plain, encoding)
    # Of what is sent: another version of a library compresses to other bytes.
    return Rendered(body, etag_of(body, f"-{used}" if used else ""), used)
