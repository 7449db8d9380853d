"""What is known of one project's files, and what of it is yet to be found out."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import ref

from gateway.executors import PAGES
from gateway.index.catalog.listing import Files
from gateway.index.simple.names import is_companion, parse
from gateway.index.wheels.known_metadata import SHA256_FILE, SPARE_ENTRIES, YANKED_FILE, KnownMetadata
from gateway.storage.base import StoredObject

# Listings of more files are looked through in a thread.
MANY_FILES = 200


@dataclass(slots=True)
class ProjectMetadata:
    """`asked` is the listing whose files are known or looked for, `present` its files, while one of them is looked for
    or not saved; `failed` is when something could not be found out, for which `retries` were in vain; `pending` files
    are looked for, `unsaved` are known."""

    known: KnownMetadata = field(default_factory=KnownMetadata)
    asked: "ref[Files] | None" = None
    present: Mapping[str, StoredObject] = field(default_factory=dict)
    loading: asyncio.Task[None] | None = None
    failed: float | None = None
    retries: int = 0
    pending: int = 0
    unsaved: int = 0
    weight: int = 0

    def is_known(self, item: StoredObject) -> bool:
        """Whether nothing of a file is to be found out: its hash, where one lies beside it, counts too."""
        facts = self.known.get(item)
        if facts is None:
            return False
        hash_file = self.present.get(item.key + SHA256_FILE)
        return facts.sha256 is not None or hash_file is None or self.known.get(hash_file) is not None

    def unknown(self) -> list[StoredObject]:
        """The files that are there of which there is something to be found out. Takes some 20 µs for each."""
        return [
            item
            for item in self.present.values()
            if not self.is_known(item)
            and not is_companion(name := item.key.rpartition("/")[2].removesuffix(YANKED_FILE))
            and parse(name) is not None
        ]

    async def unknown_soon(self) -> list[StoredObject]:
        """As `unknown`, in a thread if there are many files."""
        return self.unknown() if len(self.present) <= MANY_FILES else await PAGES.run(self.unknown)

    def forget_absent(self) -> None:
        """Drops what is known of files that are gone, once it is most: else projects whose files come and go would fill
        up, and nothing more be found out of them."""
        entries = self.known.entries
        if len(entries) > 2 * len(self.present) + SPARE_ENTRIES:
            for key in [key for key in entries if key not in self.present]:
                self.weight -= entries.pop(key).weight

    def let_go(self) -> None:
        """Holds no listing any more, unless it is needed yet."""
        if not self.pending and not self.unsaved and self.loading is None:
            self.present = {}
