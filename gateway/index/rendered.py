"""Pages as bytes, made once for as long as what they are made of stands."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from cachetools import LRUCache

from gateway.index.compression import compress
from gateway.index.conditional import etag_of

_MAX_BYTES = 64 * 1024 * 1024
_OVERHEAD_BYTES = 512


@dataclass(frozen=True, slots=True)
class Rendered:
    """`etag` bears its quotes, and differs by encoding."""

    body: bytes
    etag: str
    encoding: str | None
    made_of: tuple[object, ...]
    version: Hashable


class RenderedPages:
    """The pages used last, by what they are of and their form."""

    def __init__(self) -> None:
        self._pages: LRUCache[Hashable, Rendered] = LRUCache(_MAX_BYTES, lambda page: len(page.body) + _OVERHEAD_BYTES)

    def get(
        self,
        slot: Hashable,
        encoding: str | None,
        made_of: Sequence[object],
        version: Hashable,
        render: Callable[[], bytes],
    ) -> Rendered:
        """The page, if it was made of these very objects at this version; else what `render` returns."""
        page = self._pages.get((slot, encoding))
        if (
            page is not None
            and page.version == version
            and len(page.made_of) == len(made_of)
            and all(then is now for then, now in zip(page.made_of, made_of, strict=True))
        ):
            return page
        plain = render()
        body, used = compress(plain, encoding)
        page = Rendered(body, etag_of(plain, f"-{used}" if used else ""), used, tuple(made_of), version)
        if len(body) + _OVERHEAD_BYTES <= _MAX_BYTES:
            self._pages[slot, encoding] = page
        return page
