"""Which projects and paths a key stands for, for those who decide who may read it. Pure.

What a key may mean is enough, whatever the storage has. A file in a folder stands for the folder's project and for the
one that its own name parses to: whoever reads it has to be permitted both.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from gateway.index.legacy.target import ReleaseTarget, release_target
from gateway.index.sboms.target import SbomTarget, sbom_target
from gateway.index.simple.names import COMPANIONS, SIMPLE, beginning_project, normalize, parse
from gateway.rights.policy import Listing, Resource

# Of a path that starts with `simple/` more often, those between the longest two and these have no rules of their own:
# whoever is not logged in decides how many there are.
_MOST_SIMPLE = 8
# Keys whose projects are remembered: finding them out takes some 13 µs. Clients choose how long a key is.
_MOST_REMEMBERED, _MAX_REMEMBERED = 4096, 255


class Resources:
    """Maps the keys of one index. `root` is the key above all projects, with its slash."""

    def __init__(
        self, root: str, *, index_document: str, by_folder: bool, root_page: Listing, generated: bool = False
    ) -> None:
        """`by_folder` is False if release files belong to no folder. `root_page` is what the root's page tells; its
        stored form tells everything, unless it is unknown whether the storage is an index: then it is STORED too.
        `generated`: pages are, and so are the documents of PyPI's JSON API; SBOMs in wheels are served."""
        self._root = root
        self._generated = generated
        self._index_document = index_document
        self.by_folder = by_folder
        self._root_page = root_page
        self._stored_root = Listing.STORED if root_page is Listing.STORED else Listing.COMPLETE
        self._remembered = lru_cache(_MOST_REMEMBERED)(lambda key: self.of(key).projects)

    def of(self, key: str) -> Resource:
        """What a key stands for. The same file may be known below `simple/`, and by a path with empty segments."""
        inner = key.removeprefix(self._root)
        if (target := self.release_target(key)) is not None:
            # It tells what the project's page tells, and whoever reads it has to be permitted that.
            return Resource((target.name,), self._told([f"/{inner}", f"/{target.name}/"]))
        if (sboms := self.sbom_target(key)) is not None:
            # They are part of the wheel, and whoever reads them has to be permitted that.
            wheel, rest = self.of(sboms.wheel), key.removeprefix(sboms.wheel)
            return replace(wheel, paths=(*wheel.paths, *(path + rest for path in wheel.paths)))
        segments = [segment for segment in inner.split("/") if segment]
        end = "/" * inner.endswith("/")
        simple = next((number for number, segment in enumerate(segments) if segment != SIMPLE), len(segments))
        levels = {simple, simple - 1, *range(min(simple, _MOST_SIMPLE) + 1)} - {-1}
        ways = [_path(segments[simple - kept :], end) for kept in sorted(levels, reverse=True)]
        segments = segments[simple:]
        known_as = self._told([f"/{inner}", *ways])
        if inner in ("", SIMPLE, f"{SIMPLE}/"):
            return Resource((), known_as, self._root_page)
        if not segments or segments == [self._index_document] or (not end and self._is_list(segments)):
            return Resource((), known_as, self._stored_root)  # other ways to the root lead only to a stored page
        return Resource(tuple(dict.fromkeys(self._projects(segments, bool(end)))), known_as)

    def release_target(self, key: str) -> ReleaseTarget | None:
        """What a key means to PyPI's JSON API; None if it means a page or a file. No file of the storage is served for
        the former: it would be one of a project called `pypi`."""
        return release_target(key.removeprefix(self._root)) if self._generated else None

    def sbom_target(self, key: str) -> SbomTarget | None:
        """Which SBOMs a key means; None if it means none, or a document of PyPI's JSON API. No file of the storage is
        served for them."""
        return sbom_target(key) if self._generated and self.release_target(key) is None else None

    def route(self, key: str) -> tuple[str, bool]:
        """What a key leads to, index or object, and whether what fails there is told as JSON: clients of PyPI's JSON
        API accept anything."""
        as_json = self.release_target(key) is not None
        is_page = as_json or not key or key.endswith("/") or self.sbom_target(key) is not None
        return "index" if is_page else "object", as_json

    def projects_of(self, key: str) -> tuple[str, ...]:
        """The projects that a key may stand for."""
        return self._remembered(key) if len(key) <= _MAX_REMEMBERED else self.of(key).projects

    def leads_to(self, key: str, project: str) -> bool:
        """Whether a key, with a slash at its end, would be that of the project's page."""
        segments = [segment for segment in key.removeprefix(self._root).split("/") if segment]
        while segments[:1] == [SIMPLE]:
            del segments[0]
        return len(segments) == 1 and normalize(segments[0]) == project

    def _told(self, paths: Iterable[str]) -> tuple[str, ...]:
        """These paths, and those of the files of which the answer tells: a directory shows its document, and a
        companion describes a file."""
        found = dict.fromkeys(paths)
        documents = [path + self._index_document for path in found if path.endswith("/")]
        return tuple(dict.fromkeys([*found, *documents, *map(_described, found)]))

    def _is_list(self, segments: list[str]) -> bool:
        """Whether a file may be another form of the root's stored page, such as bandersnatch's index.v1_json."""
        beginning = self._index_document.partition(".")[0] + "."
        return len(segments) == 1 and segments[0].startswith(beginning) and parse(segments[0]) is None

    def _projects(self, segments: list[str], is_folder: bool) -> Iterator[str]:
        folder, name = segments[0], segments[-1]
        if is_folder or name == self._index_document:
            yield normalize(folder)
            if (release := parse(name)) is not None:
                yield release.project  # a file with a slash after its name, to a storage that does not mind
            return
        name = _described(name)
        release = parse(name)
        if release is None or (self.by_folder and len(segments) > 1):
            yield normalize(folder)  # a name without a slash may lead to the folder of that name
        said = release.project if release is not None else beginning_project(name)
        if said is not None:
            yield said


class Paths(Resources):
    """Maps the keys of a site, which has no projects: a key stands for its path alone."""

    def __init__(self, root: str, encoded: Sequence[str] = ()) -> None:
        """`root` is the key of the site's root, with its slash. A file with one of the extensions `encoded` has the
        content of the one without it."""
        super().__init__(root, index_document="", by_folder=False, root_page=Listing.NO)
        self._encoded = tuple(encoded)

    def of(self, key: str) -> Resource:
        """A path with empty segments may lead to the one without them."""
        inner = key.removeprefix(self._root)
        segments = [segment for segment in inner.split("/") if segment]
        paths = [f"/{inner}", _path(segments, "/" * inner.endswith("/"))]
        files = [path.rstrip("/") for path in paths]  # some storages don't mind a slash after a name
        plain = [path.rpartition(".")[0] for path in files if path.endswith(self._encoded)]
        return Resource((), tuple(dict.fromkeys([*paths, *plain])))

    def leads_to(self, key: str, project: str) -> bool:
        """No key does."""
        return False


def _described(path: str) -> str:
    """The path of the file that one of COMPANIONS describes; any other path as it is."""
    for suffix in COMPANIONS:
        path = path.removesuffix(suffix)
    return path


def _path(segments: list[str], end: str) -> str:
    return f"/{'/'.join(segments)}{end}" if segments else "/"
