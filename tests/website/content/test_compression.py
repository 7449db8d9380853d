"""Objects that are compressed on the fly."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.messages import ObjectRequest, Stream
from gateway.website.content.client_lifetimes import ClientLifetimes
from gateway.website.content.compression import Compressible, Compression
from gateway.website.content.typed_objects import TypedObjects
from tests.conftest import StartGateway
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket, error, etag_of
from tests.website.test_website import PEOPLE, Site, basic

TEXT = b"some text, " * 300
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def settings(faulty: FaultyBucket, faulty_settings: dict[str, str]) -> dict[str, str]:
    faulty.objects = dict.fromkeys(["a.txt", "a.json", "a.svg", "a.ico", "a.wasm", "noend", "a.bin"], TEXT)
    return faulty_settings | {"index.mode": "site", "site.compress": "{}", "cache.memory_bytes": "8MB"}


async def test_types_and_sizes_say_what_is_compressed(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.objects |= {"edge.txt": b"x" * 1400, "below.txt": b"x" * 1399, "most.txt": b"x" * 5000}
    faulty.objects |= {"above.txt": b"x" * 5001, "typed": TEXT}
    faulty.headers["typed"] = [("Content-Type", "Text/HTML; charset=latin1")]
    site = Site((await start_gateway(settings | {"site.compress": "{max_bytes: 5000}"})).url)
    compressed = set()
    for key in faulty.objects:
        for headers in (GZIP, GZIP | {"If-None-Match": '"other"'}, GZIP):
            answer = await site.get(f"/{key}", headers)
            packed = answer.headers.get("content-encoding") == "gzip"
            assert (gzip.decompress(answer.body) if packed else answer.body) == faulty.objects[key]
            assert answer.headers["vary"] == "Accept-Encoding"
        compressed |= {key} if packed else set()
    assert compressed == {"a.txt", "a.json", "a.svg", "a.wasm", "edge.txt", "most.txt", "typed"}


async def test_a_hot_object_is_compressed_once(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    gateway = await start_gateway(settings)
    site = Site(gateway.url)
    first = await site.get("/a.txt", GZIP)
    held = gateway.mount._memory.stats()["compressed objects"]
    assert held > len(first.body)
    for headers in ({}, {"If-None-Match": "x"}, {"Range": "bytes=0-5", "If-Range": first.headers["etag"]}):
        assert (await site.get("/a.txt", GZIP | headers)).headers["etag"] == first.headers["etag"]
    assert (await site.get("/a.txt", GZIP | {"If-None-Match": first.headers["etag"]})).status == 304
    for condition, status in (("If-Modified-Since", 304), ("If-Unmodified-Since", 200)):
        assert (await site.get("/a.txt", GZIP | {condition: first.headers["last-modified"]})).status == status
    early = {"If-Unmodified-Since": "Sat, 01 Jan 2000 00:00:00 GMT"}
    assert (await site.get("/a.txt", GZIP | early)).status == 412
    assert gateway.mount._memory.stats()["compressed objects"] == held
    assert [request.key for request in faulty.requests] == ["a.txt"]


async def test_another_version_has_another_etag(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"cache.index_ttl": "0"})).url)
    first = await site.get("/a.txt", GZIP)
    faulty.objects["a.txt"] = TEXT + b"more"
    second = await site.get("/a.txt", GZIP | {"If-None-Match": first.headers["etag"]})
    assert (second.status, gzip.decompress(second.body)) == (200, TEXT + b"more")
    assert second.headers["etag"] != first.headers["etag"]


@pytest.mark.parametrize(
    ("cache_control", "compressed"),
    [("max-age=60", True), ("no-transform", False), ("max-age=60, No-Transform", False), ("private", False)],
)
async def test_what_must_not_be_changed_or_is_private_is_not(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket, cache_control: str, compressed: bool
) -> None:
    """Whether the object itself says it or a pattern does."""
    faulty.headers["a.txt"] = [("Content-Type", "text/plain"), ("Cache-Control", cache_control)]
    table = json.dumps([{"path": "/*.json", "value": cache_control}])
    site = Site((await start_gateway(settings | {"site.cache_control": table})).url)
    for path in ("/a.txt", "/a.json"):
        answer = await site.get(path, GZIP)
        assert (answer.headers["cache-control"], "content-encoding" in answer.headers) == (cache_control, compressed)


async def test_what_must_not_be_changed_is_not_in_an_outage_either(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.headers["a.txt"] = [("Content-Type", "text/plain"), ("Cache-Control", "max-age=60, no-transform")]
    gateway = await start_gateway(settings | {"storage.max_attempts": "1"})
    site = Site(gateway.url)
    assert (await site.get("/a.txt", GZIP)).body == TEXT
    gateway.mount.expire()
    faulty.of_key["a.txt"] = error(503, "SlowDown")
    answer = await site.get("/a.txt", GZIP)
    assert (answer.body, answer.headers["cache-control"]) == (TEXT, "no-cache, no-transform")


@pytest.mark.parametrize("private", [False, True])
async def test_with_access_nothing_is_compressed_unless_the_setting_says_so(
    start_gateway: StartGateway, settings: dict[str, str], private: bool
) -> None:
    changes = PEOPLE | {"access.default_read": "everyone", "site.compress": json.dumps({"private": private})}
    site = Site((await start_gateway(settings | changes)).url)
    for who in ({}, basic("alice")):
        answer = await site.get("/a.txt", GZIP | who)
        assert ("content-encoding" in answer.headers) == private
        assert answer.headers["cache-control"] == "private, no-cache"


async def test_objects_that_clients_are_redirected_to_are_not(
    start_gateway: StartGateway, settings: dict[str, str]
) -> None:
    changes = settings | {"storage.redirect_urls": "auto", "storage.redirect_min_size": "3000"}
    site = Site((await start_gateway(changes)).url)
    for headers in (GZIP, GZIP | {"If-None-Match": '"x"'}):
        assert (await site.get("/a.txt", headers)).status == 302
    assert (await site.get("/a.txt", GZIP, "HEAD")).headers["content-encoding"] == "gzip"


async def test_a_conditional_request_for_what_is_not_compressed_is_one_for_the_bucket(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    site = Site((await start_gateway(settings | {"cache.memory_bytes": "0"})).url)
    assert (await site.get("/a.bin", GZIP)).body == TEXT
    faulty.requests.clear()
    answer = await site.get("/a.bin", GZIP | {"If-None-Match": etag_of(TEXT)})
    assert answer.status == 304
    assert (await site.get("/a.bin", GZIP, "HEAD")).headers["content-length"] == str(len(TEXT))
    assert [(request.method, "if-none-match" in request.headers) for request in faulty.requests] == [
        ("GET", True),
        ("HEAD", False),
    ]


async def test_what_is_encoded_already_is_not(
    start_gateway: StartGateway, settings: dict[str, str], faulty: FaultyBucket
) -> None:
    faulty.headers["a.txt"] = [("Content-Type", "text/plain"), ("Content-Encoding", "br")]
    answer = await Site((await start_gateway(settings)).url).get("/a.txt", GZIP)
    assert (answer.body, answer.headers["content-encoding"]) == (TEXT, "br")


async def test_a_version_comes_as_it_is(start_gateway: StartGateway, settings: dict[str, str]) -> None:
    site = Site((await start_gateway(settings | {"site.versions": "true"})).url)
    answer = await site.get("/a.txt?versionId=1", GZIP)
    assert (answer.status, answer.headers.keys() & {"content-encoding", "vary"}) == (200, set())


class Slow:
    """A storage whose bodies wait."""

    def __init__(self) -> None:
        self.reading = self.most = self.closed = 0
        self.may_go = asyncio.Event()

    async def fetch(self, request: ObjectRequest) -> Stream:
        headers = {"ETag": f'"{request.key}"', "Content-Length": str(len(TEXT)), "Content-Type": "text/plain"}
        return Stream(200, headers, self._body(), self._close)

    async def _body(self) -> Any:
        self.reading += 1
        self.most = max(self.most, self.reading)
        await self.may_go.wait()
        yield TEXT
        self.reading -= 1

    def _close(self) -> None:
        self.closed += 1


async def test_memory_for_bodies_is_limited(tmp_path: Path) -> None:
    slow = Slow()
    objects, wanted = TypedObjects(slow, {}), Compressible(frozenset({"text/*"}), 1400, 10_000, private=False)  # type: ignore[arg-type]
    compression = Compression(objects, ClientLifetimes("", []), wanted, MemoryLimit(1_000_000))
    requests = [compression.fetch(ObjectRequest("GET", f"{number}.txt"), ["gzip"]) for number in range(20)]
    tasks = [asyncio.ensure_future(request) for request in requests]
    await eventually(lambda: slow.reading >= 4)
    slow.may_go.set()
    answers = await asyncio.gather(*tasks)
    assert slow.most == 4
    assert slow.closed == 20
    assert {one.headers["Content-Encoding"] for one in answers if isinstance(one, Stream)} == {"gzip"}
