"""What a listing tells about projects and the files of one, and what a failed listing means."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import ACCESS_DENIED, GatewayError, NotFoundError
from gateway.index.simple.names import release_of
from gateway.storage.base import Children, StoredObject

# Memory that a cached listing takes: for each object, for each folder of the root, and besides.
OBJECT_BYTES, _FOLDER_BYTES, OVERHEAD_BYTES = 400, 300, 2048
BLANK = "BlankDirectory"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Projects:
    """Folders by the normalised names of their projects, sorted; and whether a page is stored for the root. `odd` are
    names that no project can have, `beside` those of the projects whose package files lie beside the folders."""

    folders: Mapping[str, tuple[str, ...]]
    has_page: bool
    odd: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()

    @property
    def weight(self) -> int:
        """Approximate bytes in memory."""
        return OVERHEAD_BYTES + _FOLDER_BYTES * (len(self.folders) + len(self.beside))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Files:
    """The objects in a project's folders, with keys relative to the root; and the folders that have a stored page.
    `attested`: some objects have their provenance beside them (PEP 740). `elsewhere`: some are in a folder that has not
    the project's name, or have names that say another project."""

    objects: tuple[StoredObject, ...]
    with_page: frozenset[str]
    attested: bool = False
    elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class FolderListing:
    """The contents of a project's `folders`, of which there may be none. `released` tells whether the contents make it
    a project, `whole` whether they are all that can be known of it now."""

    folders: tuple[str, ...]
    files: Files
    released: bool
    whole: bool

    @property
    def weight(self) -> int:
        """Approximate bytes in memory."""
        return OVERHEAD_BYTES + OBJECT_BYTES * len(self.files.objects)


def is_release(item: StoredObject) -> bool:
    """Whether the object is a package file, by its name."""
    return release_of(item.key.rpartition("/")[2]) is not None


def no_projects(children: Children) -> NotFoundError:
    """Has the code BLANK if the storage may be blank by mistake, as a volume that is not mounted."""
    code = BLANK if children.blank else None
    return NotFoundError("the storage has no projects", public="This index has no packages yet", code=code)


def not_permitted(error: GatewayError) -> GatewayError:
    """Turns AccessDenied into NotFoundError: if nothing may be listed, there are only stored pages. Returns any other
    error as it is."""
    if error.code != ACCESS_DENIED:
        return error
    return NotFoundError("no permission to list the bucket, so no page can be made", code=error.code)
