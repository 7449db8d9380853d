"""What the top of a storage says of its layout."""

from typing import cast

import pytest

from gateway.index.catalog.layout import recognise
from gateway.storage.base import Children, Storage, StoredObject

FILES = ("arrow-1.0-py3-none-any.whl", "arrow-1.0.tar.gz")


class Top:
    """A storage of which only the top can be listed."""

    def __init__(self, files: tuple[str, ...], folders: tuple[str, ...], prefix: str = "") -> None:
        self.files, self.folders, self.prefix = files, folders, prefix

    async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
        assert (prefix, limit) == (self.prefix, 1000)
        return Children(tuple(StoredObject(prefix + name, 1, '"e"', 0) for name in self.files), self.folders)


@pytest.mark.parametrize(
    ("files", "folders", "flat", "mixed", "empty"),
    [
        ((), (), False, False, True),
        ((), (".gateway", ".mirror", ""), False, False, True),
        ((".DS_Store",), (), False, False, True),
        ((), ("arrow",), False, False, False),
        (("index.html",), ("arrow",), False, False, False),
        (("index.html", "README.md"), (), False, False, False),
        (FILES, (), True, False, False),
        (FILES, (".gateway",), True, False, False),
        (FILES, ("arrow",), True, True, False),
        (("arrow-1.0.tar.gz.sha256",), ("arrow",), False, False, False),
        (("backup.zip", "notes.whl"), ("arrow",), False, False, False),
        (tuple(f"a-{number}.tar.gz" for number in range(1000)), (), True, True, False),
    ],
)
@pytest.mark.parametrize("root", ["", "team/"])
async def test_what_lies_at_the_top_tells(
    files: tuple[str, ...], folders: tuple[str, ...], flat: bool, mixed: bool, empty: bool, root: str
) -> None:
    layout = await recognise(cast(Storage, Top(files, folders, root)), root)
    assert (layout.flat, layout.mixed, layout.empty) == (flat, mixed, empty)
