"""What is in a directory, as a site shows it: directories first, each in the order of names. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from gateway.errors import BadRequestError
from gateway.http.target import parse_target
from gateway.storage.base import Children

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Without any of these, a name can be asked for.
_SUSPECT = re.compile(r"[%\\]")


@dataclass(frozen=True, slots=True)
class Entry:
    """A directory, or a file with its size in bytes and its time in seconds since the epoch."""

    name: str
    is_directory: bool
    size: int = 0
    modified: float = 0.0

    @property
    def href(self) -> str:
        """A reference to it from the listing. It begins with `./`, so that no name can be read as a scheme."""
        return f"./{quote(self.name, safe='~')}{'/' * self.is_directory}"

    @property
    def full_name(self) -> str:
        """Of a directory, with its slash."""
        return f"{self.name}{'/' * self.is_directory}"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Listing:
    """One page of a directory. The next one begins after the name `last`, which is empty if there is none. `absent`:
    nothing is there. `is_object`: an object with content has the directory's name, slash and all."""

    entries: tuple[Entry, ...]
    last: str = ""
    absent: bool = False
    is_object: bool = False


def listing_of(prefix: str, children: Children) -> Listing:
    """The listing of what the storage has found below `prefix`. Has no names that nobody can ask for, and, as a
    directory that is served, none with a dot in front."""
    own = [item for item in children.objects if item.key == prefix]
    files = [item for item in children.objects if item.key != prefix]
    names = [item.key.removeprefix(prefix) for item in files]
    directories = [Entry(name, True) for name in sorted(children.folders) if _is_shown(name)]
    entries = [
        Entry(name, False, item.size, item.modified)
        for name, item in sorted(zip(names, files, strict=True), key=lambda one: one[0])
        if _is_shown(name)
    ]
    last = max([*names, *(f"{name}/" for name in children.folders)], default="") if children.more else ""
    # An empty directory of a file system is there, and one of a bucket is not.
    absent = children.absent or not (own or names or children.folders or children.blank)
    return Listing((*directories, *entries), last, absent, any(item.size for item in own))


def readable(listing: Listing, prefix: str, may_read: Callable[[str], bool]) -> Listing:
    """The listing without what the reader may not read: `may_read` takes a key."""
    entries = [entry for entry in listing.entries if may_read(f"{prefix}{entry.full_name}")]
    last = last_readable(listing, prefix, may_read)
    return Listing(tuple(entries), last, listing.absent, listing.is_object)


def last_readable(listing: Listing, prefix: str, may_read: Callable[[str], bool]) -> str:
    """The name after which the next page begins for the reader: the last one that the reader may read. If there is none
    on the page, it is the last one all the same, so that what follows can be seen."""
    if not listing.last or may_read(prefix + listing.last):
        return listing.last
    names = sorted((entry.full_name for entry in listing.entries), reverse=True)
    return next((name for name in names if may_read(prefix + name)), listing.last)


def _is_shown(name: str) -> bool:
    if not name or name.startswith(".") or _CONTROL.search(name):
        return False
    if not _SUSPECT.search(name):
        return True
    try:
        parse_target(f"/{quote(name, safe='')}")
    except BadRequestError:
        return False
    return True
