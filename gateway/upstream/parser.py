"""Parses HTTP/1.1 answers as their bytes arrive. Pure: bytes in, head and body out.

Strict, by RFC 9112: an answer that could be read in two ways is a ValueError, never a guess.
"""

import re

_MAX_HEAD_BYTES = 64 * 1024
_MAX_LINE_BYTES = 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\r\n]*)?(?=\r\n|\Z)")
_HEADER_LINES = re.compile(r"(?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*)*")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")
_UNTIL_CLOSE = -1


class Answer:
    """The answer to one request with `method`. `status` is 0 until the head is there; header names are lower case."""

    __slots__ = (
        "_buffer",
        "_chunked",
        "_expect",
        "_extra",
        "_left",
        "_method",
        "complete",
        "headers",
        "keep_alive",
        "status",
    )

    def __init__(self, method: str) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.complete = False
        self.keep_alive = False
        self._method = method
        self._buffer = b""
        self._left = 0  # bytes of the body, or of the chunk, that are still to come
        self._chunked = False
        self._expect = "size"
        self._extra = 0  # bytes of interim answers and trailers, which are skipped

    @property
    def begun(self) -> bool:
        return bool(self.status or self._buffer)

    def feed(self, data: bytes) -> bytes:
        """The bytes of the body in `data`. Raises ValueError if they are no valid answer, or go on after its end."""
        if not self.status:
            rest = self._read_head(data)
            if rest is None:
                return b""
            data = rest
        if self._chunked:
            return self._read_chunks(data)
        if self._left == _UNTIL_CLOSE:
            return data
        if len(data) > self._left:
            raise ValueError("more bytes than Content-Length says")
        self._left -= len(data)
        self.complete = not self._left
        return data

    def feed_eof(self) -> None:
        """The connection has ended. Raises ValueError if the answer is not complete."""
        if self.status and self._left == _UNTIL_CLOSE:
            self.complete = True
        elif not self.complete:
            raise ValueError("the connection ended early")

    def _read_head(self, data: bytes) -> bytes | None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, rest = self._buffer[:end], self._buffer[end + 4 :]
            self._buffer = b""
            match = _STATUS_LINE.match(head)
            if match is None:
                raise ValueError("no status line")
            status = int(match[2])
            if status >= 200:
                self._read_headers(head[match.end() :].decode("latin-1"), minor=match[1])
                self.status = status
                self._frame()
                return rest
            self._skip(end + 4)
            self._buffer = rest  # an interim answer (RFC 9110, 15.2); 101 is never asked for
        if len(self._buffer) > _MAX_HEAD_BYTES:
            raise ValueError("head too large")
        return None

    def _read_headers(self, lines: str, *, minor: bytes) -> None:
        """`lines` is the head without its first line, each line with the line break before it."""
        if _HEADER_LINES.fullmatch(lines) is None:
            raise ValueError("malformed header")
        parts = [line.partition(":") for line in lines.split("\r\n")[1:]]
        pairs = [(name.lower(), value.strip(" \t")) for name, _, value in parts]
        headers = dict(pairs)
        if len(headers) != len(pairs):
            headers = _joined(pairs)
        self.headers = headers
        connection = headers.get("connection", "").lower()
        self.keep_alive = "close" not in connection if minor == b"1" else "keep-alive" in connection

    def _frame(self) -> None:
        """Where the body ends (RFC 9112, 6.3)."""
        length, coding = self.headers.get("content-length"), self.headers.get("transfer-encoding")
        if length is not None and not (length.isascii() and length.isdigit() and len(length) < 20):
            raise ValueError("malformed Content-Length")  # also if no body follows: the client would get this header
        if self._method == "HEAD" or self.status in (204, 304) or (self._method == "CONNECT" and self.status == 200):
            self._left = 0
        elif coding is not None:
            if coding.lower() != "chunked" or length is not None:
                raise ValueError("a coding other than chunked, or Content-Length beside it")
            self._chunked = True
        elif length is None:
            self._left = _UNTIL_CLOSE
            self.keep_alive = False
        else:
            self._left = int(length)

    def _read_chunks(self, data: bytes) -> bytes:
        """Reads chunks (RFC 9112, 7.1); `_buffer` keeps a line that has not ended. Trailers are skipped."""
        data, self._buffer = self._buffer + data, b""
        body, at = [], 0  # nothing is cut off the front of `data`: with chunks of one byte that would be quadratic
        while at < len(data) and not self.complete:
            if self._left:
                body.append(data[at : at + self._left])
                self._left -= len(body[-1])
                at += len(body[-1])
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                if len(data) - at > _MAX_LINE_BYTES:
                    raise ValueError("chunk line too long")
                self._buffer = data[at:]
                break
            self._next_line(data[at:end])
            at = end + 2
        if at < len(data) and self.complete:
            raise ValueError("bytes after the last chunk")
        return b"".join(body)

    def _next_line(self, line: bytes) -> None:
        if self._expect == "size":
            match = _CHUNK_LINE.fullmatch(line)
            if match is None:
                raise ValueError("malformed chunk size")
            self._left = int(match[1], 16)
            self._expect = "end of chunk" if self._left else "trailer"
        elif self._expect == "end of chunk":
            if line:
                raise ValueError("a chunk longer than its size")
            self._expect = "size"
        elif line:
            self._skip(len(line) + 2)
        else:
            self.complete = True

    def _skip(self, length: int) -> None:
        self._extra += length
        if self._extra > _MAX_HEAD_BYTES:
            raise ValueError("interim answers or trailers too large")


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Joins the values of repeated headers with commas (RFC 9110, 5.3). Raises ValueError for two different lengths."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        if name not in headers:
            headers[name] = value
        elif name != "content-length":
            headers[name] += f", {value}"
        elif headers[name] != value:
            raise ValueError("two lengths")
    return headers
