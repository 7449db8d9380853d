"""Which folders hold no release, as far as that is known without looking for it. They are not listed as projects.

Only the list of all projects leaves them out: whether a name is ours (fallback.mode) is told by the folder itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from gateway.executors import PAGES

if TYPE_CHECKING:
    from gateway.index.catalog.listing import Projects

# So many folders that were empty are listed again for one request.
_MAX_DUE = 20


class EmptyFolders:
    """Those of the projects that were listed lately. An empty folder is left out for `refresh` seconds, and as long
    again while it is listed once more: so a first release appears within twice that."""

    def __init__(self, refresh: float, clock: Callable[[], float]) -> None:
        self._refresh = refresh
        self._clock = clock
        self._listed: dict[str, float] = {}  # by project
        self._shown: tuple[Projects, frozenset[str], Projects] | None = None

    def note(self, project: str, *, empty: bool) -> None:
        """What a new listing of a project's folders says."""
        if empty:
            self._listed[project] = self._clock()
        else:
            self._listed.pop(project, None)

    async def without(self, projects: "Projects") -> "Projects":
        """`projects` but those whose folders are empty, or whose names are odd; the same object for as long as they
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
        """Projects that should be listed again, or they will appear: a few of them."""
        oldest = self._clock() - self._refresh
        return [project for project, listed in self._listed.items() if listed <= oldest][:_MAX_DUE]

    def clear(self) -> None:
        """Nothing is known any more."""
        self._listed.clear()


def _but(folders: Mapping[str, tuple[str, ...]], names: frozenset[str]) -> dict[str, tuple[str, ...]]:
    return {name: found for name, found in folders.items() if name not in names}
