"""Hashes and Requires-Python in pages: where they come from, in which order, and never a wrong one."""

import asyncio
import base64
import gc
import hashlib
import io
import json
import random
import threading
import weakref
import zipfile
from collections import Counter
from typing import ClassVar

import pytest

from gateway.app import Gateway
from gateway.cache.lru import LruCache, MemoryLimit, MemoryPool
from gateway.errors import UpstreamError
from gateway.index.catalog.listing import Files
from gateway.index.wheels.file_metadata import FileMetadata
from gateway.index.wheels.known_metadata import from_document
from gateway.storage.base import ObjectMetadata, StoredObject
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.bucket import Bucket
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error
from tests.support.http import exchange, fetch
from tests.support.wheels import wheel

JSON = "application/vnd.pypi.simple.v1+json"
NAME, CONTENT = wheel("proj", "1.0")
SHA = hashlib.sha256(CONTENT).hexdigest()
OTHER = "ab" * 32


async def files(gateway: Gateway) -> dict[str, dict[str, object]]:
    """Of the project's page, once everything is known."""
    for _ in range(2):
        answer = await fetch(int(gateway.url.rpartition(":")[2]), "/proj/", headers={"Accept": JSON})
        await gateway.mount.metadata.settled()
    return {file["filename"]: file for file in json.loads(answer.body)["files"]}


async def test_a_hash_is_computed_behind_the_page(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"proj/{NAME}": CONTENT, "proj/proj-0.9.tar.gz": b"sdist", "proj/notes.txt": b"x"}
    gateway = await start_gateway(faulty_settings)
    go_on = asyncio.Event()

    async def held(answer: faults.Answer) -> None:
        if answer.request.key.startswith("proj/proj"):
            await go_on.wait()
        await faults.healthy(answer)

    faulty.then(held, times=20)
    first = await fetch(int(gateway.url.rpartition(":")[2]), "/proj/", headers={"Accept": JSON})
    assert [file["hashes"] for file in json.loads(first.body)["files"]] == [{}, {}, {}]
    go_on.set()
    found = await files(gateway)
    assert found[NAME]["hashes"] == {"sha256": SHA}
    assert found["proj-0.9.tar.gz"]["hashes"] == {"sha256": hashlib.sha256(b"sdist").hexdigest()}
    assert found["notes.txt"]["hashes"] == {}, "it is no release"
    faulty.requests.clear()
    gateway.refresh()
    assert (await files(gateway))[NAME]["hashes"] == {"sha256": SHA}
    assert {request.method for request in faulty.requests if "list-type" not in request.target} == set()


async def test_without_computing_what_nothing_tells_is_not_told(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"proj/proj-0.9.tar.gz": b"sdist"}
    gateway = await start_gateway(faulty_settings | {"index.compute_hashes": "false"})
    assert (await files(gateway))["proj-0.9.tar.gz"]["hashes"] == {}


@pytest.mark.parametrize(
    ("headers", "beside", "expected"),
    [
        ([("x-amz-meta-sha256", OTHER.upper())], None, OTHER),
        ([("x-amz-meta-hash_sha256", OTHER)], None, OTHER),
        ([("x-amz-checksum-sha256", base64.b64encode(bytes.fromhex(OTHER)).decode())], None, OTHER),
        ([], f"{OTHER}  {NAME}\n".encode(), OTHER),
        ([("x-amz-meta-sha256", OTHER)], f"{'cd' * 32}\n".encode(), OTHER),
        ([("x-amz-meta-sha256", "nonsense")], b"nonsense", SHA),
        ([("x-amz-checksum-sha256", base64.b64encode(bytes.fromhex(OTHER)).decode() + "-3")], None, SHA),
    ],
)
async def test_what_is_told_comes_first(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    headers: list[tuple[str, str]],
    beside: bytes | None,
    expected: str,
) -> None:
    faulty.objects[f"proj/{NAME}"] = CONTENT
    faulty.headers[f"proj/{NAME}"] = headers
    if beside is not None:
        faulty.objects[f"proj/{NAME}.sha256"] = beside
    gateway = await start_gateway(faulty_settings)
    assert (await files(gateway))[NAME]["hashes"] == {"sha256": expected}


async def test_requires_python_is_read_out_of_the_wheel(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "proj-2.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: proj\nVersion: 2.0\nRequires-Python: >=3.11,<4\n",
        )
    faulty.objects = {"proj/proj-2.0-py3-none-any.whl": buffer.getvalue(), f"proj/{NAME}": CONTENT}
    faulty.objects["proj/proj-3.0-py3-none-any.whl"] = b"no wheel"
    found = await files(await start_gateway(faulty_settings))
    assert found["proj-2.0-py3-none-any.whl"]["requires-python"] == ">=3.11,<4"
    assert "requires-python" not in found[NAME]
    assert found["proj-3.0-py3-none-any.whl"]["hashes"] != {}


async def test_a_file_that_is_replaced_never_gets_the_hash_of_another(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    bucket_etag = hashlib.md5(b"one").hexdigest()
    faulty.objects = {"proj/proj-1.0.tar.gz": b"one"}
    gateway = await start_gateway(faulty_settings | {"index.refresh": "0"})
    storage = gateway.storage
    listed = [item async for item in storage.list("proj/")]
    assert len(listed) == 1
    assert bucket_etag
    faulty.objects = {"proj/proj-1.0.tar.gz": b"two"}
    found = (await files(gateway))["proj-1.0.tar.gz"]["hashes"]
    assert found in ({}, {"sha256": hashlib.sha256(b"two").hexdigest()})


async def test_what_can_t_be_found_out_now_is_asked_for_again(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"proj/proj-1.0.tar.gz": b"sdist"}
    gateway = await start_gateway(faulty_settings | {"index.refresh": "0", "storage.max_attempts": "1"})

    async def failing(answer: faults.Answer) -> None:
        listing = "list-type" in answer.request.target
        await (faults.healthy if listing else error(500, "InternalError"))(answer)

    faulty.then(failing, times=4)
    answer = await fetch(int(gateway.url.rpartition(":")[2]), "/proj/", headers={"Accept": JSON})
    assert answer.status == 200
    await gateway.mount.metadata.settled()
    assert (await files(gateway))["proj-1.0.tar.gz"]["hashes"] == {"sha256": hashlib.sha256(b"sdist").hexdigest()}


async def test_on_a_real_server(bucket: Bucket, start_gateway: StartGateway) -> None:
    bucket.put(f"proj/{NAME}", CONTENT)
    bucket.client.put_object(Bucket=bucket.name, Key="proj/proj-2.0.tar.gz", Body=b"x", Metadata={"hash_sha256": OTHER})
    found = await files(await start_gateway(bucket.settings()))
    assert found[NAME]["hashes"] == {"sha256": SHA}
    assert found["proj-2.0.tar.gz"]["hashes"] == {"sha256": OTHER}


async def test_a_file_beside_it_yanks_a_release_and_says_why(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {
        f"proj/{NAME}": CONTENT,
        f"proj/{NAME}.yanked": b"breaks <everything>\n",
        "proj/proj-0.9.zip": b"x",
    }
    asked = asyncio.Event()

    async def after_the_first_page(answer: faults.Answer) -> None:
        if answer.request.key.endswith(".yanked"):
            await asked.wait()
        await faults.healthy(answer)

    faulty.then(after_the_first_page, times=20)
    gateway = await start_gateway(faulty_settings)
    first = await fetch(int(gateway.url.rpartition(":")[2]), "/proj/", headers={"Accept": JSON})
    assert json.loads(first.body)["files"][1]["yanked"] is True, "at once, before the reason is known"
    asked.set()
    found = await files(gateway)
    assert (found[NAME]["yanked"], found["proj-0.9.zip"]["yanked"]) == ("breaks <everything>", False)
    assert set(found) == {NAME, "proj-0.9.zip"}
    del faulty.objects[f"proj/{NAME}.yanked"]
    faulty.headers["proj/proj-0.9.zip"] = [("x-amz-meta-yanked", "old")]
    faulty.objects["proj/proj-0.9.zip"] = b"another version, or what is known of it stands"
    gateway.refresh()
    found = await files(gateway)
    assert (found[NAME]["yanked"], found["proj-0.9.zip"]["yanked"]) == (False, "old")


async def test_a_hash_that_comes_later_or_changes_is_found(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects[f"proj/{NAME}"] = CONTENT
    gateway = await start_gateway(faulty_settings | {"index.compute_hashes": "false"})
    for content, hashes in [
        (None, {}),
        (b"nonsense", {}),
        (OTHER.encode(), {"sha256": OTHER}),
        (SHA.encode(), {"sha256": SHA}),
    ]:
        if content is not None:
            faulty.objects[f"proj/{NAME}.sha256"] = content
        gateway.refresh()
        assert (await files(gateway))[NAME]["hashes"] == hashes


def asked(faulty: FaultyBucket) -> Counter[str]:
    """How often for a file, by what."""
    found: Counter[str] = Counter()
    for request in faulty.requests:
        if "list-type" not in request.target:
            found["range" if "range" in request.headers else request.method] += 1
    return found


BIG_FIRST = io.BytesIO()
with zipfile.ZipFile(BIG_FIRST, "w") as big:
    big.writestr("proj-1.0.dist-info/METADATA", "Name: proj\nVersion: 1.0\nRequires-Python: >=3.9\n")
    big.writestr("proj/data", random.Random(1).randbytes(300_000))


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (CONTENT, [], {"HEAD": 1, "GET": 1}),
        (BIG_FIRST.getvalue(), [], {"HEAD": 1, "GET": 1}),
        (CONTENT, [("x-amz-meta-sha256", SHA)], {"HEAD": 1, "range": 1}),
        (BIG_FIRST.getvalue(), [("x-amz-meta-sha256", OTHER)], {"HEAD": 1, "range": 2}),
        (CONTENT, [("x-amz-meta-sha256", SHA), ("x-amz-meta-requires-python", ">=3.9")], {"HEAD": 1}),
    ],
)
async def test_a_file_costs_no_more_requests_than_it_takes(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    content: bytes,
    headers: list[tuple[str, str]],
    expected: dict[str, int],
) -> None:
    faulty.objects = {f"proj/{NAME}": content}
    faulty.headers = {f"proj/{NAME}": headers}
    found = await files(await start_gateway(faulty_settings))
    assert asked(faulty) == expected
    if content != CONTENT or len(headers) == 2:
        assert found[NAME]["requires-python"] == ">=3.9"


async def test_the_metadata_of_a_wheel_too_large_to_keep_is_read_beside_the_hash(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("proj-1.0.dist-info/METADATA", "Name: proj\nRequires-Python: >=3.10\n")
        archive.writestr("proj/data", bytes(3_000_000))
    faulty.objects = {f"proj/{NAME}": buffer.getvalue()}
    found = await files(await start_gateway(faulty_settings))
    assert asked(faulty) == {"HEAD": 1, "GET": 1, "range": 1}
    assert found[NAME]["requires-python"] == ">=3.10"
    assert found[NAME]["hashes"] == {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest()}


async def test_no_metadata_is_promised_that_can_t_be_read(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """pip installs nothing of a release whose metadata is promised, and then is 404."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("proj-1.0.dist-info/METADATA", "Name: proj\n\n" + "a long README\n" * 100_000)
    beside, sound = wheel("proj", "2.0")[0], wheel("proj", "3.0")[0]
    faulty.objects = {f"proj/{name}": buffer.getvalue() for name in (NAME, beside)}
    faulty.objects |= {f"proj/{beside}.metadata": b"Name: proj\nVersion: 2.0\n", f"proj/{sound}": CONTENT}
    found = await files(await start_gateway(faulty_settings))
    promised = {name: (file.get("core-metadata"), file.get("dist-info-metadata")) for name, file in found.items()}
    assert promised == {NAME: (None, None), beside: (True, True), sound: (True, True)}


async def test_what_is_said_of_another_version_than_the_listing_s_is_not_believed(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {"proj/proj-1.0.tar.gz": b"one"}
    gateway = await start_gateway(faulty_settings | {"index.compute_hashes": "false"})

    async def replaced(answer: faults.Answer) -> None:
        if "list-type" in answer.request.target:
            faulty.then(replaced)
        else:
            faulty.objects = {"proj/proj-1.0.tar.gz": b"two"}
            faulty.headers = {"proj/proj-1.0.tar.gz": [("x-amz-meta-sha256", OTHER)]}
        await faults.healthy(answer)

    faulty.then(replaced)
    assert (await files(gateway))["proj-1.0.tar.gz"]["hashes"] == {}
    gateway.refresh()
    assert (await files(gateway))["proj-1.0.tar.gz"]["hashes"] == {"sha256": OTHER}


async def test_a_release_is_as_old_as_its_metadata_says(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    told = {"proj-1.0.tar.gz": "2019-05-06T07:08:09.5Z", "proj-2.0.tar.gz": "2020-01-01", "proj-3.0.tar.gz": "99999"}
    faulty.objects = {f"proj/{name}": b"x" for name in [*told, "proj-4.0.tar.gz"]}
    faulty.headers = {f"proj/{name}": [("x-amz-meta-upload-time", time)] for name, time in told.items()}
    found = await files(await start_gateway(faulty_settings))
    assert [found[name]["upload-time"] for name in sorted(found)] == [
        "2019-05-06T07:08:09.500000Z",
        "2020-01-01T00:00:00.000000Z",
        "2023-11-14T22:13:20.000000Z",
        "2023-11-14T22:13:20.000000Z",
    ]


async def test_metadata_that_is_replaced_in_place_is_seen_and_what_it_said_before_is_forgotten(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    faulty.objects = {f"proj/{NAME}": CONTENT}
    faulty.headers = {f"proj/{NAME}": [("x-amz-meta-sha256", OTHER)]}
    gateway = await start_gateway(faulty_settings)
    found = (await files(gateway))[NAME]
    assert (found["yanked"], found["hashes"]) == (False, {"sha256": OTHER})
    faulty.headers = {f"proj/{NAME}": [("x-amz-meta-yanked", "broken")]}
    faulty.modified = {f"proj/{NAME}": "2024-01-01T00:00:00.000Z"}
    gateway.refresh()
    found = (await files(gateway))[NAME]
    assert (found["yanked"], found["hashes"]) == ("broken", {"sha256": SHA})


class Finder:
    """Knows a hash of everything, at once."""

    compute = True
    found = 0

    async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
        self.found += 1
        return ObjectMetadata(SHA)


def listing(project: str, releases: int) -> Files:
    items = (
        StoredObject(f"{project}/{project}-{release}.tar.gz", 1, f'"{release}"', 0.0) for release in range(releases)
    )
    return Files(tuple(items), frozenset())


async def test_facts_of_the_projects_asked_for_last_are_kept_up_to_a_size() -> None:
    finder, memory = Finder(), MemoryLimit(30_000)
    book = FileMetadata(finder, memory, retry_seconds=0)  # type: ignore[arg-type]
    listings = {f"p{number}": listing(f"p{number}", 10) for number in range(10)}
    for name, files in listings.items():
        await book.want_once(name, files)
        await book.settled()
    sizes = [len(book.of(name).entries) for name in listings]
    assert sizes[-1] == 10
    assert 20 < sum(sizes) < 70
    assert memory.stats()["metadata"] <= 30_000
    versions = {book.of(name).version for name in listings}
    await book.want_once("p0", listings["p0"])
    await book.settled()
    assert book.of("p0").get(listings["p0"].objects[0]) == ObjectMetadata(SHA)
    assert book.of("p0").version not in versions
    assert finder.found == 110


async def test_other_work_has_its_turn_between_any_two_files() -> None:
    """A directory tells of its files without a wait: 20,000 of them took the event loop for seconds."""
    finder, turns = Finder(), 0
    book = FileMetadata(finder, MemoryLimit(3_000_000), retry_seconds=0)  # type: ignore[arg-type]
    await book.want_once("p", listing("p", 1000))
    settling = asyncio.ensure_future(book.settled())
    while not settling.done():
        turns += 1
        before = finder.found
        await asyncio.sleep(0)
        assert finder.found - before <= 2, "one by each worker"
    assert (finder.found, turns >= 500) == (1000, True)


async def test_one_project_does_not_take_all_the_memory(caplog: pytest.LogCaptureFixture) -> None:
    finder, memory = Finder(), MemoryLimit(30_000)
    book = FileMetadata(finder, memory, retry_seconds=0)  # type: ignore[arg-type]
    files = listing("p", 1000)
    for _ in range(3):
        await book.want_once("p", files)
        await book.settled()
    assert 10 < finder.found < 50, "what can't be remembered is not looked for again and again"
    assert memory.stats()["metadata"] < 20_000
    await book.want_once("p", listing("p", 1001))
    await book.settled()
    assert "raise index.memory_bytes" in caplog.text


async def test_beside_busy_mounts_a_project_takes_no_more_than_what_stays() -> None:
    finder, pool = Finder(), MemoryPool(30_000)
    memory, *others = (pool.share(30_000) for _ in range(3))
    pages = [LruCache[int, bytes]("pages", limit, lambda key, page: len(page)) for limit in others]
    book = FileMetadata(finder, memory, retry_seconds=0)  # type: ignore[arg-type]
    files = listing("p", 1000)
    await book.want_once("p", files)
    await book.settled()
    alone, finder.found = finder.found, 0
    assert 20 < alone < 50, "it may have half of what no other mount needs"
    for number in range(100):
        for cache in pages:
            cache.put(number, bytes(500))
    for _ in range(5):
        await book.want_once("p", files)
        await book.settled()
    assert 5 < finder.found < alone, "what can't be remembered is not looked for again and again"
    assert len(book.of("p").entries) == finder.found


async def test_what_was_found_of_a_project_that_is_forgotten_meanwhile_is_saved() -> None:
    class Stepping(Finder):
        async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
            if self.found:
                await gate.wait()
            return await super().find(item, hash_beside=hash_beside)

    class Store:
        document = b""

        async def read(self, project: str) -> tuple[bytes, None]:
            return self.document, None

        async def write(self, project: str, document: bytes, etag: str | None) -> None:
            self.document = document

    gate, memory, store = asyncio.Event(), MemoryLimit(30_000), Store()
    book = FileMetadata(Stepping(), memory, [store], retry_seconds=0)  # type: ignore[arg-type]
    await book.want_once("p", listing("p", 10))
    await eventually(lambda: len(book.of("p").entries) == 1)
    LruCache[str, int]("others", memory, lambda key, value: 29_000).put("all of it", 1)
    assert book.of("p").entries == {}, "it is forgotten"
    gate.set()
    await book.settled()
    assert 1 <= len(from_document(store.document)) < 10, "and nothing more is looked for"
    assert book._unsaved == {}


async def test_a_project_that_is_forgotten_while_it_is_looked_at_is_looked_at_again() -> None:
    class Slow(Finder):
        def __init__(self) -> None:
            self.gate = asyncio.Event()

        async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
            await self.gate.wait()
            return await super().find(item, hash_beside=hash_beside)

    finder, memory = Slow(), MemoryLimit(30_000)
    book = FileMetadata(finder, memory, retry_seconds=0)  # type: ignore[arg-type]
    files = listing("p", 10)
    await book.want_once("p", files)
    await asyncio.sleep(0)
    book._projects.clear()
    await book.want_once("p", files)
    finder.gate.set()
    await book.settled()
    assert len(book.of("p").entries) == 10
    assert book._projects.get("p").pending == 0  # type: ignore[union-attr]


async def test_nothing_of_a_listing_is_held_once_all_is_known() -> None:
    book = FileMetadata(Finder(), MemoryLimit(30_000), retry_seconds=0)  # type: ignore[arg-type]
    files = listing("p", 10)
    held = weakref.ref(files)
    await book.want_once("p", files)
    await book.settled()
    del files
    gc.collect()
    assert held() is None
    assert book._projects.get("p").present == {}  # type: ignore[union-attr]


async def test_a_project_whose_files_come_and_go_does_not_fill_the_memory() -> None:
    finder = Finder()
    book = FileMetadata(finder, MemoryLimit(400_000), retry_seconds=0)  # type: ignore[arg-type]
    kept = StoredObject("p/p-0.tar.gz", 1, '"kept"', 0.0)
    for day in range(1, 60):
        items = [StoredObject(f"p/p-{day}.{number}.tar.gz", 1, '"e"', 0.0) for number in range(20)]
        await book.want_once("p", Files((kept, *items), frozenset()))
        await book.settled()
        known = book.of("p")
        assert all(known.get(item) == ObjectMetadata(SHA) for item in (kept, *items)), f"day {day}"
    assert len(known.entries) < 200
    assert finder.found == 1 + 59 * 20, "what is still there is found out once"
    assert book._projects.get("p").weight == sum(entry.weight for entry in known.entries.values())  # type: ignore[union-attr]


async def test_many_files_are_looked_through_off_the_loop() -> None:
    class Noting(str):
        threads: ClassVar[set[threading.Thread]] = set()

        def rpartition(self, separator: str, /) -> tuple[str, str, str]:
            self.threads.add(threading.current_thread())
            return super().rpartition(separator)

    finder = Finder()
    book = FileMetadata(finder, MemoryLimit(4_000_000), retry_seconds=30)  # type: ignore[arg-type]
    items = [StoredObject(Noting(f"p/p-{number}.tar.gz"), 1, '"e"', 0.0) for number in range(1000)]
    for listed in (items[:999], items):
        await book.want_once("p", Files(tuple(listed), frozenset()))
        await book.settled()
    assert finder.found == 1000
    assert Noting.threads
    assert threading.main_thread() not in Noting.threads


async def test_what_can_never_be_found_out_is_tried_ever_more_rarely() -> None:
    class Archived(Finder):
        gone = True

        async def find(self, item: StoredObject, *, hash_beside: bool) -> ObjectMetadata:
            metadata = await super().find(item, hash_beside=hash_beside)
            if self.gone:
                raise UpstreamError("403 InvalidObjectState", code="InvalidObjectState", upstream_status=403)
            return metadata

    finder, now, tries = Archived(), 0.0, []
    book = FileMetadata(finder, MemoryLimit(400_000), retry_seconds=30, clock=lambda: now)  # type: ignore[arg-type]
    files = listing("p", 1)

    async def asked_until(end: float) -> None:
        nonlocal now
        while now < end:
            before = finder.found
            await book.want_once("p", files)
            await book.settled()
            if finder.found > before:
                tries.append(now)
            now += 10

    await asked_until(4000)
    assert tries == [0, 30, 90, 210, 450, 930, 1890, 2850, 3810]
    finder.gone = False
    await asked_until(4900)
    assert book.of("p").get(files.objects[0]) == ObjectMetadata(SHA)
    assert len(tries) == 10, "and then no more"
    assert book._projects.get("p").retries == 0  # type: ignore[union-attr]


async def test_clients_who_say_that_the_gateway_has_other_names_displace_pages_for_people_only(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    """Hashes above all: to find them out again, every file is read."""
    readme = "Name: read\nDescription-Content-Type: text/plain\n\n" + "a line\n" * 10_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("read-1.0.dist-info/METADATA", readme)
    faulty.objects = {f"proj/{NAME}": CONTENT, f"read/{wheel('read', '1.0')[0]}": buffer.getvalue()}
    gateway = await start_gateway(faulty_settings | {"index.memory_bytes": str(1024 * 1024)})
    assert (await files(gateway))[NAME]["hashes"]
    faulty.requests.clear()
    for number in range(40):
        head = f"GET /read/ HTTP/1.1\r\nHost: h{number}\r\nAccept: text/html,application/xhtml+xml\r\nConnection: close"
        answer = await exchange(int(gateway.url.rpartition(":")[2]), f"{head}\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200")
        assert len(answer) > 70_000
    assert (await files(gateway))[NAME]["hashes"]
    again = [request for request in faulty.requests if request.method == "HEAD" and request.key == f"proj/{NAME}"]
    assert again == [], "nothing is found out again"
