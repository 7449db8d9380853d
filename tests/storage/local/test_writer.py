"""Writing into a directory: whole or not at all, and never outside."""

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BadRequestError, NotFoundError, PreconditionFailedError, UpstreamError
from gateway.messages import ObjectRequest
from gateway.storage.local.storage import LocalStorage
from gateway.storage.local.tree import TEMPORARY


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "packages").mkdir()
    (tmp_path / "outside").mkdir()
    return tmp_path / "packages"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


@pytest.fixture(autouse=True)
async def nothing_is_left(root: Path) -> AsyncIterator[None]:
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before
    assert [path for path in root.rglob("*") if path.name.startswith(TEMPORARY)] == []
    assert list((root.parent / "outside").iterdir()) == []


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_what_is_put_is_there_with_its_etag(storage: LocalStorage, root: Path) -> None:
    etag = await storage.put("new/arrow/a b.whl", chunks(b"con", b"", b"tent"))
    assert (root / "new/arrow/a b.whl").read_bytes() == b"content"
    answer = await storage.fetch(ObjectRequest("HEAD", "new/arrow/a b.whl"))
    assert answer.headers["ETag"] == etag
    await storage.put("new/arrow/a b.whl", chunks(b"other"))
    assert (root / "new/arrow/a b.whl").read_bytes() == b"other"


async def test_nobody_sees_a_file_before_it_is_whole(storage: LocalStorage, root: Path) -> None:
    async def looking() -> AsyncIterator[bytes]:
        yield b"half"
        [name] = os.listdir(root)
        assert name.startswith(TEMPORARY)
        assert not await storage.is_directory("arrow/")
        assert [item async for item in storage.list()] == []
        for key in ("arrow/a.whl", f"arrow/{name}"):
            with pytest.raises(NotFoundError):
                await storage.fetch(ObjectRequest("GET", key))
        yield b"whole"

    await storage.put("arrow/a.whl", looking())
    assert (root / "arrow/a.whl").read_bytes() == b"halfwhole"


async def test_an_uploader_that_breaks_off_leaves_what_was_there(storage: LocalStorage, root: Path) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    (root / "a.whl").write_bytes(b"before")
    with pytest.raises(ConnectionResetError):
        await storage.put("a.whl", breaking())
    assert (root / "a.whl").read_bytes() == b"before"


@pytest.mark.parametrize("there", [[], ["arrow"], ["arrow", "arrow/1.0"]])
async def test_an_uploader_that_breaks_off_leaves_the_directories_as_they_were(
    storage: LocalStorage, root: Path, there: list[str]
) -> None:
    """A project that has a directory is looked up nowhere else, be it empty."""
    for name in there:
        (root / name).mkdir()

    async def breaking() -> AsyncIterator[bytes]:
        yield b"half"
        raise ConnectionError

    for _ in range(2):
        with pytest.raises(ConnectionError):
            await storage.put("arrow/1.0/a.whl", breaking(), only_new=True)
    with pytest.raises(PreconditionFailedError):
        await storage.put("arrow/1.0/a.whl", chunks(b"x"), replaces='"1"')
    assert [str(path.relative_to(root)) for path in sorted(root.rglob("*"))] == there


async def test_a_directory_that_is_deleted_before_the_file_has_its_name_is_made_anew(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, missed = os.link, list[str]()

    def deleted_once(source: str, target: str, **options: Any) -> None:
        if not missed:
            missed.append(target)
            (root / "arrow").rmdir()
        link(source, target, **options)

    monkeypatch.setattr("os.link", deleted_once)
    await storage.put("arrow/a.whl", chunks(b"content"), only_new=True)
    assert missed == ["a.whl"]
    assert (root / "arrow/a.whl").read_bytes() == b"content"


async def test_one_who_is_cancelled_while_writing_leaves_nothing(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go, write = threading.Event(), threading.Event(), os.write
    held = []

    def slow(descriptor: int, data: bytes) -> int:
        if bytes(data) != b"content":
            return write(descriptor, data)
        entered.set()
        go.wait(20)
        held.append(os.fstat(descriptor).st_ino)  # it is still the same file's
        return write(descriptor, data)

    monkeypatch.setattr("gateway.storage.local.writer.os.write", slow)
    putting = asyncio.ensure_future(storage.put("a.whl", chunks(b"content")))
    await asyncio.to_thread(entered.wait, 20)
    [inode] = [path.stat().st_ino for path in root.iterdir()]
    putting.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert held == [inode]
    assert list(root.iterdir()) == []


async def test_of_many_who_create_one_wins(storage: LocalStorage, root: Path) -> None:
    results = await asyncio.gather(
        *(storage.put("d/k", chunks(bytes([number]) * 1000), only_new=True) for number in range(10)),
        return_exceptions=True,
    )
    assert len([result for result in results if isinstance(result, PreconditionFailedError)]) == 9
    won = next(number for number, result in enumerate(results) if isinstance(result, str))
    assert (root / "d/k").read_bytes() == bytes([won]) * 1000


async def test_a_delete_takes_empty_directories_with_it(storage: LocalStorage, root: Path) -> None:
    await storage.put("a/b/c/k", chunks(b"x"))
    await storage.put("a/other", chunks(b"x"))
    await storage.delete("a/b/c/k")
    assert [path.name for path in (root / "a").iterdir()] == ["other"]
    await storage.delete("a/other")
    assert list(root.iterdir()) == []
    for absent in ("a/other", "nope", "nope/nope"):
        await storage.delete(absent)


async def test_a_delete_takes_directories_with_it_in_which_only_killed_writers_have_left_something(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project that has a directory is looked up nowhere else."""
    monkeypatch.setattr("gateway.storage.local.writer._ABANDONED_SECONDS", 0.0)
    for name in ("one", "another", "kept", "busy"):
        await storage.put(f"{name}/k", chunks(b"x"))
        (root / name / f"{TEMPORARY}left").write_bytes(b"left")
    (root / "another" / f"{TEMPORARY}more").write_bytes(b"left")
    (root / "kept" / ".keep").touch()
    with (root / "busy" / f"{TEMPORARY}left").open("rb") as written:
        fcntl.flock(written, fcntl.LOCK_EX)
        for name in ("one", "another", "kept", "busy"):
            await storage.delete(f"{name}/k")
    left = [f"busy/{TEMPORARY}left", "kept/.keep", f"kept/{TEMPORARY}left"]
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()) == sorted(left)
    assert sorted(path.name for path in root.iterdir()) == ["busy", "kept"]
    for name in left:
        (root / name).unlink()


async def test_puts_and_deletes_side_by_side_lose_nothing(storage: LocalStorage, root: Path) -> None:
    async def coming_and_going(number: int) -> None:
        for _ in range(20):
            await storage.put(f"d/e/{number}", chunks(b"x"))
            await storage.delete(f"d/e/{number}")
        await storage.put(f"d/e/{number}", chunks(b"stays"))

    await asyncio.gather(*(coming_and_going(number) for number in range(8)))
    assert sorted(path.name for path in (root / "d/e").iterdir()) == [str(number) for number in range(8)]


@pytest.mark.parametrize("key", ["", "a/", "/a", "a//b", ".", "..", "../outside/k", "a/../k", "a\0b", f"{TEMPORARY}1"])
async def test_names_that_no_file_can_have_are_refused(storage: LocalStorage, root: Path, key: str) -> None:
    with pytest.raises(BadRequestError):
        await storage.put(key, chunks(b"x"))
    with pytest.raises(BadRequestError):
        await storage.delete(key)
    assert list(root.iterdir()) == []


async def test_no_link_leads_out(storage: LocalStorage, root: Path) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    with pytest.raises(NotFoundError):
        await storage.put("out/k", chunks(b"x"))
    with pytest.raises(NotFoundError):
        await storage.delete("out/k")
    target = root.parent / "outside-file"
    target.write_bytes(b"before")
    (root / "file").symlink_to(target)
    await storage.put("file", chunks(b"new"))  # takes the place of the link
    assert (target.read_bytes(), (root / "file").read_bytes()) == (b"before", b"new")


async def test_a_link_within_is_followed(storage: LocalStorage, root: Path) -> None:
    (root / "real").mkdir()
    (root / "alias").symlink_to("real")
    await storage.put("alias/k", chunks(b"x"))
    assert (root / "real/k").read_bytes() == b"x"
    await storage.delete("alias/k")
    assert (root / "alias").is_symlink()


async def test_what_the_system_refuses_is_explained(storage: LocalStorage, root: Path) -> None:
    (root / "file").write_bytes(b"x")
    (root / "directory").mkdir()
    for key in ("file/k", "directory", "n" * 300):
        with pytest.raises(UpstreamError, match="can't be written"):
            await storage.put(key, chunks(b"x"))
    assert (root / "file").read_bytes() == b"x"


@pytest.fixture
def left(root: Path) -> Iterator[Path]:
    """A file as a writer that was killed has left it."""
    (root / "arrow").mkdir()
    path = root / "arrow" / f"{TEMPORARY}1"
    path.write_bytes(b"half")
    yield path
    path.unlink(missing_ok=True)


async def test_what_killed_writers_have_left_is_removed_by_the_next(
    storage: LocalStorage, left: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.storage.local.writer._ABANDONED_SECONDS", 0.0)
    await storage.put("arrow/a.whl", chunks(b"content"))
    assert [path.name for path in left.parent.iterdir()] == ["a.whl"]


async def test_a_file_that_another_process_may_just_have_created_is_not_taken_for_left(
    storage: LocalStorage, left: Path
) -> None:
    await storage.put("arrow/a.whl", chunks(b"content"))
    assert left.exists()


async def test_what_is_being_written_is_not_taken_for_left(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.storage.local.writer._ABANDONED_SECONDS", 0.0)

    async def meanwhile() -> AsyncIterator[bytes]:
        yield b"half"
        await LocalStorage(root).put("arrow/b.whl", chunks(b"other"))
        yield b"whole"

    await LocalStorage(root).put("arrow/a.whl", meanwhile(), only_new=True)
    assert (root / "arrow/a.whl").read_bytes() == b"halfwhole"
