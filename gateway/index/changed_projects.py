"""When projects were last said to have changed: what caches know of their files from before may not be so any more. No
I/O."""

import time
from collections.abc import Callable

from gateway.index.resources import Resources

# When more projects than this have changed, all count as changed.
_MOST = 256


class ChangedProjects:
    """Times are of a monotonic clock, in seconds."""

    def __init__(self, resources: Resources, clock: Callable[[], float] = time.monotonic) -> None:
        self._resources = resources
        self._clock = clock
        self._at: dict[str, float] = {}
        self._all_at = float("-inf")

    def note(self, project: str) -> None:
        """The project, by its normalised name, has changed: a file of it may have been deleted."""
        if project not in self._at and len(self._at) >= _MOST:
            self._all_at = self._clock()
            self._at.clear()
        self._at[project] = self._clock()

    def since(self, key: str) -> float:
        """When a project that the key may stand for has changed last; negative infinity if never."""
        if not self._at:
            return self._all_at
        return max(self._all_at, *(self._at.get(project, self._all_at) for project in self._resources.projects_of(key)))
