"""Lists everything below a prefix of a bucket: page by page, and in parallel if there are many pages."""

import asyncio
import string
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Container, Iterator
from contextlib import aclosing
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import pairwise
from typing import Protocol

from gateway.executors import LISTINGS
from gateway.storage.base import Batch, StoredObject
from gateway.storage.s3 import listing
from gateway.storage.s3.layout import Layout

# For shorter listings, parallel requests gain too little to be worth the LISTs of empty ranges.
_SERIAL_PAGES = 16
_AT_ONCE = 8
_MAX_DEPTH = 8
# Each mark sorts after all names that begin with its first character. No key equals a mark, so servers that sort a
# directory by its name without the slash, before `name-…`, also keep all of it on one side of a mark.
_MARKS = [f"{first}~~~~" for first in sorted(string.digits + string.ascii_letters)]


class PageOf(Protocol):
    """Fetches one page of a listing, by the names of objects."""

    def __call__(
        self, prefix: str, *, token: str | None = None, after: str = "", limit: int = ..., delimiter: str = ""
    ) -> Awaitable[bytes]: ...


@dataclass(frozen=True, slots=True)
class _Span:
    """Names after `start`, up to and including `stop`; an empty `stop` means the end."""

    start: str
    stop: str


class Sweep:
    """One pass over a bucket."""

    def __init__(self, page: PageOf, layout: Layout, prefix: str, known: Container[bytes]) -> None:
        """`prefix` is a prefix of keys; batches whose digests are `known` are not parsed."""
        self._page = page
        self._layout = layout
        self._prefix = prefix
        self._base = layout.listing_prefix(prefix)
        self._known = known

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Raises the error of a listing that fails."""
        last: str | None = None
        async for batch, last in self._pages(_Span("", ""), _SERIAL_PAGES):  # noqa: B007  `last` is used below
            yield batch
        if last is not None:
            async with aclosing(self._side_by_side(_spans(last, await self._folder()))) as batches:
                async for batch in batches:
                    yield batch

    async def _side_by_side(self, spans: Iterator[_Span]) -> AsyncGenerator[Batch, None]:
        found: asyncio.Queue[Batch | Exception | None] = asyncio.Queue(_AT_ONCE)

        async def work() -> None:
            try:
                for span in spans:  # all workers share the iterator
                    async for batch, _ in self._pages(span):
                        await found.put(batch)
                await found.put(None)
            except Exception as error:
                await found.put(error)

        workers = [asyncio.ensure_future(work()) for _ in range(_AT_ONCE)]
        try:
            running = len(workers)
            while running:
                match await found.get():
                    case None:
                        running -= 1
                    case Batch() as batch:
                        yield batch
                    case error:
                        raise error
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _pages(self, span: _Span, most: int | None = None) -> AsyncIterator[tuple[Batch, str | None]]:
        """Yields batches, each with the name to continue after, None at the end. An empty page need not be the last."""
        token: str | None = None
        reached, progress = span.start, listing.Progress()
        number = 0
        while most is None or number < most:
            body = await self._page(self._base, token=token, after=span.start if token is None else "")
            batch, following, last = await LISTINGS.run(self._read, body, span, number)
            progress.note(batch.digest if last else None, following)
            over = following is None or (span.stop != "" and last > span.stop)
            reached = last or reached
            yield batch, None if over else reached
            if over:
                return
            token = following
            number += 1

    def _read(self, body: bytes, span: _Span, number: int) -> tuple[Batch, str | None, str]:
        outline = listing.outline(body)
        digest = blake2b(outline.contents + span.stop.encode(), digest_size=16).digest()
        objects = None
        if digest not in self._known:
            objects = tuple(self._objects(listing.parse(body).objects, span.stop))
        return Batch((span.start, number), digest, objects), outline.next_token, outline.last_key

    def _objects(self, items: list[StoredObject], stop: str) -> Iterator[StoredObject]:
        for item in items:
            key = self._layout.key(item.key)
            if key is not None and key.startswith(self._prefix) and (not stop or item.key <= stop):
                yield item if key == item.key else replace(item, key=key)

    async def _folder(self) -> str:
        """The innermost folder that holds everything."""
        folder = self._base
        for _ in range(_MAX_DEPTH):
            page = listing.parse(await self._page(folder, limit=2, delimiter="/"))
            if page.objects or len(page.folders) != 1 or page.next_token is not None:
                break
            [folder] = page.folders
        return folder


def _spans(start: str, folder: str) -> Iterator[_Span]:
    """Splits the names from `start` to the end at the marks."""
    marks = [folder + mark for mark in _MARKS if folder + mark > start]
    return (_Span(*ends) for ends in pairwise([start, *marks, ""]))
