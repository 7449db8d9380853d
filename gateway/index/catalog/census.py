"""How many projects and files an index has, for `gateway check`."""

from dataclasses import dataclass

from gateway.index.catalog.layout import Layout
from gateway.index.simple.names import is_hidden, normalize, release_of
from gateway.storage.base import Storage

# Ten requests to S3.
_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class Census:
    """`whole` is False if there are more objects than were counted. `misplaced` are package files that this layout does
    not show."""

    projects: int
    files: int
    misplaced: int
    whole: bool

    def __str__(self) -> str:
        text = f"{_number(self.projects, 'project')}, {_number(self.files, 'file')}"
        return text if self.whole else f"at least {text} (among the first {_COUNTED:,} objects)"


async def count(storage: Storage, root: str, layout: Layout, index_document: str) -> Census:
    """Counts among the first ten thousand objects. Raises GatewayErrors if the storage can't be listed."""
    projects: set[str] = set()
    seen = files = misplaced = 0
    async for item in storage.list(root, limit=_COUNTED):
        seen += 1
        folder, _, name = item.key.removeprefix(root).rpartition("/")
        if any(is_hidden(segment) for segment in folder.split("/") if segment):
            continue
        if name == index_document and folder and "/" not in folder:
            projects.add(normalize(folder))
        elif (release := release_of(name)) is not None:
            if layout.flat:
                projects.add(release.project)
            elif folder and "/" not in folder:
                projects.add(normalize(folder))
            else:
                misplaced += 1
                continue
            files += 1
    return Census(len(projects), files, misplaced, seen < _COUNTED)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
