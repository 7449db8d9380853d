"""One fetch of a file from the other index, and the requests that are answered from it while it runs.

A download runs for the requests that hold a claim on it, and, once it has the whole file, for the storage.

    state     meaning                                           when the last claim is given back
    --------  ------------------------------------------------  ---------------------------------
    opening   it waits for its turn, or for the other index     the fetch is cancelled
    flowing   bytes arrive                                      the fetch is cancelled
    whole     the file is complete and goes to the storage      the storage still gets it
    over      the task has ended, and no claim is left          the temporary file is dropped

Other requests may join until it is over, unless it has failed or is being cancelled.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

from gateway.errors import GatewayError, UpstreamError
from gateway.messages import FilePart, Stream
from gateway.single_flight import retrieve_exception
from gateway.transfer.file_broadcast import FileBroadcast
from gateway.transfer.open_file import read_parts

CONTENT_TYPE = "application/octet-stream"

log = logging.getLogger("gateway.index")


def headers_of(length: str | None) -> dict[str, str]:
    """The headers of an answer about a file."""
    return {"Content-Type": CONTENT_TYPE} | ({"Content-Length": length} if length is not None else {})


class Download:
    """See the table above."""

    def __init__(
        self,
        key: str,
        name: str,
        hashes: Mapping[str, str],
        work: Callable[["Download"], Awaitable[None]],
        on_over: Callable[["Download"], None],
    ) -> None:
        """`key` is the key under which the file is kept, `name` is for the log, and `hashes` tell the file's version.
        `work` fetches the file and keeps it; meanwhile it calls `begin`, and sets `whole`. `on_over` is called at the
        end."""
        self.key = key
        self.name = name
        self.hashes = hashes
        self.claims = 0
        self.joinable = True
        self.whole = False
        self.reserved = 0  # bytes of the space for temporary files
        self._broadcast: FileBroadcast | None = None
        self._has_ended = False
        self._on_over = on_over
        loop = asyncio.get_running_loop()
        self._length: asyncio.Future[str | None] = loop.create_future()
        self._length.add_done_callback(retrieve_exception)  # every request may have left
        self._task = loop.create_task(self._run(work))
        self._task.add_done_callback(self._ended)

    @property
    def broadcast(self) -> FileBroadcast:
        assert self._broadcast is not None, "it has begun"
        return self._broadcast

    def claim(self) -> "Claim":
        assert self.joinable
        self.claims += 1
        return Claim(self)

    def give_back(self) -> None:
        """Called by a claim, once."""
        self.claims -= 1
        if self.claims:
            return
        if self._has_ended:
            self._over()
        elif not self.whole:
            self.joinable = False
            self._task.cancel()

    def begin(self, broadcast: FileBroadcast, length: str | None) -> None:
        """The other index has answered; the bytes that it sends go into `broadcast`."""
        self._broadcast = broadcast
        self._length.set_result(length)

    async def length(self) -> str | None:
        """The length of the file, once the other index has answered. Raises the error if the fetch failed before."""
        return await asyncio.shield(self._length)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, work: Callable[["Download"], Awaitable[None]]) -> None:
        try:
            await work(self)
        except GatewayError as error:
            log.warning("%s can't be fetched: %s", self.name, error)
            self._fail(error)
        except Exception:
            log.exception("fetching %s failed: this is a bug", self.name)
            self._fail(GatewayError("unexpected exception, see the log above"))

    def _fail(self, error: GatewayError) -> None:
        self.joinable = False
        if self._broadcast is not None:
            self._broadcast.fail(error)
        elif not self._length.done():
            self._length.set_exception(error)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Called also if the task was cancelled, perhaps before it began."""
        self._has_ended = True
        if task.cancelled() and not self.whole:
            self._fail(UpstreamError("the gateway stops"))
        if not self.claims:
            self._over()

    def _over(self) -> None:
        self.joinable = False
        if self._broadcast is not None:
            self._broadcast.close()
        self._on_over(self)


class Claim:
    """One request's hold on a download. As a context, it is given back at the end, unless `stream` was called: then the
    stream gives it back at its own end, or when it is closed."""

    def __init__(self, download: Download) -> None:
        self._download: Download | None = download
        self._streams = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._streams:
            self._give_back()

    async def stream(self) -> Stream:
        """The whole file, as its bytes arrive. Raises the error if the fetch fails before its first byte."""
        assert self._download is not None, "it has not been given back"
        length = await self._download.length()
        broadcast, self._streams = self._download.broadcast, True
        parts = self._parts(broadcast) if length is not None else None
        return Stream(200, headers_of(length), read_parts(self._parts(broadcast)), self._give_back, parts=parts)

    async def _parts(self, broadcast: FileBroadcast) -> AsyncIterator[FilePart]:
        async for part in broadcast.parts():
            yield part
        self._give_back()

    def _give_back(self) -> None:
        download, self._download = self._download, None
        if download is not None:
            download.give_back()
