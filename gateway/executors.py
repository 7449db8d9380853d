"""Threads for work that would hold up the event loop: an executor for each kind, so that none starves another.

The loop's default executor is left to `loop.getaddrinfo`: nothing else may run there.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_MOST_THREADS = 1024

_Job = tuple[Future[Any], Callable[[], Any]]

# The mount that the running code works for; empty if it works for none in particular.
current_mount: ContextVar[str] = ContextVar("current_mount", default="")


@contextmanager
def working_for(mount: str) -> Iterator[None]:
    """What runs within, and what it begins, works for this mount."""
    token = current_mount.set(mount)
    try:
        yield
    finally:
        current_mount.reset(token)


class Executor:
    """A bounded number of threads, started as they are needed and kept until the process ends. Mounts take turns: what
    one of them has waiting holds up none of the others for longer than the work that runs."""

    def __init__(self, name: str, threads: int, *, each: bool = False) -> None:
        """With `each`, every mount has so many threads: for work that may hang, which would keep them."""
        self.name = name
        self.threads = threads
        self._each = each
        self._pool = ThreadPoolExecutor(_MOST_THREADS if each else threads, f"gateway-{name}")
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[_Job]] = {}  # the mount whose turn it is comes first
        self._chosen: deque[tuple[str, _Job]] = deque()
        self._running: dict[str, int] = {}
        self._total = 0

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Starts `work` as soon as a thread is free, whether or not the result is awaited. Cancelling the result takes
        `work` out of the queue; once it runs, it runs to its end."""
        return asyncio.wrap_future(self.submit(work, *args, **kwargs))

    def submit(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """As `run`."""
        result: Future[T] = Future()
        job = result, partial(work, *args, **kwargs)
        mount = current_mount.get()
        with self._lock:
            if not self._waiting and self._has_thread(mount):
                self._start(mount, job)
            else:
                self._waiting.setdefault(mount, deque()).append(job)
                self._start_waiting()
        return result

    def stats(self) -> dict[str, int]:
        """How much work waits, how much runs, and how many threads there are."""
        with self._lock:
            waiting = sum(map(len, self._waiting.values()))
            return {"waiting": waiting, "running": self._total, "threads": len(self._pool._threads)}

    def _has_thread(self, mount: str) -> bool:
        return (self._running.get(mount, 0) if self._each else self._total) < self.threads

    def _start(self, mount: str, job: _Job) -> None:
        self._running[mount] = self._running.get(mount, 0) + 1
        self._total += 1
        self._chosen.append((mount, job))
        self._pool.submit(self._do)

    def _start_waiting(self) -> None:
        """Starts what may run, a piece for each mount in turn."""
        for mount in [*self._waiting]:
            if self._has_thread(mount):
                queue = self._waiting.pop(mount)
                self._start(mount, queue.popleft())
                if queue:
                    self._waiting[mount] = queue  # behind the others

    def _do(self) -> None:
        """Runs in a thread. Takes no arguments: the frames of an error would keep them."""
        mount, (result, work) = self._chosen.popleft()
        try:
            if result.set_running_or_notify_cancel():
                try:
                    result.set_result(work())
                except BaseException as error:
                    result.set_exception(error)
                    del result, work  # the error has this frame, and the frame would have the error: a cycle
        finally:
            with self._lock:
                self._total -= 1
                self._running[mount] -= 1
                if not self._running[mount]:
                    del self._running[mount]
                if self._waiting:
                    self._start_waiting()


# Reads and writes of files: short, unless the disk is slow.
DISK = Executor("disk", 8, each=True)
# Begins and ends entries of the disk cache: may wait for the lock of another process.
CACHE = Executor("cache", 4, each=True)
# Reads or hashes whole files: long, and bound by the processor.
HASH = Executor("hash", 2)
# Renders, compresses and parses our own pages.
PAGES = Executor("pages", 2)
# Reads long listings.
LISTINGS = Executor("listings", 1)
# Parses content that others made: wheels, pages of other indexes.
FOREIGN = Executor("foreign", 4)
# Inspects uploads: hashes them, and reads their archives.
UPLOADS = Executor("uploads", 2)
# Verifies the attestations of uploads.
ATTESTATIONS = Executor("attestations", 2)
# Resolves the names of storages: a name server that does not answer keeps a thread for many seconds.
NAMES = Executor("dns", 16, each=True)
# Verifies what attests the files of other indexes.
PROVENANCE = Executor("provenance", 2)
# Resolves host names that others chose, whose name servers may be as slow as they like.
FOREIGN_NAMES = Executor("foreign-dns", 8, each=True)
# botocore: credentials and endpoints, which may take files, processes and the network.
AWS = Executor("aws", 4, each=True)
# Hashes passwords: bound by the processor, and by memory (argon2).
PASSWORDS = Executor("passwords", 2)
# Asks an LDAP directory, which may be slow.
LDAP = Executor("ldap", 8, each=True)
# Puts the metrics together, which tell how the others are doing.
METRICS = Executor("metrics", 1)

ALL = tuple(one for one in [*globals().values()] if isinstance(one, Executor))


class _Resolvers(ThreadPoolExecutor):
    """What `loop.getaddrinfo` gives its work to: the threads of NAMES."""

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        return NAMES.submit(work, *args, **kwargs)


def name_resolvers() -> None:
    """Gives the running loop its threads for resolving names. Call once per loop, before it resolves any."""
    asyncio.get_running_loop().set_default_executor(_Resolvers())
