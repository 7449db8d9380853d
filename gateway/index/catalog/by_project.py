"""Tells the projects of folders and files by their names. Pure."""

import re
from collections.abc import Iterable

from gateway.index.simple.names import beginning_project, is_companion, is_hidden, normalize, parse, release_of

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


def say_another(names: Iterable[str], project: str) -> bool:
    """Whether one of these file names begins like a release of another project than this one, by its normalised name,
    and is none, such as foo-1.0.whl.bak: the page of its folder shows it."""
    # Most names need no closer look.
    own = re.compile("[-_.]+".join(map(re.escape, project.split("-"))) + "-[0-9]", re.IGNORECASE)
    others = (name for name in names if own.match(name) is None and not is_companion(name))
    return any(beginning_project(name) not in (None, project) and parse(name) is None for name in others)


def odd_names(names: Iterable[str]) -> frozenset[str]:
    """The normalised names that no project can have, like those of `lost+found` and `__pycache__`."""
    return frozenset(name for name in names if _NAME.fullmatch(name) is None)
