"""The advisories that the policy knows about the releases of a project."""

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from gateway.errors import UpstreamBusyError
from gateway.index.releases import Releases, Sources
from gateway.index.simple.pages import File

if TYPE_CHECKING:  # nothing of it is imported where it is off
    from gateway.index.screening.screen import Screen
    from gateway.policy.advisory import Advisory

_UNKNOWN = "Which advisories there are is not known now: try again"


class ReleaseAdvisories:
    """Advisories are about the projects of the other index. They are about our own where the policy is for these, too:
    elsewhere, a project of ours may have no more than its name in common with a public one."""

    def __init__(self, releases: Releases) -> None:
        self._releases = releases

    def version(self, sources: Sources) -> Hashable:
        """A value that changes when the advisories do."""
        return tuple(screen.version(sources.name) for screen in self._asked(sources, ()))

    async def about(self, sources: Sources, files: Sequence[File]) -> "Sequence[Advisory]":
        """Those about the project of these files, which are one version's; none if the policy withholds all of them.
        Raises UpstreamBusyError if they can't be known now: nobody must take that for an answer."""
        found: dict[str, Advisory] = {}
        for screen in self._asked(sources, files):
            told = await screen.advisories(sources.name)
            if told is None:
                raise UpstreamBusyError("the policy's advisories are not known now", public=_UNKNOWN)
            found |= {one.id: one for one in told}
        return [*found.values()]

    def _asked(self, sources: Sources, files: Sequence[File]) -> "list[Screen]":
        """The screens of where the files come from; without files, of all sources."""
        ours, theirs = self._releases.screens
        screens: list[Screen] = []
        if theirs is not None and sources.theirs is not None and not (files and all(file.is_ours for file in files)):
            screens.append(theirs)
        if ours is not None and sources.ours is not None and (not files or any(file.is_ours for file in files)):
            screens.append(ours)
        return screens
