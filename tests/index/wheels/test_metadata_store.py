"""Facts that outlive the process: what a second start costs, and a second gateway; and what spoils neither."""

import asyncio
import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cache.disk.cache import DiskCache
from gateway.cache.lru import MemoryLimit
from gateway.config.load import load
from gateway.errors import UpstreamError
from gateway.index.catalog.listing import Files
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.known_metadata import Entry, from_document, to_document
from gateway.index.wheels.metadata_store import DiskMetadataStore, metadata_stores
from gateway.storage.base import ObjectMetadata, StoredObject
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.http import fetch
from tests.support.memorystorage import MemoryStorage
from tests.support.wheels import wheel

JSON = "application/vnd.pypi.simple.v1+json"
WHEELS = dict(wheel("proj", f"1.{number}") for number in range(20))
HASHES = {name: hashlib.sha256(content).hexdigest() for name, content in WHEELS.items()}
DOCUMENT = ".gateway/metadata/proj.json"


async def hashes(gateway: Gateway) -> dict[str, str]:
    """As the page says now."""
    answer = await fetch(int(gateway.url.rpartition(":")[2]), "/proj/", headers={"Accept": JSON})
    assert answer.status == 200
    files = json.loads(answer.body)["files"]
    return {file["filename"]: file["hashes"]["sha256"] for file in files if file["hashes"]}


def asked(faulty: FaultyBucket) -> Counter[str]:
    """What was asked for since, of release files and of documents."""
    found = Counter(
        f"{request.method} {'document' if request.key == DOCUMENT else 'file'}"
        for request in faulty.requests
        if "list-type" not in request.target
    )
    faulty.requests.clear()
    return found


@pytest.fixture(params=["dir", "bucket", "both"])
def settings(
    request: pytest.FixtureRequest, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    faulty.objects = {f"proj/{name}": content for name, content in WHEELS.items()}
    settings = dict(faulty_settings)
    if request.param != "bucket":
        settings["cache.dir"] = str(tmp_path / "cache")
    if request.param != "dir":
        settings["index.share_metadata"] = "true"
    return settings


async def test_a_second_start_finds_out_nothing_and_its_first_page_says_all(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    shown = asyncio.Event()

    async def after_the_first_page(answer: faults.Answer) -> None:
        if answer.request.key.startswith("proj/"):
            await shown.wait()
        await faults.healthy(answer)

    faulty.then(after_the_first_page, times=60)
    first = await start_gateway(settings)
    assert await hashes(first) == {}
    shown.set()
    await first.mount.metadata.settled()
    assert await hashes(first) == HASHES
    spent = asked(faulty)
    assert (spent["HEAD file"], spent["GET file"]) == (20, 20)
    second = await start_gateway(settings)
    assert await hashes(second) == HASHES
    await second.mount.metadata.settled()
    assert asked(faulty) <= Counter({"GET document": 1})
    name, content = wheel("proj", "2.0")
    faulty.objects[f"proj/{name}"] = content
    second.refresh()
    await hashes(second)
    await second.mount.metadata.settled()
    spent = asked(faulty)
    assert (spent["HEAD file"], spent["GET file"]) == (1, 1)
    third = await start_gateway(settings)
    assert await hashes(third) == HASHES | {name: hashlib.sha256(content).hexdigest()}


async def test_the_longest_reason_of_a_yank_outlives_the_process_too(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    for name in WHEELS:
        faulty.headers[f"proj/{name}"] = [("x-amz-meta-yanked", "x" * 4000)]
    first = await start_gateway(settings)
    await hashes(first)
    await first.mount.metadata.settled()
    asked(faulty)
    assert await hashes(await start_gateway(settings)) == HASHES
    assert asked(faulty) <= Counter({"GET document": 1})


async def test_what_was_found_before_the_end_is_not_lost(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    first = await start_gateway(settings)
    held = asyncio.Event()
    seen = 0

    async def half(answer: faults.Answer) -> None:
        nonlocal seen
        if answer.request.key.endswith(".whl"):
            seen += 1
            if seen > 20:
                held.set()
                await faults.stall(answer)
        await faults.healthy(answer)

    faulty.then(half, times=300)
    await hashes(first)
    await held.wait()
    await first.mount.metadata.close()
    known = len(first.mount.metadata.of("proj").entries)
    assert known > 5
    second = await start_gateway(settings)
    assert len(await hashes(second)) == known


async def test_gateways_side_by_side_lose_nothing(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    gateways = [await start_gateway(settings) for _ in range(3)]
    await asyncio.gather(*(hashes(gateway) for gateway in gateways))
    await asyncio.gather(*(gateway.mount.metadata.settled() for gateway in gateways))
    for gateway in gateways:
        assert await hashes(gateway) == HASHES
    asked(faulty)
    assert await hashes(await start_gateway(settings)) == HASHES
    assert asked(faulty) <= Counter({"GET document": 1})


async def test_what_one_gateway_finds_out_of_a_new_file_no_other_finds_out_again(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    gateways = [await start_gateway(settings) for _ in range(3)]
    for gateway in gateways:
        await hashes(gateway)
        await gateway.mount.metadata.settled()
    asked(faulty)
    name, content = wheel("proj", "2.0")
    faulty.objects[f"proj/{name}"] = content
    for gateway in gateways:
        gateway.refresh()
        await hashes(gateway)
        await gateway.mount.metadata.settled()
    spent = asked(faulty)
    assert (spent["HEAD file"], spent["GET file"]) == (1, 1)
    for gateway in gateways:
        assert await hashes(gateway) == HASHES | {name: hashlib.sha256(content).hexdigest()}
    assert asked(faulty) == {}, "nor is anything read for a listing that is known"


async def test_a_listing_of_which_all_is_known_costs_no_document(
    start_gateway: StartGateway, faulty: FaultyBucket, settings: dict[str, str]
) -> None:
    gateway = await start_gateway(settings)
    await hashes(gateway)
    await gateway.mount.metadata.settled()
    asked(faulty)
    del faulty.objects[f"proj/{next(iter(WHEELS))}"]
    gateway.refresh()
    assert len(await hashes(gateway)) == 19
    await gateway.mount.metadata.settled()
    assert asked(faulty) == {}


async def test_a_document_on_disk_that_has_changed_is_not_believed(tmp_path: Path) -> None:
    store = DiskMetadataStore(DiskCache(tmp_path, 100_000_000, "metadata"))
    files = {f"p/p-{number}.tar.gz": Entry('"e" 0', ObjectMetadata("ab" * 32)) for number in range(20_000)}
    document = to_document(files)
    assert len(document) > 1_500_000
    await store.write("p", document, None)
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > len(document)]
    with path.open("r+b") as file:
        file.seek(document.index(b"abab", 1_400_000))
        file.write(b"ac")
    other = DiskMetadataStore(DiskCache(tmp_path, 100_000_000, "metadata"))
    with pytest.raises(UpstreamError):
        await other.read("p")
    assert await other.read("p") == (b"", None), "it is removed"


async def test_few_documents_on_disk_stay_open(tmp_path: Path) -> None:
    """Each takes a descriptor, and every mount has such a store."""
    settings = load({"cache.dir": str(tmp_path), "storage.dir": str(tmp_path / "files")}, environ={}, cwd=tmp_path)
    [store] = metadata_stores(settings, MemoryStorage(settings.storage), "")
    for number in range(20):
        await store.write(f"p{number}", b"{}", None)
        assert await store.read(f"p{number}") == (b"{}", None)
    opened = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    assert len([path for path in opened if path.startswith(str(tmp_path))]) == 2


async def test_a_file_that_comes_while_another_is_looked_at_is_looked_at_too() -> None:
    class Finder:
        compute = True
        gate = asyncio.Event()

        async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
            await self.gate.wait()
            return ObjectMetadata("ab" * 32)

    class Store:
        reads = writes = 0
        gate = asyncio.Event()

        async def read(self, project: str) -> tuple[bytes, None]:
            self.reads += 1
            if self.reads == 2:  # for the second listing; a save reads too
                await self.gate.wait()
            return b"", None

        async def write(self, project: str, document: bytes, etag: str | None) -> None:
            self.writes += 1
            raise UpstreamError("no place")

    finder, store = Finder(), Store()
    book = FileMetadata(finder, MemoryLimit(1_000_000), [store], retry_seconds=0)  # type: ignore[arg-type]
    first, second = (StoredObject(f"p/p-{number}.tar.gz", 1, '"e"', 0.0) for number in (1, 2))
    await book.want_once("p", Files((first,), frozenset()))
    asking = asyncio.ensure_future(book.want_once("p", Files((first, second), frozenset())))
    await eventually(lambda: store.reads == 2)
    finder.gate.set()
    await eventually(lambda: store.writes == 1)
    store.gate.set()
    await asking
    await book.settled()
    assert book.of("p").get(second) == ObjectMetadata("ab" * 32)


async def test_what_is_being_saved_at_the_end_is_saved() -> None:
    class Finder:
        compute = True

        async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
            return ObjectMetadata("ab" * 32)

    class Store:
        document, writes = b"", 0
        began = asyncio.Event()

        async def read(self, project: str) -> tuple[bytes, None]:
            return self.document, None

        async def write(self, project: str, document: bytes, etag: str | None) -> None:
            self.writes += 1
            if self.writes == 1:
                self.began.set()
                await asyncio.Event().wait()
            self.document = document

    store = Store()
    book = FileMetadata(Finder(), MemoryLimit(1_000_000), [store], retry_seconds=0)  # type: ignore[arg-type]
    item = StoredObject("p/p-1.tar.gz", 1, '"e"', 0.0)
    await book.want_once("p", Files((item,), frozenset()))
    async with asyncio.timeout(20):
        await store.began.wait()
    await book.close()
    assert [*from_document(store.document)] == ["p/p-1.tar.gz"]


@pytest.mark.parametrize("document", [b"", b"garbage", b"[" * 50_000, b'{"format":2,"files":[]}', b"\xff" * 20_000_000])
async def test_a_document_that_is_spoilt_is_written_anew(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], document: bytes
) -> None:
    faulty.objects = {f"proj/{name}": content for name, content in WHEELS.items()} | {DOCUMENT: document}
    gateway = await start_gateway(faulty_settings | {"index.share_metadata": "true"})
    await hashes(gateway)
    await gateway.mount.metadata.settled()
    assert await hashes(gateway) == HASHES
    assert len(json.loads(faulty.objects[DOCUMENT])["files"]) == 20


async def test_where_it_can_t_be_written_pages_are_as_they_were(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    faulty.objects = {f"{project}/{name}": b"x" for project in ("a", "proj") for name in (f"{project}-1.tar.gz",)}

    async def read_only(answer: faults.Answer) -> None:
        await (error(403, "AccessDenied") if answer.request.method == "PUT" else faults.healthy)(answer)

    faulty.then(read_only, times=100)
    gateway = await start_gateway(faulty_settings | {"index.share_metadata": "true"})
    for project in ("a", "proj"):
        for _ in range(2):
            answer = await fetch(int(gateway.url.rpartition(":")[2]), f"/{project}/", headers={"Accept": JSON})
            await gateway.mount.metadata.settled()
        assert json.loads(answer.body)["files"][0]["hashes"]
    assert caplog.text.count("can't be written (index.share_metadata)") == 1
    assert sum(request.method == "PUT" for request in faulty.requests) == 1


async def test_what_is_kept_is_nobody_s_to_see(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"proj/{name}": content for name, content in WHEELS.items()}
    for layout in ("project", "flat"):
        gateway = await start_gateway(faulty_settings | {"index.share_metadata": "true", "index.layout": layout})
        await hashes(gateway)
        await gateway.mount.metadata.settled()
        assert DOCUMENT in faulty.objects
        port = int(gateway.url.rpartition(":")[2])
        for path in (f"/{DOCUMENT}", "/.gateway/", "/.gateway/metadata/", "/simple/.gateway/metadata/"):
            assert (await fetch(port, path)).status == 404, path
        assert b"gateway/" not in (await fetch(port, "/simple/")).body


async def test_in_a_directory_too(start_gateway: StartGateway, tmp_path: Path) -> None:
    folder = tmp_path / "packages" / "proj"
    folder.mkdir(parents=True)
    for name, content in WHEELS.items():
        (folder / name).write_bytes(content)
    settings = {"storage.dir": str(tmp_path / "packages"), "index.share_metadata": "true"}
    gateway = await start_gateway(settings)
    await hashes(gateway)
    await gateway.mount.metadata.settled()
    assert (tmp_path / "packages" / DOCUMENT).exists()
    assert await hashes(await start_gateway(settings)) == HASHES
