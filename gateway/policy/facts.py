"""What rules look at: a release file, its version and kind by its name, and what is known of it elsewhere. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import NamedTuple, Protocol

from packaging.version import InvalidVersion, Version

from gateway.policy.advisory import Advisory

_SDIST_SUFFIXES = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tar.Z", ".tgz", ".tbz", ".txz")
_MAX_VERSION = 128


class ReleaseFile(Protocol):
    """As the page of an index lists it. `modified` is its upload time, in seconds since the epoch."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int | None: ...
    @property
    def modified(self) -> float | None: ...
    @property
    def requires_python(self) -> str | None: ...
    @property
    def hashes(self) -> Mapping[str, str]: ...


class Traits(NamedTuple):
    """What decides about a file, but for its age and size. Few files of a page are alone with theirs."""

    kind: str
    version: Version | None
    requires_python: str | None
    licence: str | None
    provenance: str | None


@dataclass(frozen=True, slots=True)
class ProjectFacts:
    """What is known of the files of a project beside its page. `seen` has, by name and hash, the times before which
    files can't have been there (see seen.py), and `first_page` is when its page was read first; both are in seconds
    since the epoch. `licences` and `provenance` are by the names of files. None of these, and of `advisories`, means
    that nobody looked, or that it can't be known now."""

    seen: Mapping[tuple[str, str], float] = field(default_factory=lambda: MappingProxyType({}))
    first_page: float | None = None
    advisories: tuple[Advisory, ...] | None = ()
    licences: Mapping[str, str] | None = None
    provenance: Mapping[str, str] | None = None

    def traits(self, file: ReleaseFile) -> Traits:
        name = file.name
        licence = self.licences.get(name) if self.licences is not None else None
        provenance = self.provenance.get(name) if self.provenance is not None else None
        return Traits(kind_of(name), version_of(name), file.requires_python, licence, provenance)

    def out_since(self, file: ReleaseFile, now: float) -> float | None:
        """Since when the file can be had, or None if that isn't known. What the index says of a file that came after
        the first page can't be older than the look before. A time that lies in the future is none."""
        told = file.modified
        if told is not None and told > now:
            return None
        seen = self.seen.get(name_and_hash(file)) if self.seen else None
        if seen is not None:
            return seen if told is None else max(seen, told)
        return told if told is not None else self.first_page


def name_and_hash(file: ReleaseFile) -> tuple[str, str]:
    """A file that is replaced by another one of its name is a new one."""
    known = file.hashes.get("sha256") or ",".join(f"{name}={file.hashes[name]}" for name in sorted(file.hashes))
    return file.name, known


def identity(file: ReleaseFile) -> str:
    """Its name and hash, to be remembered: all identities have the same length, but an index chooses how long a name
    is."""
    name, known = name_and_hash(file)
    return blake2b(f"{name} {known}".encode(), digest_size=16).hexdigest()


def kind_of(name: str) -> str:
    """wheel, sdist or other."""
    if name.endswith(".whl"):
        return "wheel"
    return "sdist" if name.endswith(_SDIST_SUFFIXES) else "other"


def version_of(name: str) -> Version | None:
    """The version in the name of a file that is known to be a release; None if it can't be told."""
    return _parsed(_version_text(name))


def versions_of(names: Iterable[str]) -> set[Version]:
    """All that can be told."""
    texts = set(map(_version_text, names))
    return {version for text in texts if (version := _parsed(text)) is not None}


def _version_text(name: str) -> str:
    """Empty if there is none, or one that is too long."""
    if name.endswith(".whl"):
        parts = name.split("-", 2)
        text = parts[1] if len(parts) > 2 else ""
    else:
        suffix = next((suffix for suffix in _SDIST_SUFFIXES if name.endswith(suffix)), None)
        text = name.removesuffix(suffix).rpartition("-")[2] if suffix else name.partition("-")[2].partition("-")[0]
    return text if len(text) <= _MAX_VERSION else ""


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Version | None:
    """A page has many files of one version."""
    try:
        return Version(text)
    except InvalidVersion:
        return None
