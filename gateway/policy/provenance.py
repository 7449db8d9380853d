"""What provenance (PEP 740) tells of a file, beside that of earlier versions. Pure.

A file has these words, with spaces between them:

| word                                          | if                                                         |
|-----------------------------------------------|------------------------------------------------------------|
| `github:acme/web github:acme/web@release.yml` | it is attested: by whom, without and with the workflow     |
| `none`                                        | the index offers no provenance for it                      |
| `invalid`                                     | what the index offers does not verify                      |
| and `lost`                                    | it is `none` or `invalid`, but a lower version is attested |
| and `changed`                                 | it is attested, but a lower version is by somebody else    |
| and `?`                                       | it is neither yet: not all is known of lower versions      |

A lower version is attested, and by whom, if the one of its files is that was uploaded first, of those for which the
index offers provenance: anybody who publishes can add a file to an old version. All lower versions count, not just the
one before: whoever has taken a project over may publish twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2b
from itertools import chain
from math import inf
from operator import itemgetter
from typing import Protocol, TypeVar

from packaging.version import Version

from gateway.policy.facts import ReleaseFile, version_of

NONE, INVALID, LOST, CHANGED, OPEN = "none", "invalid", "lost", "changed", "?"


class AttestedFile(ReleaseFile, Protocol):
    """`provenance` is the URL of what attests it."""

    @property
    def provenance(self) -> str | None: ...


F = TypeVar("F", bound=AttestedFile)


def without_looking(file: AttestedFile) -> str | None:
    """The word for a file whose page says it all; None if there is provenance to look at."""
    if file.provenance is None:
        return NONE
    return None if file.hashes.get("sha256") else INVALID  # it may be that of any file


def identity_of(file: AttestedFile, root: str) -> str:
    """Of what is verified: another file, provenance elsewhere, or another root of trust, may have another outcome."""
    text = f"{root} {file.hashes.get('sha256')} {file.name} {file.provenance}"  # no name of a release has a space
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def fits(words: str, patterns: Iterable[str]) -> bool | None:
    """Whether a word fits a pattern, such as `github:acme/*`; None if that is not known yet."""
    found = words.split(" ")
    if any(fnmatchcase(word, pattern.lower()) for word in found if word != OPEN for pattern in patterns):
        return True
    return None if OPEN in found and asks_about_earlier(patterns) else False


def asks_about_earlier(patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(word, pattern.lower()) for word in (LOST, CHANGED) for pattern in patterns)


def told(files: Iterable[AttestedFile], found: Mapping[str, str]) -> dict[str, str]:
    """The words for each file, by its name. `found` has what is known of a file alone: `none`, `invalid`, or who
    published it. Nothing is told of others."""
    words = dict[str, str]()
    publishers, is_open = set[str](), False
    for version, group in reversed(_by_version(files)):
        for file in group:
            if (alone := found.get(file.name)) is not None:
                words[file.name] = " ".join((alone, *_beside(alone, publishers, is_open)))
        first = _first(group) if version is not None else None
        if first is not None:
            alone = found.get(first.name)
            if alone is None:
                is_open = True
            elif _is_attested(alone):
                publishers.add(_publisher(alone))
    return words


def needed(files: Iterable[F], name: str, *, earlier: bool) -> list[F]:
    """The files to be looked at for all words about the one of this name; or for the words about it alone."""
    groups = _by_version(files)
    for at, (_, group) in enumerate(groups):
        wanted = [file for file in group if file.name == name]
        if wanted:
            lower = _firsts(groups[at + 1 :]) if earlier else ()
            return [file for file in chain(wanted, lower) if without_looking(file) is None]
    return []


def in_order(files: Iterable[F]) -> Iterator[F]:
    """Those to be looked at: first of the highest version, then one of each other, then all. Some come twice."""
    groups = _by_version(files)
    every = (file for _, group in groups for file in group)
    ordered = chain(*(group for _, group in groups[:2]), _firsts(groups[2:]), every)
    return (file for file in ordered if without_looking(file) is None)


def _beside(alone: str, publishers: set[str], is_open: bool) -> Iterator[str]:
    """What a file is beside lower versions, which are by these publishers, and by others if it `is_open`."""
    attested = _is_attested(alone)
    if publishers - {_publisher(alone)}:
        yield CHANGED if attested else LOST
    elif is_open:
        yield OPEN


def _is_attested(alone: str) -> bool:
    return alone not in (NONE, INVALID)


def _publisher(alone: str) -> str:
    return alone.partition(" ")[0]


def _by_version(files: Iterable[F]) -> list[tuple[Version | None, list[F]]]:
    """From the highest version on; before it, as if they were higher, files whose names tell none."""
    known, unknown = defaultdict[Version, list[F]](list), list[F]()
    for file in files:
        version = version_of(file.name)
        (unknown if version is None else known[version]).append(file)
    return [(None, unknown), *sorted(known.items(), key=itemgetter(0), reverse=True)]


def _firsts(groups: Iterable[tuple[Version | None, list[F]]]) -> Iterator[F]:
    return (first for version, group in groups if version is not None and (first := _first(group)) is not None)


def _first(group: Iterable[F]) -> F | None:
    """The file that stands for a version."""
    offered = [file for file in group if without_looking(file) is None]
    return min(offered, key=lambda file: (file.modified if file.modified is not None else inf, file.name), default=None)
