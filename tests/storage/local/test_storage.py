import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator
from email.utils import formatdate
from pathlib import Path

import pytest

from gateway.errors import NotFoundError, PreconditionFailedError, RangeNotSatisfiableError, UpstreamError
from gateway.executors import DISK
from gateway.messages import ObjectRequest, Stream
from gateway.storage.base import Children, ObjectMetadata
from gateway.storage.local.storage import LocalStorage

EPOCH = "Thu, 01 Jan 1970 00:00:00 GMT"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "packages"
    (root / "arrow").mkdir(parents=True)
    (root / "arrow" / "index.html").write_text("<a>")
    (root / "arrow" / "arrow-1.tar.gz").write_bytes(bytes(range(100)))
    (root / "empty").mkdir()
    (tmp_path / "secret").write_text("outside")
    return root


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


@pytest.fixture(autouse=True)
async def no_descriptor_stays_open() -> AsyncIterator[None]:
    gc.collect()  # what other tests have left must not be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def get(storage: LocalStorage, key: str, method: str = "GET", **headers: str) -> tuple[Stream, bytes]:
    stream = await storage.fetch(ObjectRequest(method, key, {n.replace("_", "-"): v for n, v in headers.items()}))
    body = b"".join([chunk async for chunk in stream.body]) if stream.body else b""
    stream.close()
    stream.close()  # is harmless
    return stream, body


async def test_a_file_is_an_object(storage: LocalStorage, root: Path) -> None:
    os.utime(root / "arrow" / "arrow-1.tar.gz", (0, 1369353600))
    stream, body = await get(storage, "arrow/arrow-1.tar.gz")
    assert (stream.status, body) == (200, bytes(range(100)))
    etag = stream.headers.pop("ETag")
    assert etag.startswith('"')
    assert stream.headers == {
        "Last-Modified": "Fri, 24 May 2013 00:00:00 GMT",
        "Accept-Ranges": "bytes",
        "Content-Type": "application/gzip",
        "Content-Length": "100",
    }


async def test_head_has_the_headers_of_get_and_no_body(storage: LocalStorage) -> None:
    whole, _ = await get(storage, "arrow/arrow-1.tar.gz")
    head, body = await get(storage, "arrow/arrow-1.tar.gz", method="HEAD")
    assert head.headers == whole.headers
    assert head.body is None
    assert body == b""


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("index.html", "text/html; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a-1-py3-none-any.whl", "application/octet-stream"),
        ("a-1.TAR.GZ", "application/gzip"),
        ("a-1.zip", "application/zip"),
        ("a-1.zip.provenance", "application/vnd.pypi.integrity.v1+json"),
        ("a-1.tar.bz2", "application/x-bzip2"),
        ("noend", "application/octet-stream"),
        ("a.json", "application/json"),
    ],
)
async def test_the_name_says_the_type(storage: LocalStorage, root: Path, name: str, content_type: str) -> None:
    (root / name).write_text("x")
    stream, _ = await get(storage, name)
    assert stream.headers["Content-Type"] == content_type
    assert "Content-Encoding" not in stream.headers


async def test_a_range_is_a_part(storage: LocalStorage) -> None:
    stream, body = await get(storage, "arrow/arrow-1.tar.gz", range="bytes=10-19")
    assert (stream.status, body) == (206, bytes(range(10, 20)))
    assert stream.headers["Content-Range"] == "bytes 10-19/100"
    assert stream.headers["Content-Length"] == "10"
    with pytest.raises(RangeNotSatisfiableError):
        await get(storage, "arrow/arrow-1.tar.gz", range="bytes=100-")


async def test_conditions_hold_against_the_etag(storage: LocalStorage, root: Path) -> None:
    stream, _ = await get(storage, "arrow/index.html")
    etag = stream.headers["ETag"]
    unchanged, body = await get(storage, "arrow/index.html", if_none_match=etag)
    assert (unchanged.status, body, unchanged.headers["ETag"]) == (304, b"", etag)
    (root / "arrow" / "new").write_text("<b>")
    (root / "arrow" / "new").replace(root / "arrow" / "index.html")
    changed, _ = await get(storage, "arrow/index.html", if_none_match=etag)
    assert changed.status == 200
    assert changed.headers["ETag"] != etag
    with pytest.raises(PreconditionFailedError):
        await get(storage, "arrow/index.html", if_match=etag)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "nope",
        "arrow",
        "arrow/",
        "arrow/index.html/",
        "arrow/index.html/x",
        "arrow//index.html",
        "/arrow/index.html",
        "../secret",
        "arrow/../../secret",
        "arrow/./index.html",
        "arrow/index.html\0.txt",
        "x" * 300,
        "/".join(["x"] * 3000),
        "\udcff",
    ],
)
async def test_what_is_no_file_below_the_root_is_not_found(storage: LocalStorage, key: str) -> None:
    with pytest.raises(NotFoundError):
        await get(storage, key)


async def test_symbolic_links_count_only_inside_the_root(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    (root / "inside").symlink_to("arrow")
    (root / "absolute").symlink_to(root / "arrow" / "index.html")
    (root / "file").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to("..")
    (root / "loop").symlink_to("loop")
    (root / "packages-evil").symlink_to(tmp_path / "packages-evil")
    (tmp_path / "packages-evil").write_text("outside, with the root's name as its prefix")
    assert (await get(storage, "inside/index.html"))[1] == b"<a>"
    assert (await get(storage, "absolute"))[1] == b"<a>"
    for key in ("file", "up/secret", "up/packages/arrow/index.html/../x", "loop", "packages-evil"):
        with pytest.raises(NotFoundError):
            await get(storage, key)
    listed = [item.key async for item in storage.list()]
    assert listed == [
        "absolute",
        "arrow/arrow-1.tar.gz",
        "arrow/index.html",
        "inside/arrow-1.tar.gz",
        "inside/index.html",
    ]
    taken = ("file", "loop", "packages-evil", "up")
    children = await storage.children()
    assert children.folders == ("arrow", "empty", "file", "inside", "loop", "packages-evil", "up")
    assert [item.key for item in children.objects] == ["absolute"]
    assert [await storage.children(f"{name}/") for name in taken] == [Children((), (), blank=True, absent=True)] * 4


async def test_dot_files_are_neither_served_nor_listed(storage: LocalStorage, root: Path) -> None:
    for name in (".env", ".git/config", "arrow/.htpasswd", "only/.keep"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("secret")
        with pytest.raises(NotFoundError):
            await get(storage, name)
    assert not await storage.is_directory(".git/")
    assert not await storage.is_directory("only/")
    children = await storage.children()
    assert (children.objects, children.folders) == ((), ("arrow", "empty", "only"))
    assert [item.key async for item in storage.list()] == ["arrow/arrow-1.tar.gz", "arrow/index.html"]
    (root / "indirect").symlink_to(".")
    with pytest.raises(NotFoundError):
        await get(storage, "indirect/.env")


async def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert (await get(LocalStorage(tmp_path / "link"), "arrow/index.html"))[1] == b"<a>"


async def test_pipes_and_sockets_are_not_found_and_hold_nothing_up(storage: LocalStorage, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(NotFoundError):
        await get(storage, "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_an_unreadable_file_is_not_found(storage: LocalStorage, root: Path) -> None:
    (root / "arrow" / "index.html").chmod(0)
    with pytest.raises(NotFoundError):
        await get(storage, "arrow/index.html")


async def test_a_missing_root_is_the_storage_s_fault_and_says_what_to_do(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "typo")
    await storage.start()
    for attempt in (get(storage, "a"), storage.check()):
        with pytest.raises(UpstreamError, match=r"typo can't be opened .*create it, or set storage\.dir"):
            await attempt


async def test_check_names_the_directory(storage: LocalStorage, root: Path) -> None:
    assert await storage.check() == {"backend": "file", "dir": str(root)}


async def test_a_prefix_goes_before_every_key(root: Path) -> None:
    storage = LocalStorage(root, "arrow/")
    assert (await get(storage, "index.html"))[1] == b"<a>"
    assert [item.key async for item in storage.list()] == ["arrow-1.tar.gz", "index.html"]
    with pytest.raises(NotFoundError):
        await get(storage, "../empty/x")


async def test_directories_are_those_with_something_in_them(storage: LocalStorage) -> None:
    found = [key for key in ("arrow/", "empty/", "nope/", "arrow/index.html/") if await storage.is_directory(key)]
    assert found == ["arrow/"]


async def test_keys_are_listed_in_the_order_of_s3(storage: LocalStorage, root: Path) -> None:
    for name in ("a/x", "a.txt", "a0", "é", "Z", "b/c/d"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / os.fsdecode(b"not-\xff-utf8")).write_text("x")
    keys = [item.key async for item in storage.list()]
    assert keys == sorted(keys, key=str.encode)
    assert {"a/x", "b/c/d", "é"} <= set(keys)
    assert [item.key async for item in storage.list("a")] == [
        "a.txt",
        "a/x",
        "a0",
        "arrow/arrow-1.tar.gz",
        "arrow/index.html",
    ]
    assert [item.key async for item in storage.list("arrow/i")] == ["arrow/index.html"]
    assert [item.key async for item in storage.list(limit=2)] == ["Z", "a.txt"]


async def test_a_large_file_comes_in_chunks(storage: LocalStorage, root: Path) -> None:
    content = os.urandom(1_000_003)
    (root / "large").write_bytes(content)
    stream = await storage.fetch(ObjectRequest("GET", "large"))
    assert stream.body is not None
    chunks = [chunk async for chunk in stream.body]
    assert b"".join(chunks) == content
    assert max(map(len, chunks)) <= 256 * 1024


async def test_a_file_cut_short_while_it_is_sent_is_an_error(storage: LocalStorage, root: Path) -> None:
    (root / "large").write_bytes(bytes(1_000_000))
    stream = await storage.fetch(ObjectRequest("GET", "large"))
    assert stream.body is not None
    os.truncate(root / "large", 300_000)
    with pytest.raises(UpstreamError, match="cut short"):
        async for _ in stream.body:
            pass
    stream.close()


# Linux's own files of settings say that they have a page of bytes, and have a few.
@pytest.mark.skipif(not Path("/sys/kernel/fscaps").exists(), reason="no sysfs")
async def test_a_small_file_that_is_shorter_than_it_says_is_an_error() -> None:
    short = Path("/sys/kernel/fscaps")
    assert 0 < len(short.read_bytes()) < short.stat().st_size
    with pytest.raises(UpstreamError, match="cut short"):
        await LocalStorage(short.parent).fetch(ObjectRequest("GET", short.name))


async def test_an_error_that_is_kept_holds_no_file_open(storage: LocalStorage) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotFoundError) as directory:
        await storage.fetch(ObjectRequest("GET", "arrow"))
    with pytest.raises(RangeNotSatisfiableError) as beyond:
        await storage.fetch(ObjectRequest("GET", "arrow/index.html", {"range": "bytes=1000-"}))
    assert len(os.listdir("/proc/self/fd")) == before
    assert directory.value.__traceback__ is not None
    assert beyond.value.__traceback__ is not None


@pytest.mark.parametrize(
    ("method", "headers"), [("HEAD", {}), ("GET", {}), ("GET", {"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"})]
)
async def test_a_file_of_which_nothing_is_left_to_read_is_closed(
    storage: LocalStorage, method: str, headers: dict[str, str]
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    stream = await storage.fetch(ObjectRequest(method, "arrow/index.html", headers))
    assert len(os.listdir("/proc/self/fd")) == before
    stream.close()


async def test_a_file_replaced_while_it_is_sent_goes_on_as_it_was(storage: LocalStorage, root: Path) -> None:
    (root / "large").write_bytes(bytes(1_000_000))
    stream = await storage.fetch(ObjectRequest("GET", "large"))
    (root / "new").write_bytes(b"x" * 1_000_000)
    (root / "new").replace(root / "large")
    assert stream.body is not None
    assert b"".join([chunk async for chunk in stream.body]) == bytes(1_000_000)


async def test_a_body_that_nobody_reads_is_closed(storage: LocalStorage, root: Path) -> None:
    (root / "large").write_bytes(bytes(1_000_000))
    stream = await storage.fetch(ObjectRequest("GET", "large"))
    assert stream.body is not None
    reading = asyncio.ensure_future(anext(aiter(stream.body)))
    await reading
    stream.close()


async def test_a_file_is_as_old_as_is_told_of_it(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    await storage.put("k", chunks(b"x"), metadata=ObjectMetadata(uploaded=1_500_000_000.25))
    (item,) = [item async for item in storage.list()]
    assert item.modified == 1_500_000_000.25


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(253402300800, "Fri, 31 Dec 9999 23:59:59 GMT"), (2**45, "Fri, 31 Dec 9999 23:59:59 GMT"), (-1, EPOCH)],
)
async def test_a_time_that_is_no_date_does_no_harm(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, seconds: int, shown: str
) -> None:
    """Of the file systems at hand, not all can keep such times."""
    fstat, stat = os.fstat, os.stat
    monkeypatch.setattr(os, "fstat", lambda *args: _dated(fstat(*args), seconds))
    monkeypatch.setattr(os, "stat", lambda *args, **options: _dated(stat(*args, **options), seconds))
    key = "arrow/arrow-1.tar.gz"
    stream, _ = await get(storage, key)
    assert stream.headers["Last-Modified"] == shown
    listed = [*(await storage.children("arrow/")).objects, *[item async for item in storage.list()]]
    listed += [item async for batch in storage.batches() for item in batch.objects or ()]
    assert {formatdate(item.modified, usegmt=True) for item in listed} == {shown}
    assert len(listed) == 6


def _dated(info: os.stat_result, seconds: int) -> os.stat_result:
    return os.stat_result((*info[:8], seconds, *info[9:]), {"st_mtime": float(seconds), "st_mtime_ns": seconds * 10**9})


async def test_a_listing_is_made_off_the_loop(storage: LocalStorage) -> None:
    made: list[str] = []

    class Thread(str):
        def __add__(self, name: str) -> str:
            made.append(threading.current_thread().name)
            return str(self) + name

    assert len((await storage.children(Thread("arrow/"))).objects) == 2
    assert {name.partition("_")[0] for name in made} == {"gateway-disk"}


@pytest.mark.parametrize("is_there", [True, False])
async def test_a_listing_during_which_the_directory_goes_is_none(
    storage: LocalStorage, root: Path, *, is_there: bool
) -> None:
    """As when a volume is unmounted: what was listed until then would seem to be all."""
    for folder in ("a", "z"):
        (root / folder).mkdir()
        for number in range(1000):
            (root / folder / f"p{number}-1.0.tar.gz").touch()
    batches = storage.batches()
    assert len((await anext(batches)).objects or ()) == 1000
    root.rename(root.with_name("gone"))
    if is_there:
        root.mkdir()
    with pytest.raises(UpstreamError, match="was replaced" if is_there else "can't be opened"):
        _ = [batch async for batch in batches]


async def test_a_listing_says_what_could_not_be_looked_at(storage: LocalStorage, root: Path) -> None:
    (root / "zoo").symlink_to("/nowhere")
    (root / "lost+found").symlink_to("/nowhere")
    batches = [batch async for batch in storage.batches()]
    assert [batch.missed for batch in batches] == [None, "zoo"]
    assert [item.key for batch in batches for item in batch.objects or ()] == [
        "arrow/arrow-1.tar.gz",
        "arrow/index.html",
    ]
    again = [batch async for batch in storage.batches(known={batch.digest for batch in batches})]
    assert [(batch.digest, batch.missed) for batch in again] == [(batch.digest, batch.missed) for batch in batches]
    (root / "zoo").unlink()
    assert [batch.missed async for batch in storage.batches()] == [None]


async def test_of_many_who_replace_a_file_one_wins(tmp_path: Path) -> None:
    """Of more than there are threads: none of them may need a thread that waits for it."""
    storage, writers = LocalStorage(tmp_path), range(3 * DISK.threads)
    first = await storage.put("k", chunks(b"first"))
    results = await asyncio.gather(
        *(storage.put("k", chunks(str(number).encode()), replaces=first) for number in writers), return_exceptions=True
    )
    (won,) = [number for number, result in enumerate(results) if isinstance(result, str)]
    assert all(isinstance(result, str | PreconditionFailedError) for result in results)
    assert (tmp_path / "k").read_bytes() == str(won).encode()
    with pytest.raises(PreconditionFailedError):
        await storage.put("none", chunks(b"x"), replaces=first)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k"]
