"""What killed writers leave in a directory."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from gateway.errors import UpstreamError
from gateway.storage.base import ObjectMetadata
from gateway.storage.local.storage import LocalStorage
from gateway.storage.local.tree import TEMPORARY
from gateway.storage.upkeep import CopySource, UnfinishedUpload

LEFT = f"{TEMPORARY}0123456789abcdef"


def left(folder: Path, *, seconds: float = 3600) -> Path:
    """A temporary file whose writer has gone."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / LEFT
    file.write_bytes(b"half")
    then = time.time() - seconds
    os.utime(file, (then, then))
    return file


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's change time can't be set, so the time that a writer may take to lock it is over at once."""
    monkeypatch.setattr("gateway.storage.local.writer._ABANDONED_SECONDS", 0.0)


async def listed(storage: LocalStorage) -> list[UnfinishedUpload]:
    return [upload async for upload in storage.upkeep.unfinished()]


@pytest.mark.usefixtures("long_ago")
async def test_they_are_listed_and_removed(tmp_path: Path) -> None:
    files = [left(tmp_path), left(tmp_path / "acme"), left(tmp_path / ".gateway")]
    left(tmp_path / ".private")
    (tmp_path / "link").symlink_to(tmp_path / ".private")
    storage = LocalStorage(tmp_path)
    found = await listed(storage)
    assert [upload.key for upload in found] == [LEFT, f".gateway/{LEFT}", f"acme/{LEFT}"]
    assert found[0].begun == pytest.approx(time.time() - 3600, abs=60)
    for upload in [*found, found[0], UnfinishedUpload(f"gone/{LEFT}", LEFT, 0.0)]:
        await storage.upkeep.give_up(upload)
    assert not any(file.exists() for file in files)
    assert await listed(storage) == []


@pytest.mark.usefixtures("long_ago")
async def test_below_a_prefix_only_what_is_there(tmp_path: Path) -> None:
    left(tmp_path / "acme")
    file = left(tmp_path / "pypi" / "acme")
    storage = LocalStorage(tmp_path, "pypi/")
    [upload] = await listed(storage)
    assert upload.key == f"acme/{LEFT}"
    await storage.upkeep.give_up(upload)
    assert not file.exists()


@pytest.mark.usefixtures("long_ago")
async def test_what_is_being_written_stays(tmp_path: Path) -> None:
    file = left(tmp_path)
    storage = LocalStorage(tmp_path)
    [upload] = await listed(storage)
    with file.open("rb") as open_file:
        fcntl.flock(open_file, fcntl.LOCK_EX)
        with pytest.raises(UpstreamError, match="is being written"):
            await storage.upkeep.give_up(upload)
    assert file.exists()


async def test_what_a_writer_may_not_have_locked_yet_stays(tmp_path: Path) -> None:
    file = left(tmp_path)
    storage = LocalStorage(tmp_path)
    with pytest.raises(UpstreamError, match="is being written"):
        await storage.upkeep.give_up((await listed(storage))[0])
    assert file.exists()


async def test_nothing_is_copied_by_the_file_system(tmp_path: Path) -> None:
    upkeep = LocalStorage(tmp_path).upkeep
    assert upkeep.place is None
    with pytest.raises(UpstreamError):
        await upkeep.copy_source("a", '"e"')
    with pytest.raises(UpstreamError):
        await upkeep.copy(CopySource(None, "a", '"e"', 1, {}), "b", ObjectMetadata(), only_new=True, in_parts=False)


async def test_a_link_that_leads_nowhere_has_its_name(tmp_path: Path) -> None:
    (tmp_path / "pypi" / "web").mkdir(parents=True)
    (tmp_path / "pypi" / "web" / "web-1.0.tar.gz").symlink_to("../pool/web-1.0.tar.gz")
    upkeep = LocalStorage(tmp_path, "pypi/").upkeep
    assert await upkeep.is_taken("web/web-1.0.tar.gz")
    assert not await upkeep.is_taken("web/web-2.0.tar.gz")
