"""Recognises a storage's layout by what lies at its top: a folder for each project, or files anywhere."""

from dataclasses import dataclass

from gateway.index.catalog.listing import is_release
from gateway.index.simple.names import is_hidden
from gateway.storage.base import Storage

# One listing page of S3.
_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class Layout:
    """`flat`: release files lie at the top, and file names tell the projects. `mixed`: folders may lie beside them.
    `empty`: nothing is there yet to recognise the layout by."""

    flat: bool = False
    mixed: bool = False
    empty: bool = False

    def __str__(self) -> str:
        if self.flat:
            return "files at the top and in folders" if self.mixed else "files at the top"
        return "nothing yet" if self.empty else "a folder for each project"


async def recognise(storage: Storage, root: str) -> Layout:
    """Looks at the first thousand entries directly below `root`, with one request to S3. Raises GatewayErrors if the
    storage can't be listed.

    One release at the top is enough for a flat layout, which shows the files in folders too: otherwise files of ours
    could stay hidden, and another index be asked for their projects.
    """
    children = await storage.children(root, limit=_LOOKED_AT)
    folders = [folder for folder in children.folders if folder and not is_hidden(folder)]
    names = [name for item in children.objects if (name := item.key.removeprefix(root)) and not is_hidden(name)]
    truncated = len(children.folders) + len(children.objects) >= _LOOKED_AT
    flat = any(is_release(item) for item in children.objects)
    return Layout(flat, mixed=flat and (bool(folders) or truncated), empty=not (folders or names))
