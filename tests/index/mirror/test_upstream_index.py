"""What pages of another index, and those that it has not, are taken to weigh."""

import asyncio
import gc
import gzip
import hashlib
import json
import tracemalloc
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.cache.lru import MemoryLimit
from gateway.errors import GatewayError, NotFoundError, UpstreamPageError
from gateway.executors import FOREIGN
from gateway.index.backlog import Backlog
from gateway.index.mirror.upstream_index import UpstreamIndex, _parsed
from gateway.upstream.client import Client
from tests.support.eventually import eventually

JSON = "application/vnd.pypi.simple.v1+json"
HASHES = dict.fromkeys(sorted(hashlib.algorithms_guaranteed), "ab" * 64)


def file(number: int, **more: object) -> dict[str, object]:
    return {"filename": f"foo-1.{number}.tar.gz", "url": "x", "hashes": {}, **more}


@pytest.mark.parametrize(
    "more",
    [
        {"versions": [f"1.{number}" for number in range(20_000)]},
        {"files": [file(number) for number in range(2000)]},
        {"files": [file(number, hashes=HASHES) for number in range(500)]},
        {"files": [file(number, yanked=f"{number}é" * 700) for number in range(500)]},
        {"project-status": {"status": "x" * 8000, "reason": "é" * 8000}},
    ],
    ids=["versions", "files", "hashes", "yanks", "status"],
)
def test_a_page_weighs_what_it_takes(more: dict[str, Any]) -> None:
    body = json.dumps({"meta": {"api-version": "1.4"}, "versions": [], "files": [], **more}).encode()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        parsed = _parsed("foo", "https://index.example/foo/", JSON, "", body)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert not isinstance(parsed, str)
    assert 0.8 * taken <= parsed[1] <= 1.5 * taken + 2000


WIDE = "x" * 8000 + "\U0001f600"
START = '{"meta": {"api-version": "1.4"}, "files": []'


@pytest.mark.parametrize(
    "make",  # not the pages themselves, which every worker would make and keep
    [
        lambda: f'{START}, "x": "{"x" * 8_000_000}\\ud83d\\ude00"}}',
        lambda: f"{START[:-1]}{', '.join([json.dumps(file(1, yanked=WIDE, **{'requires-python': WIDE}))] * 1900)}]}}",
        lambda: f'{START}, "x": {json.dumps(dict.fromkeys(map(str, range(700_000)), 0))}}}',
    ],
    ids=["one escape", "an escape in each text", "keys"],
)
def test_no_page_takes_many_times_its_length_while_it_is_read(make: Callable[[], str]) -> None:
    """The text, and what it is decoded from, are two lengths."""
    encoded = make().encode()
    gc.collect()
    tracemalloc.start()
    try:
        parsed = _parsed("foo", "https://index.example/foo/", JSON, "", encoded)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(parsed, str)
    assert peak < 3.5 * len(encoded)


@pytest.mark.parametrize("odd", ["\u20ac".encode(), "\U0001f600".encode(), b"\xf0\x9f", b"\xff"], ids=repr)
def test_a_page_is_decoded_in_parts_as_at_once(odd: bytes) -> None:
    for shift in range(len(odd)):
        body = f'{START}, "x": "{"x" * (60_000 - shift)}", "project-status": {{"reason": "'.encode()
        reason = odd * (6000 // len(odd))
        parsed = _parsed("foo", "https://index.example/foo/", JSON, "", body + reason + b'"}}')
        assert not isinstance(parsed, str)
        assert parsed[0].project.status_reason == reason.decode("utf-8", "replace")


PACKED = gzip.compress(b"<a href=foo-1.0.zip></a>" + b" " * 100_000 + b"<a href=foo-2.0.zip></a>")


@pytest.mark.parametrize(
    "body",
    [b"", PACKED[:40], PACKED[:-9], PACKED[:-1], gzip.compress(b"<a href=foo-1.0.zip>" + b" " * 32 * 1024 * 1024, 1)],
    ids=["empty", "half", "before its checksum", "before its last byte", "over 32 MB"],
)
def test_a_packed_page_that_is_not_whole_is_none(body: bytes) -> None:
    """Half of a page in HTML is a page, of some of the files."""
    whole = _parsed("foo", "https://index.example/foo/", "text/html", "gzip", PACKED)
    assert not isinstance(whole, str)
    assert [file.name for file in whole[0].project.files] == ["foo-1.0.zip", "foo-2.0.zip"]
    parsed = _parsed("foo", "https://index.example/foo/", "text/html", "gzip", body)
    assert parsed == "it is incomplete, or too large"


def test_the_reason_why_a_page_can_t_be_read_is_short() -> None:
    """It is remembered for thousands of names, and shown."""
    reason = _parsed("foo", "https://index.example/foo/", "x" * 60_000, "", b"")
    assert isinstance(reason, str)
    assert 10 < len(reason) <= 200


class Answer(SimpleNamespace):
    """What a Client's `send` returns, with an empty body."""

    async def read(self) -> bytes:
        return b""

    async def body(self, first: bytes) -> AsyncIterator[bytes]:
        yield first

    def close(self) -> None:
        pass


class Small:
    """Another index with empty pages."""

    def __init__(self) -> None:
        self.read = 0

    async def send(self, method: str, scheme: str, host: str, target: str, headers: object) -> SimpleNamespace:
        async def read() -> bytes:
            return b'{"meta": {"api-version": "1.4"}, "versions": [], "files": []}'

        async def rest(first: bytes) -> AsyncIterator[bytes]:
            yield first
            self.read += 1

        return SimpleNamespace(status=200, headers={"content-type": JSON}, read=read, body=rest, close=lambda: None)


class LongWinded:
    """A client of an index that says no at length: in an address of 7 KB, or in the name of an encoding."""

    def __init__(self) -> None:
        self.asked = 0

    async def send(self, method: str, scheme: str, host: str, target: str, headers: dict[str, str]) -> Answer:
        self.asked += 1
        if "unreadable" in target:
            return Answer(status=200, headers={"content-encoding": "x" * 16384})
        if "long" in target:
            return Answer(status=404, headers={})
        return Answer(status=302, headers={"location": "/long/" + "x" * 7000})


def index_of(
    client: object, *, memory: MemoryLimit, refusals: MemoryLimit, backlog: Backlog | None = None
) -> UpstreamIndex:
    return UpstreamIndex(
        cast(Client, client),
        "https://index.example/",
        refresh=60,
        stale_if_error=0,
        memory=memory,
        refusals=refusals,
        backlog=backlog or Backlog(),
    )


async def test_a_page_is_not_parsed_while_many_wait_to_be_rendered() -> None:
    """Sixty clients that ask for sixty large pages would else hold them all as objects."""
    client, backlog, memory = Small(), Backlog(limit=1), MemoryLimit(1_000_000)
    remote = index_of(client, memory=memory, refusals=memory, backlog=backlog)
    with backlog:
        pages = [asyncio.create_task(remote.project(f"foo-{number}")) for number in range(3)]
        await eventually(lambda: client.read == 3, lambda: client.read)
        await FOREIGN.run(lambda: None)  # what had been begun is done
        assert not any(page.done() for page in pages)
    for page in pages:
        assert (await page).value.files == ()


@pytest.mark.parametrize(("name", "expected"), [("absent", NotFoundError), ("unreadable", UpstreamPageError)])
async def test_what_another_index_has_not_takes_no_more_than_its_share(name: str, expected: type[GatewayError]) -> None:
    memory, refusals, client = MemoryLimit(1_000_000), MemoryLimit(3000), LongWinded()
    remote = index_of(client, memory=memory, refusals=refusals)
    for number in range(20):
        with pytest.raises(expected):
            await remote.project(f"{name}-{number}")
        assert 200 < sum(refusals.stats().values()) <= 3000
    before = client.asked
    with pytest.raises(expected):
        await remote.project(f"{name}-19")
    assert client.asked == before, "the last ones are remembered"
    with pytest.raises(expected):
        await remote.project(f"{name}-0")
    assert client.asked > before
    assert not any(memory.stats().values())


@pytest.mark.parametrize(("name", "expected"), [("absent", NotFoundError), ("unreadable", UpstreamPageError)])
async def test_one_project_is_asked_for_again(name: str, expected: type[GatewayError]) -> None:
    client, memory = LongWinded(), MemoryLimit(1_000_000)
    remote = index_of(client, memory=memory, refusals=memory)

    async def asked(project: str) -> int:
        before = client.asked
        with pytest.raises(expected):
            await remote.project(project)
        return client.asked - before

    first = await asked(f"{name}-1")
    assert (await asked(f"{name}-2"), await asked(f"{name}-1")) == (first, 0)
    remote.forget(f"{name}-1")
    assert (await asked(f"{name}-1"), await asked(f"{name}-2")) == (first, 0)


class Slow(LongWinded):
    """One that answers once `hold` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hold = asyncio.Event()

    async def send(self, method: str, scheme: str, host: str, target: str, headers: dict[str, str]) -> Answer:
        answer = await super().send(method, scheme, host, target, headers)
        await self.hold.wait()
        return answer


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize(("name", "expected"), [("absent", NotFoundError), ("unreadable", UpstreamPageError)])
async def test_what_was_asked_before_is_not_remembered(
    name: str, expected: type[GatewayError], everything: bool
) -> None:
    client, memory = Slow(), MemoryLimit(1_000_000)
    remote = index_of(client, memory=memory, refusals=memory)
    before = asyncio.ensure_future(remote.project(name))
    await eventually(lambda: client.asked == 1)
    remote.expire() if everything else remote.forget(name)
    client.hold.set()
    with pytest.raises(expected):
        await before
    asked = client.asked
    with pytest.raises(expected):
        await remote.project(name)
    assert client.asked > asked


async def test_one_project_that_is_known_is_asked_for_again() -> None:
    client, memory = Small(), MemoryLimit(1_000_000)
    remote = index_of(client, memory=memory, refusals=memory)
    for name in ("foo", "bar", "foo"):
        await remote.project(name)
    assert client.read == 2
    remote.forget("foo")
    for name in ("foo", "bar"):
        await remote.project(name)
    assert client.read == 3
