"""The cache as a state machine: requests come, read, stall and leave, objects change, the storage and the disk fail, at
every point in between. Every answer is right or visibly broken, and nothing is held for nobody."""

import asyncio
import errno
import gc
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast
from unittest import mock

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.cache.disk.cache import DiskCache
from gateway.cache.object_cache import ObjectCache
from gateway.config.cache_settings import CacheSettings, ParallelSettings
from gateway.errors import GatewayError, NotFoundError, PreconditionFailedError, RangeNotSatisfiableError
from gateway.executors import Executor
from gateway.messages import FilePart, ObjectRequest, Stream
from gateway.storage.base import Backend
from gateway.storage.resuming import ResumingStorage
from gateway.transfer import file_broadcast, memory_broadcast, parallel
from gateway.transfer.parallel import MemoryBudget
from tests.storage.test_resuming import Eager
from tests.support import stepped
from tests.support.nightly import NIGHTLY
from tests.support.scriptedorigin import ScriptedOrigin, Versions, busy, denied
from tests.support.stepped import SteppedLoop

WINDOW_BYTES = 8000
PACKAGE, PAGE, SMALL, PRIVATE = "p/p-1.0.whl", "page.bin", "small.html", "private.bin"
TTL = {PACKAGE: 100.0, PAGE: 20.0, SMALL: 20.0, PRIVATE: 20.0}


@dataclass(eq=False)
class Client:
    """One request. `since` is the oldest version that it may get, of what was there when; `faults` how many faults
    there had been."""

    request: ObjectRequest
    by_parts: bool
    since: int
    faults: int
    tokens: int = 0
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    stream: Stream | None = None
    body: bytearray = field(default_factory=bytearray)
    error: GatewayError | None = None
    ended: bool = False
    task: "asyncio.Task[None] | None" = None

    async def run(self, cached: ObjectCache) -> None:
        try:
            self.stream = stream = await cached.fetch(self.request)
            try:
                if stream.body is None:
                    return
                parts = stream.parts if self.by_parts and stream.parts is not None else stream.body
                await self._token()
                async for part in parts:
                    self.body += _bytes(part)
                    await self._token()
            finally:
                stream.close()
                del stream
        except asyncio.CancelledError:
            self.stream = None
            raise
        except GatewayError as error:
            self.error = error.with_traceback(None)  # which would hold frames, and those a file
        finally:
            self.ended = True

    async def _token(self) -> None:
        while not self.tokens:
            self.wanted.clear()
            await self.wanted.wait()
        self.tokens -= 1


def _bytes(part: bytes | FilePart) -> bytes:
    if isinstance(part, bytes):
        return part
    content = os.pread(part.descriptor, part.stop - part.start, part.start)
    assert len(content) == part.stop - part.start
    return content


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class CacheMachine(RuleBasedStateMachine):
    """`with_disk` and `connections` make the variants below."""

    with_disk: ClassVar[bool] = False
    connections: ClassVar[int] = 1

    def __init__(self) -> None:
        super().__init__()
        self.loop = SteppedLoop()  # type: ignore[abstract]  # of the rest nothing is called
        self.patches: list[Any] = [
            mock.patch.object(memory_broadcast, "_LEAD_BYTES", 1000),
            mock.patch.object(file_broadcast, "_NEAR_BYTES", 1000),
            mock.patch.object(file_broadcast, "_MAX_PENDING_BYTES", 1500),
            mock.patch.object(parallel, "AdaptiveConcurrency", Eager),
            mock.patch("tests.storage.test_resuming.STEP", 1000),
            mock.patch.object(Executor, "run", stepped.run),
        ]
        for patch in self.patches:
            patch.start()
        self.directory = Path(tempfile.mkdtemp())
        self.clients: list[Client] = []
        self.faults = 0

    @initialize(keys=st.sampled_from([[PACKAGE], [PAGE], [SMALL], [PACKAGE, PAGE, SMALL], [PAGE, PRIVATE]]))
    def start(self, keys: list[str]) -> None:
        self.keys = keys  # most of what can go wrong is about one
        self.objects = {
            PACKAGE: Versions("package", [6000]),
            PAGE: Versions("page", [5000]),
            SMALL: Versions("small", [100]),
            PRIVATE: Versions("private", [5000], {"cache-control": "no-store"}),
        }
        # What was the newest version at which moment; and the last moment from which on older ones are not given out.
        self.history = {key: [(self.loop.now, 0)] for key in self.objects}
        self.since = dict.fromkeys(self.objects, 0)
        self.origin = ScriptedOrigin(self.objects)
        size = ParallelSettings.model_construct(min_bytes=2000, connections=self.connections, memory_bytes=WINDOW_BYTES)
        self.window = MemoryBudget(WINDOW_BYTES, self.connections)
        self.resuming = ResumingStorage(cast("Backend", self.origin), size, self.window)
        kept = CacheSettings(
            memory_bytes=1_000_000,
            object_max_bytes=500,
            file_ttl=TTL[PACKAGE],
            index_ttl=TTL[PAGE],
            negative_ttl=5,
            stale_if_error=1000,
        )
        clock = self.loop.time
        self.disk = DiskCache(self.directory, 1_000_000, "bucket", clock=clock) if self.with_disk else None
        with self.loop.running():
            self.cached = ObjectCache(self.resuming, self.window, kept, self.disk, clock=clock)

    # Requests

    @rule(
        data=st.data(),
        method=st.sampled_from(["GET", "GET", "GET", "HEAD"]),
        kind=st.sampled_from(
            ["plain"] * 5 + ["first", "near", "far", "suffix", "beyond", "same", "other", "match", "if-range"]
        ),
        by_parts=st.booleans(),
        tokens=st.sampled_from([0, 1, 1000, 1000]),
        bypass=st.sampled_from([False] * 6 + [True]),
    )
    def join(self, data: st.DataObject, method: str, kind: str, by_parts: bool, tokens: int, bypass: bool) -> None:
        self._join(data.draw(st.sampled_from(self.keys)), method, kind, by_parts, tokens, bypass)

    def _join(
        self,
        key: str,
        method: str = "GET",
        kind: str = "plain",
        by_parts: bool = False,
        tokens: int = 1000,
        bypass: bool = False,
    ) -> Client:
        versions = self.objects[key]
        etag = versions.etag(versions.version)
        headers = {
            "plain": {},
            "first": {"range": "bytes=0-99"},
            "near": {"range": "bytes=40-"},
            "far": {"range": "bytes=4000-4099"},
            "suffix": {"range": "bytes=-50"},
            "beyond": {"range": "bytes=999999-"},
            "same": {"if-none-match": etag},
            "other": {"if-none-match": '"other"'},
            "match": {"if-match": etag},
            "if-range": {"range": "bytes=40-99", "if-range": etag},
        }[kind]
        old = self.loop.now - 2 * TTL[key]
        by_age = max((version for at, version in self.history[key] if at <= old), default=0)
        if self.cached.stats()["fills"]:
            by_age = 0  # a running fill is as old as the storage's answer to it
        if bypass:
            self.since[key] = versions.version
        since = max(self.since[key], by_age)
        client = Client(ObjectRequest(method, key, headers, bypass=bypass), by_parts, since, self.faults, tokens)
        with self.loop.running():
            client.task = self.loop.create_task(client.run(self.cached))
        self.clients.append(client)
        return client

    @rule(
        data=st.data(),
        clients=st.sampled_from([1, 2, 2]),
        tokens=st.sampled_from([0, 1]),
        count=st.sampled_from([0, 1500]),
    )
    def a_fill_begins(self, data: st.DataObject, clients: int, tokens: int, count: int) -> None:
        """Without `count`, the storage has not answered yet."""
        key = data.draw(st.sampled_from(self.keys))
        for _ in range(clients):
            self._join(key, tokens=tokens)
        self._go_on(count)

    def _go_on(self, count: int, turns: int = 4) -> None:
        for _ in range(turns):
            self.loop.settle()
            while self.loop.jobs:
                self.loop.work(0)
            if count:
                with self.loop.running():
                    for call in [*self.origin.calls]:
                        self.origin.answer(call)
                    for body in [*self.origin.open_bodies]:
                        body.allow(count if len(body.rest) > 2 * count else 0)

    @precondition(lambda self: self.clients)
    @rule(data=st.data(), tokens=st.sampled_from([1, 3, 1000]))
    def read_on(self, data: st.DataObject, tokens: int) -> None:
        client = data.draw(st.sampled_from(self.clients))
        client.tokens += tokens
        with self.loop.running():
            client.wanted.set()

    @precondition(lambda self: self.clients)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self._leave(data.draw(st.sampled_from(self.clients)))

    @rule(
        data=st.data(),
        turns=st.integers(0, 3),
        before=st.integers(0, 4),
        after=st.sampled_from([0, 0, 1, 2]),
        comes=st.booleans(),
    )
    def the_last_one_leaves(self, data: st.DataObject, turns: int, before: int, after: int, comes: bool) -> None:
        """A fill, wherever it is then; and another client `comes` within some steps."""
        key = data.draw(st.sampled_from(self.keys))
        for _ in range(2):
            self._join(key, tokens=1)
        self._go_on(1500, turns)
        for _ in range(before):
            self.loop.step()
        for client in [client for client in self.clients if client.request.key == key]:
            self._leave(client)
        for _ in range(after):
            self.loop.step()
        if comes:
            self._join(key)

    def _leave(self, client: Client) -> None:
        assert client.task is not None
        with self.loop.running():
            client.task.cancel()
        client.task = None  # hypothesis holds the client
        self.clients.remove(client)

    # Time

    @rule(count=st.integers(1, 6))
    def step(self, count: int) -> None:
        for _ in range(count):
            self.loop.step()

    @rule()
    def settle(self) -> None:
        self.loop.settle()

    @rule()
    def all_goes_well(self) -> None:
        """Until nothing goes on but what waits for a client to read."""
        for _ in range(1000):
            self.loop.settle()
            if not (self.origin.calls or self.loop.jobs or any(body.waits for body in self.origin.open_bodies)):
                return
            with self.loop.running():
                for call in [*self.origin.calls]:
                    self.origin.answer(call)
                for body in [*self.origin.open_bodies]:
                    body.allow(1_000_000)
            while self.loop.jobs:
                self.loop.work(0)
        raise AssertionError("it goes on for ever")

    @rule(seconds=st.sampled_from([1.0, 21.0, 70.0, 250.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.advance(seconds)

    @precondition(lambda self: self.loop.jobs)
    @rule(data=st.data(), full=st.sampled_from([False, False, False, True]))
    def thread_works(self, data: st.DataObject, full: bool) -> None:
        index = data.draw(st.integers(0, len(self.loop.jobs) - 1))
        if full:
            self.faults += 1
            with mock.patch("os.pwrite", _no_room), mock.patch("os.posix_fallocate", _no_room):
                self.loop.work(index)
        else:
            self.loop.work(index)

    # The storage

    @precondition(lambda self: self.origin.calls)
    @rule(data=st.data(), fault=st.sampled_from([None, None, None, busy, denied]))
    def storage_answers(self, data: st.DataObject, fault: Callable[[], GatewayError] | None) -> None:
        call = data.draw(st.sampled_from(self.origin.calls))
        self.faults += fault is not None
        with self.loop.running():
            self.origin.answer(call, fault() if fault is not None else None)

    @precondition(lambda self: self.origin.open_bodies)
    @rule(data=st.data(), count=st.sampled_from([1, 500, 2500, 100_000]))
    def bytes_come(self, data: st.DataObject, count: int) -> None:
        bodies = [*self.origin.open_bodies]
        with self.loop.running():
            data.draw(st.sampled_from(bodies)).allow(count)

    @precondition(lambda self: self.origin.open_bodies)
    @rule(data=st.data())
    def connection_breaks(self, data: st.DataObject) -> None:
        bodies = [*self.origin.open_bodies]
        self.faults += 1
        with self.loop.running():
            data.draw(st.sampled_from(bodies)).break_off()

    @rule(data=st.data(), absent=st.sampled_from([False, False, True]))
    def others_change_it(self, data: st.DataObject, absent: bool) -> None:
        self._change(data.draw(st.sampled_from(self.keys)), absent)

    def _change(self, key: str, absent: bool) -> None:
        versions = self.objects[key]
        size = (100 if key == SMALL else 5000) + 4 * len(versions.sizes)
        versions.sizes.append(None if absent else size)
        self.history[key].append((self.loop.now, versions.version))
        self.faults += 1  # what is being sent may break off

    @rule(data=st.data(), absent=st.sampled_from([False, False, True]))
    def we_change_it(self, data: st.DataObject, absent: bool) -> None:
        key = data.draw(st.sampled_from(self.keys))
        self._change(key, absent)
        self.since[key] = self.objects[key].version
        with self.loop.running():
            self.cached.forget(key)

    @rule(data=st.data())
    def a_listing_shows_it(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(self.keys))
        versions = self.objects[key]
        if versions.sizes[-1] is not None:
            with self.loop.running():
                self.cached.note(key, versions.etag(versions.version))
            self.since[key] = versions.version

    @rule(data=st.data())
    def memory_is_taken_by_others(self, data: st.DataObject) -> None:
        self.cached.memory.forget(data.draw(st.sampled_from(self.keys)))

    @rule()
    def refresh(self) -> None:
        with self.loop.running():
            self.cached.expire()
        self.loop.now += 0.001
        self.since = {key: versions.version for key, versions in self.objects.items()}

    # What always holds

    @invariant()
    def answers_are_right(self) -> None:
        for client in self.clients:
            if client.stream is not None or client.error is not None:
                self._check(client)
        for client in [client for client in self.clients if client.ended]:
            client.stream = client.task = None  # hypothesis holds the client
            self.clients.remove(client)
        assert self.loop.failures == []
        assert 0 <= self.window.free <= WINDOW_BYTES

    @invariant()
    def nothing_is_held_for_nobody(self) -> None:
        if self.loop.ready or self.loop.jobs:
            return
        stats = self.cached.stats()
        assert stats["fills"] <= stats["fill_readers"], "a fill that nobody reads goes on"
        clients = sum(not client.ended for client in self.clients)
        if not self.origin.calls and not any(body.path == SMALL for body in self.origin.open_bodies):
            assert stats["fill_readers"] <= clients, "nothing but a client waits for more than the storage's answer"
        held = len(self.origin.calls) + len(self.origin.open_bodies)
        assert held <= self.connections * (stats["fills"] + clients), "a connection is held for nobody"
        assert len([*(self.directory / "incoming").glob("*")]) <= stats["fills"], "a temporary file is held for nobody"
        if self.connections == 1 and not stats["fills"]:
            assert self.window.free == WINDOW_BYTES
        self._check_descriptors(stats["fills"] + clients)
        if not self.clients and not self.origin.calls:
            self._check_nothing_is_held()

    def _check_nothing_is_held(self) -> None:
        assert (self.cached.stats()["fills"], self.window.free) == (0, WINDOW_BYTES)
        assert not self.origin.open_bodies
        assert not any((self.directory / "incoming").glob("*"))
        self._check_descriptors(0)

    def _check_descriptors(self, in_use: int) -> None:
        """Beside the entries that are kept open."""
        if self.disk is None:
            return
        most = len(self.disk._hot) + in_use
        if self.faults and self._descriptors() > most:
            gc.collect()  # the traceback of an error may have held a file
        assert self._descriptors() <= most

    def _descriptors(self) -> int:
        """Of our files."""
        count = 0
        for name in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # of the listing itself
                count += os.readlink(f"/proc/self/fd/{name}").startswith(str(self.directory))
        return count

    def _check(self, client: Client) -> None:
        request, stream, error = client.request, client.stream, client.error
        versions = self.objects[request.key]
        oldest = min(client.since, versions.version)
        possible = [*range(oldest, versions.version + 1)]
        if stream is None:
            assert error is not None
            self._check_error(client, error, possible)
            return
        if request.key == PRIVATE:
            assert "hit" not in stream.headers["Cache-Status"], "it may not be kept"
        if "detail=stale" in stream.headers.get("Cache-Status", ""):
            possible = [*range(versions.version + 1)]  # stale, because the storage has failed
        present = {versions.etag(version): version for version in possible if versions.sizes[version] is not None}
        etag = stream.headers["ETag"]
        assert etag in present, (etag, present)
        whole = versions.body(present[etag])
        if stream.status == 304:
            assert request.headers.get("if-none-match") == etag
            return
        assert request.headers.get("if-none-match") != etag
        start, stop = 0, len(whole)
        if stream.status == 206:
            span = stream.headers["Content-Range"].removeprefix("bytes ").partition("/")[0].partition("-")
            start, stop = int(span[0]), int(span[2]) + 1
            assert request.headers["range"] in (f"bytes={start}-", f"bytes={start}-{stop - 1}", "bytes=-50")
            assert request.headers.get("if-range", etag) == etag
        else:
            assert "range" not in request.headers or request.headers.get("if-range", etag) != etag
        expected = whole[start:stop]
        assert stream.headers["Content-Length"] == str(len(expected))
        if stream.content is not None:
            assert stream.content == expected
        assert expected.startswith(client.body)
        if client.ended and error is None and request.method == "GET":
            assert client.body == expected, "an answer that is not whole breaks off visibly"
        if error is not None:
            changed = etag != versions.etag(versions.version)
            assert changed or self.faults > client.faults, f"nothing was wrong: {error!r}"

    def _check_error(self, client: Client, error: GatewayError, possible: list[int]) -> None:
        versions, headers = self.objects[client.request.key], client.request.headers
        if isinstance(error, RangeNotSatisfiableError):
            assert headers.get("range") == "bytes=999999-" or client.request.key == SMALL
        elif isinstance(error, PreconditionFailedError):
            assert any(versions.sizes[v] is None or versions.etag(v) != headers["if-match"] for v in possible)
        elif isinstance(error, NotFoundError) and error.code == "NoSuchKey":
            assert any(versions.sizes[version] is None for version in possible)
        else:
            assert self.faults, f"nothing was wrong: {error!r}"

    def teardown(self) -> None:
        try:
            if hasattr(self, "cached"):
                self._let_all_end()
        finally:
            for patch in self.patches:
                patch.stop()
            shutil.rmtree(self.directory)

    def _let_all_end(self) -> None:
        clients = self.clients
        for client in clients:
            client.tokens = 1_000_000
            with self.loop.running():
                client.wanted.set()
        self.all_goes_well()
        assert all(client.ended for client in clients), "a client waits for ever"
        self.answers_are_right()
        self._check_nothing_is_held()
        for refreshed in (False, True):
            if refreshed:
                self.refresh()
            clients = [self._join(key, tokens=1_000_000) for key in self.keys]
            self.all_goes_well()
            assert all(client.ended for client in clients)
            self.answers_are_right()
        self._check_nothing_is_held()
        with self.loop.running():
            closing = self.loop.create_task(self.cached.close())
        self.loop.settle()
        assert closing.done()


class WithoutDisk(CacheMachine):
    pass


class WithDisk(CacheMachine):
    with_disk = True


class InParts(CacheMachine):
    connections = 3


class WithDiskInParts(CacheMachine):
    with_disk = True
    connections = 3


def _bounded(machine: type[CacheMachine]) -> Any:
    case = machine.TestCase
    case.settings = settings(
        max_examples=3000 if NIGHTLY else 30,
        stateful_step_count=80 if NIGHTLY else 50,
        deadline=None,
        derandomize=not NIGHTLY,  # a build that failed fails again
        report_multiple_bugs=False,
        suppress_health_check=[*HealthCheck],
    )
    return case


TestWithoutDisk = _bounded(WithoutDisk)
TestWithDisk = _bounded(WithDisk)
TestInParts = _bounded(InParts)
TestWithDiskInParts = _bounded(WithDiskInParts)
