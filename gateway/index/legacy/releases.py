"""The releases of a project, by version. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from packaging.version import InvalidVersion, Version

from gateway.index.simple.names import parse
from gateway.index.simple.pages import File, Project

# Memory that the files of a project take here, for each file.
FILE_BYTES = 1024
_MAX_VERSION_CHARS = 128


@dataclass(frozen=True, slots=True)
class ProjectReleases:
    """The files that may be seen, by versions in ascending order, and the versions of which the policy withholds all.
    Of each version, the newest of which is `newest`, files are in order of their names."""

    files: Mapping[Version, Sequence[File]]
    withheld: frozenset[Version]
    newest: Version | None

    def find(self, version: str | None) -> Version | None:
        """The version that is meant, which may be written in another way; without `version`, the newest. None if there
        is no such version."""
        if version is None:
            return self.newest
        if len(version) > _MAX_VERSION_CHARS:
            return None
        try:
            found = Version(version)
        except InvalidVersion:
            return None
        if found not in self.files and found not in self.withheld:
            return None
        return next(known for known in (*self.files, *self.withheld) if known == found)  # as it is written there

    @property
    def weight(self) -> int:
        """Approximate bytes in memory."""
        return FILE_BYTES * (1 + len(self.withheld) + sum(map(len, self.files.values())))


def releases_of(project: Project) -> ProjectReleases:
    """Files that are no releases are left out."""
    by_version: defaultdict[Version, list[File]] = defaultdict(list)
    for file in project.files:
        if (release := parse(file.name)) is not None:
            by_version[release.version].append(file)
    withheld = {release.version for name in project.withheld if (release := parse(name)) is not None}
    files = {version: sorted(by_version[version], key=lambda file: file.name) for version in sorted(by_version)}
    newest = max(files, key=lambda version: _rank(version, files[version]), default=None)
    return ProjectReleases(files, frozenset(withheld - files.keys()), newest)


def yanked(files: Sequence[File]) -> str | None:
    """Why all these files are yanked, which may be empty; None if one of them is not, or there are none."""
    reasons = [file.yanked for file in files if file.yanked is not None]
    return max(reasons, key=bool) if reasons and len(reasons) == len(files) else None


def _rank(version: Version, files: Sequence[File]) -> tuple[bool, bool, Version]:
    """Pre-releases come before releases, and yanked versions before both."""
    return yanked(files) is None, not version.is_prerelease, version
