"""What a listing tells of projects and of the files of one; and what a listing that fails means."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.errors import ACCESS_DENIED, GatewayError, NotFoundError
from gateway.index.simple.names import is_companion, parse
from gateway.storage.base import Children, StoredObject

BLANK = "BlankDirectory"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Projects:
    """Folders by the normalised name of the project that they are of, in order; and whether the root has a page of
    its own. `odd` are names that no project has."""

    folders: Mapping[str, tuple[str, ...]]
    has_page: bool
    odd: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Files:
    """What lies in a project's folders, keys relative to the root; and which folders have a page of their own.
    `attested`: some have their provenance beside them (PEP 740)."""

    objects: tuple[StoredObject, ...]
    with_page: frozenset[str]
    attested: bool = False


def is_release(item: StoredObject) -> bool:
    """Whether it is a package file, by its name."""
    name = item.key.rpartition("/")[2]
    return not is_companion(name) and parse(name) is not None


def no_projects(children: Children) -> NotFoundError:
    """With the code BLANK where that may be because the storage is not what it was."""
    code = BLANK if children.blank else None
    return NotFoundError("the storage has no projects", public="This index has no packages yet", code=code)


def not_permitted(error: GatewayError) -> GatewayError:
    """Where nothing may be listed, what is stored is all there is. Any other error is what it is."""
    if error.code != ACCESS_DENIED:
        return error
    return NotFoundError("no permission to list the bucket, so no page can be made", code=error.code)
