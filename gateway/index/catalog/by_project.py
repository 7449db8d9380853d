"""Tells the projects of folders and files by their names. Pure."""

import re
from collections.abc import Iterable

from gateway.index.simple.names import is_hidden, normalize, release_of

# A release's name starts and ends with a letter or a digit, and so does its project's.
_NAME = re.compile(r"\w(?:[\w-]*\w)?")


def by_project(folders: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The folders by the normalised names of their projects, sorted. Hidden folders belong to no project."""
    found: dict[str, tuple[str, ...]] = {}
    for folder in folders:
        if folder and not is_hidden(folder):  # a key that starts with a slash lies in a folder without a name
            name = normalize(folder)
            found[name] = (*found.get(name, ()), folder)
    return dict(sorted(found.items()))


def released(names: Iterable[str]) -> frozenset[str]:
    """The normalised names of the projects of which these file names name releases."""
    return frozenset(release.project for name in names if (release := release_of(name)))


def odd_names(names: Iterable[str]) -> frozenset[str]:
    """The normalised names that no project can have, like those of `lost+found` and `__pycache__`."""
    return frozenset(name for name in names if _NAME.fullmatch(name) is None)
