"""A TCP proxy before a bucket that cuts connections after the bucket has answered 200, and before anybody hears."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

_LINE = re.compile(rb"(?:GET|HEAD|PUT|POST|DELETE) [^ \r\n]+ HTTP/1\.1\r\n")


class LostAnswers:
    """`lost` counts the answers that nobody got."""

    def __init__(self, endpoint_url: str) -> None:
        at = urlsplit(endpoint_url)
        self._bucket = at.hostname, at.port
        self._lines = re.compile(rb"$^")
        self._times = 0
        self._tasks = set[asyncio.Task[None]]()
        self.lost = 0
        self.url = ""

    def lose(self, lines: bytes, times: int) -> None:
        """Loses so many answers to requests whose first line matches."""
        self._lines, self._times = re.compile(lines), times

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LostAnswers"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        from_bucket, to_bucket = await asyncio.open_connection(*self._bucket)
        line = b""

        async def up() -> None:
            nonlocal line
            while data := await reader.read(65536):
                if (found := _LINE.match(data)) is not None:
                    line = found[0]
                to_bucket.write(data)
                await to_bucket.drain()

        async def down() -> None:
            while data := await from_bucket.read(65536):
                if self._times and data.startswith(b"HTTP/1.1 200") and self._lines.match(line):
                    self._times -= 1
                    self.lost += 1
                    return
                writer.write(data)
                await writer.drain()

        ways = [asyncio.ensure_future(up()), asyncio.ensure_future(down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            to_bucket.transport.abort()
            self._tasks.discard(task)
