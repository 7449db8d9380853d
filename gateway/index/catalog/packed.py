"""A listing in little memory: its objects that belong to projects, packed in batches. Pure.

Half a million objects take some 60 MB; as StoredObjects they would take 300.
"""

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from sys import intern

from gateway.index.catalog.listing import Files
from gateway.index.simple.names import PROVENANCE, is_companion, is_hidden, normalize, parse
from gateway.storage.base import StoredObject

_SEPARATOR = "\0"  # no request can ask for a key that contains it
_RELEASE, _COMPANION, _PAGE = range(3)


class PackedBatch:
    """The objects of one batch of a listing, in its order."""

    __slots__ = ("_etags", "_keys", "_modified", "_sizes", "has_page", "kinds", "owners", "projects")

    def __init__(self, objects: Sequence[StoredObject], root: str, index_document: str) -> None:
        """The keys of the objects start with `root`."""
        keys, etags, numbers = [], [], defaultdict[str, int]()
        numbers.default_factory = lambda: len(numbers)
        self._sizes, self._modified = array("Q"), array("d")
        self.owners, self.kinds = array("I"), bytearray()
        self.has_page = False
        for item in objects:
            key = item.key.removeprefix(root)
            if key == index_document:
                self.has_page = True
            elif (owner := _owner(key, index_document)) is not None:
                project, kind = owner
                keys.append(key)
                etags.append(item.etag)
                self._sizes.append(item.size)
                self._modified.append(item.modified)
                self.owners.append(numbers[project])
                self.kinds.append(kind)
        self._keys, self._etags = _SEPARATOR.join(keys), _SEPARATOR.join(etags)
        self.projects = tuple(map(intern, numbers))

    def items(self, numbers: Iterable[int]) -> list[tuple[int, StoredObject]]:
        """The objects with these numbers, each with its kind."""
        keys, etags = self._keys.split(_SEPARATOR), self._etags.split(_SEPARATOR)
        return [
            (self.kinds[number], StoredObject(keys[number], self._sizes[number], etags[number], self._modified[number]))
            for number in numbers
        ]


class PackedListing:
    """All batches of a listing, in order: which projects there are, and the files of each."""

    def __init__(self, batches: Sequence[PackedBatch]) -> None:
        self._batches = batches
        self._starts: list[int] = []  # the number of each batch's first item
        self._items: defaultdict[str, array[int]] = defaultdict(lambda: array("I"))
        known, start = set(), 0
        for batch in batches:
            self._starts.append(start)
            for item, (owner, kind) in enumerate(zip(batch.owners, batch.kinds, strict=True), start):
                project = batch.projects[owner]
                self._items[project].append(item)
                if kind != _COMPANION:
                    known.add(project)
            start += len(batch.owners)
        self.has_page = any(batch.has_page for batch in batches)
        self.folders: Mapping[str, tuple[str, ...]] = {project: (project,) for project in sorted(known)}

    def count(self, project: str) -> int:
        """How many objects the project has."""
        return len(self._items.get(project, ()))

    def files(self, project: str) -> Files | None:
        """The project's files; None if it has neither a release nor a page."""
        if project not in self.folders:
            return None
        numbers = defaultdict(list)
        for item in self._items[project]:
            batch = bisect_right(self._starts, item) - 1
            numbers[batch].append(item - self._starts[batch])
        found = [item for batch in sorted(numbers) for item in self._batches[batch].items(numbers[batch])]
        objects = {item.key: item for kind in (_RELEASE, _COMPANION) for of, item in found if of == kind}
        pages = frozenset(item.key.rpartition("/")[0] for kind, item in found if kind == _PAGE)
        released = any(kind == _RELEASE for kind, _ in found)
        folders = {key.partition("/")[0] for key in objects if "/" in key}
        return Files(
            tuple(objects.values()) if released else (),
            pages,
            released and any(key.endswith(PROVENANCE) for key in objects),
            released and any(normalize(folder) != project for folder in folders),
        )


def _owner(key: str, index_document: str) -> tuple[str, int] | None:
    """The project that an object belongs to, and the object's kind."""
    folder, _, name = key.rpartition("/")
    if _SEPARATOR in key or any(is_hidden(segment) for segment in folder.split("/") if segment):
        return None
    if name == index_document and folder and "/" not in folder:
        return normalize(folder), _PAGE
    companion = is_companion(name)
    release = parse(name.rpartition(".")[0] if companion else name)
    return (release.project, _COMPANION if companion else _RELEASE) if release is not None else None
