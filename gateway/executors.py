"""Threads for work that would hold up the event loop: an executor for each kind, so that none starves another.

The loop's default executor is left to `loop.getaddrinfo`: nothing else may run there.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_RESOLVER_THREADS = 16


class Executor:
    """A bounded number of threads, started as they are needed and kept until the process ends."""

    def __init__(self, name: str, threads: int) -> None:
        self.name = name
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads, f"gateway-{name}")

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Starts `work` as soon as a thread is free, whether or not the result is awaited. Cancelling the result takes
        `work` out of the queue; once it runs, it runs to its end."""
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(work, *args, **kwargs))

    def stats(self) -> dict[str, int]:
        """How many threads there are, and how much work waits for one."""
        return {"threads": len(self._pool._threads), "waiting": self._pool._work_queue.qsize()}


# Reads and writes of files: short, unless the disk is slow.
DISK = Executor("disk", 8)
# Begins and ends entries of the disk cache: may wait for the lock of another process.
CACHE = Executor("cache", 4)
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
# Resolves host names that others chose, whose name servers may be as slow as they like.
FOREIGN_NAMES = Executor("foreign-dns", 8)
# botocore: credentials and endpoints, which may take files, processes and the network.
AWS = Executor("aws", 4)
# Hashes passwords: bound by the processor, and by memory (argon2).
PASSWORDS = Executor("passwords", 2)
# Asks an LDAP directory, which may be slow.
LDAP = Executor("ldap", 8)
# Puts the metrics together, which tell how the others are doing.
METRICS = Executor("metrics", 1)

ALL = tuple(one for one in [*globals().values()] if isinstance(one, Executor))


def name_resolvers() -> None:
    """Gives the running loop its threads for resolving names. Call once per loop, before it resolves any."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_RESOLVER_THREADS, "gateway-dns"))
