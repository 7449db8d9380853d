"""A bucket that takes whatever is written, as fast as it comes, and keeps nothing but the keys by which it is tried.

python -m tests.bench.sink PORT BYTES_A_SECOND, for each connection
"""

import asyncio
import re
import sys

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)", re.IGNORECASE)
_ONLY_NEW = re.compile(rb"\r\nIf-None-Match: *\*", re.IGNORECASE)
_AHEAD_SECONDS = 0.005
_BUFFER_BYTES = 1024 * 1024
_EMPTY = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
_XML = "<Result><UploadId>1</UploadId><ETag>&quot;e&quot;</ETag></Result>"


class _Sink(asyncio.BufferedProtocol):
    keys: set[bytes]  # of all connections

    def __init__(self, keys: set[bytes], pace: float) -> None:
        self.keys = keys
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._head = b""
        self._left = 0  # of the body
        self._pace = pace
        self._due = 0.0  # when what has been read should have arrived

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        now = self._loop.time()
        self._due = max(self._due, now) + nbytes / self._pace
        if self._due - now > _AHEAD_SECONDS:
            self._transport.pause_reading()
            self._loop.call_at(self._due, self._transport.resume_reading)
        if self._left > 0:
            self._left -= nbytes
            if self._left == 0:
                self._answer()
            return
        self._head += bytes(self._buffer[:nbytes])
        head, end, body = self._head.partition(b"\r\n\r\n")
        if end:
            length = _LENGTH.search(head)
            self._head = head
            self._left = int(length[1] if length else 0) - len(body)
            if b"\r\nExpect: 100-continue" in head:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if self._left == 0:
                self._answer()

    def _answer(self) -> None:
        head, self._head = self._head, b""
        method, target, _ = head.partition(b"\r\n")[0].split(b" ")
        path, _, query = target.partition(b"?")
        completes = method == b"POST" and b"uploadId=" in query
        status, text = "200 OK", _XML
        if method in (b"GET", b"HEAD") and path not in self.keys:
            found = b"list-type" in query
            status, text = ("200 OK", _EMPTY) if found else ("404 Not Found", "")
        elif method == b"DELETE":
            self.keys.discard(path)
            status, text = "204 No Content", ""
        elif completes or (method == b"PUT" and b"uploadId=" not in query):
            if path in self.keys and _ONLY_NEW.search(head):
                status, text = "412 Precondition Failed", ""
            if b"/.gateway/" in path:
                self.keys.add(path)
        length = f"Content-Length: {len(text)}\r\n" if status[:3] != "204" else ""
        body = "" if method == b"HEAD" else text
        self._transport.write(f'HTTP/1.1 {status}\r\nETag: "e"\r\n{length}\r\n{body}'.encode())


async def main(port: int, pace: float) -> None:
    keys: set[bytes] = set()
    server = await asyncio.get_running_loop().create_server(lambda: _Sink(keys, pace), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
