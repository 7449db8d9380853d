"""Remembers which folders hold no release, as listings have shown. They are left out of the list of all projects.

They still count as ours: with fallback.mode, the name of an empty folder is never looked up in another index.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.executors import PAGES

if TYPE_CHECKING:
    from gateway.index.catalog.listing import Projects

# Most folders that are listed again for one request, to see whether they are still empty.
_MAX_DUE = 20


class EmptyFolders:
    """The projects whose folders were empty when they were last listed. They are left out for `refresh` seconds, then
    for as long again while they are listed once more: a first release appears within twice `refresh`."""

    def __init__(self, refresh: float, clock: Callable[[], float]) -> None:
        self._refresh = refresh
        self._clock = clock
        self._listed: dict[str, float] = {}  # by project
        self.changes = 0  # counts the calls of `forget` and `clear`
        self._shown: tuple[Projects, frozenset[str], Projects] | None = None

    def note(self, project: str, changes: int, *, empty: bool) -> None:
        """Remembers what a new listing of a project's folders shows; but not that they are empty if anything has been
        forgotten since there were so many `changes`, when the listing began: they may have a release by now."""
        if not empty:
            self._listed.pop(project, None)
        elif self.changes == changes:
            self._listed[project] = self._clock()

    async def without(self, projects: "Projects") -> "Projects":
        """`projects` without those whose folders are empty or whose names are odd; the same object as long as these
        are the same."""
        oldest = self._clock() - 2 * self._refresh
        self._listed = {project: listed for project, listed in self._listed.items() if listed > oldest}
        hidden = projects.odd.union(project for project in self._listed if project in projects.folders)
        if not hidden:
            return projects
        shown = self._shown
        if shown is None or shown[0] is not projects or shown[1] != hidden:
            folders = await PAGES.run(_but, projects.folders, hidden)
            shown = self._shown = projects, hidden, replace(projects, folders=folders, odd=frozenset())
        return shown[2]

    def due(self) -> list[str]:
        """A few of the projects that must be listed again soon, or they would appear."""
        oldest = self._clock() - self._refresh
        return [project for project, listed in self._listed.items() if listed <= oldest][:_MAX_DUE]

    def clear(self) -> None:
        """Forgets everything."""
        self.changes += 1
        self._listed.clear()

    def forget(self, project: str) -> None:
        """Forgets that a project's folders are empty."""
        self.changes += 1
        self._listed.pop(project, None)


def _but(folders: Mapping[str, tuple[str, ...]], names: frozenset[str]) -> dict[str, tuple[str, ...]]:
    return {name: found for name, found in folders.items() if name not in names}
