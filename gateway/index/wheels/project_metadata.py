"""What is known of one project's files, and which of them are yet to be looked at."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from weakref import ref

from gateway.executors import PAGES
from gateway.index.catalog.listing import Files
from gateway.index.wheels.file_entries import is_looked_at
from gateway.index.wheels.known_metadata import SHA256_FILE, SPARE_ENTRIES, KnownMetadata
from gateway.storage.base import StoredObject

# Longer listings are searched in a thread.
MANY_FILES = 200


@dataclass(slots=True)
class ProjectMetadata:
    """`asked` is the listing whose files are known or being looked at. `present` are its files, while one of them is
    being looked at or not saved. `failed` is when looking at one failed, `retries` how often that was repeated in vain.
    `pending` files are being looked at, `unsaved` files are known and not saved. Pages wait for `settled` until
    `waited_for_until`."""

    known: KnownMetadata = field(default_factory=KnownMetadata)
    asked: "ref[Files] | None" = None
    present: Mapping[str, StoredObject] = field(default_factory=dict)
    loading: asyncio.Task[None] | None = None
    failed: float | None = None
    retries: int = 0
    pending: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    waited_for_until: float = 0.0
    unsaved: int = 0
    weight: int = 0

    def is_known(self, item: StoredObject) -> bool:
        """Whether everything about a file is known, including the content of a `.sha256` file beside it."""
        metadata = self.known.get(item)
        if metadata is None:
            return False
        hash_file = self.present.get(item.key + SHA256_FILE)
        return metadata.sha256 is not None or hash_file is None or self.known.get(hash_file) is not None

    def unknown(self) -> list[StoredObject]:
        """The present files that must be looked at. Takes some 20 µs for each present file."""
        return [item for item in self.present.values() if not self.is_known(item) and is_looked_at(item)]

    async def unknown_soon(self) -> list[StoredObject]:
        """The same as `unknown`, in a thread if there are many files."""
        return self.unknown() if len(self.present) <= MANY_FILES else await PAGES.run(self.unknown)

    async def settle(self, seconds: float) -> None:
        """Waits for up to `seconds` until no file is being looked at."""
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.settled.wait()

    def forget_absent(self) -> None:
        """Drops what is known of deleted files, once they are the most: otherwise a project whose files come and go
        would reach its memory limit."""
        entries = self.known.entries
        if len(entries) > 2 * len(self.present) + SPARE_ENTRIES:
            for key in [key for key in entries if key not in self.present]:
                self.weight -= entries.pop(key).weight

    def let_go(self) -> None:
        """Releases the listing, unless it is still needed."""
        if not self.pending and not self.unsaved and self.loading is None:
            self.present = {}
