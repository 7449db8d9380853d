"""Buckets in every layout, another index, and who may read which of their files by the sentences of the manual."""

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gateway.principal import Principal, Right
from tests.support.rights import GivenRule, may
from tests.support.wheels import sboms_wheel


@dataclass(frozen=True)
class File:
    """A file of ours, or of the other index. `path` is the one at which clients get it, and `told` what its content has
    and nothing else. `owner` is the path of the file that it describes."""

    path: str
    project: str
    version: str
    told: str
    content: bytes
    theirs: bool = False
    owner: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @cached_property
    def marks(self) -> list[str]:
        """What no answer has but for who may read the file."""
        md5 = hashlib.md5(self.content, usedforsecurity=False)
        return [md5.hexdigest(), hashlib.sha256(self.content).hexdigest(), self.told]


def sdist(folder: str, project: str, version: str, told: str = "", **others: Any) -> File:
    told = f"told by {told or version}"
    name = f"{project.replace('-', '_')}-{version}.tar.gz"
    return File(f"/{folder}{name}", project, version, told, told.encode(), **others)


def built(folder: str, project: str, version: str, **others: Any) -> File:
    told = f"Version: {version}"  # in its METADATA and in its SBOM
    name, content = sboms_wheel(project.replace("-", "_"), version, {"a.json": told.encode()})
    return File(f"/{folder}{name}", project, version, told, content, **others)


YANKED = sdist("acme-web/", "acme-web", "7002.0")
MANUAL = File("/docs/latest.pdf", "", "7009", "told by 7009", b"told by 7009")
PAGE = File("/docs/index.html", "", "", "told by 7010", b"told by 7010")
OF_FOLDERS = [
    built("acme-web/", "acme-web", "7001.0"),
    YANKED,
    File(f"{YANKED.path}.yanked", "acme-web", "", "told by 7003", b"told by 7003", owner=YANKED.path),
    sdist("Acme_Db/", "acme-db", "7004.0"),
    sdist("acme-db/", "acme-db", "7005.0"),
    sdist("acme-web/", "zulu", "7006.0"),  # it is none of its folder's
    sdist("zulu/", "zulu", "7007.0"),
    MANUAL,
    PAGE,
]
FLAT = [
    built("", "acme-web", "7011.0"),
    sdist("public/", "acme-web", "7012.0"),
    sdist("internal/", "acme-web", "7012.0", "another"),  # one name in two folders
    sdist("internal/", "acme-db", "7013.0"),
    built("internal/", "zulu", "7014.0"),
    sdist("Acme_Db/", "acme-db", "7015.0"),
    MANUAL,
    PAGE,
]
THEIRS = [
    sdist("elsewhere/", "elsewhere", "8001.0", theirs=True),
    built("elsewhere/", "elsewhere", "8002.0", theirs=True),
    sdist("acme-web/", "acme-web", "8003.0", theirs=True),
    sdist("acme-db/", "acme-db", "8004.0", theirs=True),
    # These have the names of files of ours, in some layouts. Nobody may get them in their place.
    *(sdist("acme-web/", "acme-web", version, f"no {version}", theirs=True) for version in ("7002.0", "7012.0")),
    *(sdist("acme-db/", "acme-db", version, f"no {version}", theirs=True) for version in ("7004.0", "7013.0")),
]


@dataclass(frozen=True)
class World:
    """How things lie, and what the gateway does with the other index."""

    layout: str  # or `hash`: pypicloud's
    mode: str
    always: bool
    cache: str

    @property
    def ours(self) -> list[File]:
        return OF_FOLDERS if self.layout in ("project", "hash") else FLAT

    def projects(self, file: File) -> set[str]:
        """As the manual has it: the project of the folder, unless folders are none, and that of the file's name."""
        folder = re.sub("[-_.]+", "-", file.path.split("/")[1]).lower()
        by_folder = self.layout in ("project", "auto") and file.path.count("/") > 1
        return {file.project} - {""} | ({folder} if by_folder or not file.project else set())

    def settings(self, directory: Path) -> dict[str, str]:
        layout = {"hash": {"storage.prepend_hash": "true"}}.get(self.layout, {"index.layout": self.layout})
        caches = {
            "none": {},
            "memory": {"cache.memory_bytes": "8MB"},
            "disk": {"cache.memory_bytes": "8MB", "cache.dir": str(directory / "cache"), "cache.disk_bytes": "100MB"},
            "redirects": {"cache.memory_bytes": "8MB", "storage.redirect_urls": "true"},
            "unchecked": {"storage.redirect_urls": "true", "storage.redirect_check": "false"},
        }
        always = {
            "fallback.always_show_upstream": str(self.always and self.mode != "none").lower(),
            "fallback.mode": self.mode,
        }
        return {"index.layout": "auto"} | layout | caches[self.cache] | always

    def key(self, file: File) -> str:
        key = file.path[1:]
        return f"{hash_of(file.name)}/{key}" if self.layout == "hash" and file is not PAGE else key


class Oracle:
    def __init__(self, world: World, rules: list[GivenRule], default: list[str]) -> None:
        self._world = world
        self._rights = rules, {Right.READ: default}, frozenset({"carol"})
        self._names = {file.name for file in world.ours}
        self._all_names = [file.name for file in [*world.ours, *THEIRS]]

    def may(self, who: Principal, file: File, right: Right = Right.READ) -> bool:
        """Whether all projects and paths of a file permit it."""
        paths = {file.path, file.owner or file.path}
        return all(
            may(*self._rights, who, right, project, path)
            for project in self._world.projects(file) or {""}
            for path in paths
        )

    def hides(self, who: Principal, file: File) -> bool:
        """Whether nothing may tell of a file. One that is kept among ours needs no further right."""
        if file.theirs and file.name in self._names:
            return True
        fetched = file.theirs and self._world.mode != "cache"
        return not self.may(who, file) or (fetched and not self.may(who, file, Right.FALLBACK))

    def told_by_name(self, file: File) -> bool:
        """Whether an answer that has the version tells of this file, and of no other."""
        return bool(file.version) and sum(file.name == name for name in self._all_names) == 1


def hash_of(name: str) -> str:
    """In which pypicloud puts a file."""
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()[:4]
