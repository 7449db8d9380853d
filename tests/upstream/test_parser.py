import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.parser import Answer


def read(data: bytes, method: str = "GET", *, eof: bool = False, step: int | None = None) -> tuple[Answer, bytes]:
    answer = Answer(method)
    step = step or len(data) or 1
    body = b"".join(answer.feed(data[start : start + step]) for start in range(0, len(data), step))
    if eof:
        answer.feed_eof()
    return answer, body


def test_a_length_says_where_the_body_ends() -> None:
    answer, body = read(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag:  "a" \r\n\r\nhello')
    assert (answer.status, body, answer.complete, answer.keep_alive) == (200, b"hello", True, True)
    assert answer.headers == {"content-length": "5", "etag": '"a"'}


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 103\r\nLink: x\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_bodies_in_any_framing_come_whole_in_any_pieces(data: bytes) -> None:
    for step in range(1, len(data) + 1):
        answer, body = read(data, step=step)
        assert (answer.status, body, answer.complete, answer.keep_alive) == (200, b"hello", True, True)


def test_without_a_length_the_body_goes_on_to_the_end_of_the_connection() -> None:
    answer, body = read(b"HTTP/1.1 200 OK\r\n\r\nhello", eof=True)
    assert (body, answer.complete, answer.keep_alive) == (b"hello", True, False)
    assert not read(b"HTTP/1.1 200 OK\r\n\r\nhello")[0].complete


@pytest.mark.parametrize(
    ("data", "method"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD"),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "GET"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"),
    ],
)
def test_some_answers_have_no_body(data: bytes, method: str) -> None:
    answer, body = read(data, method)
    assert (body, answer.complete, answer.keep_alive) == (b"", True, True)


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_whether_the_connection_may_be_used_again(head: bytes, kept: bool) -> None:
    assert read(head + b"Content-Length: 0\r\n\r\n")[0].keep_alive is kept


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
        b"HTTP/1.1 304 Not Modified\r\n\r\nhello",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: five\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_an_early_end_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="early"):
        read(data, eof=True)


@pytest.mark.parametrize(
    ("start", "line"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: b\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["trailers", "interim answers"],
)
def test_what_comes_around_a_body_ends(start: bytes, line: bytes) -> None:
    answer = Answer("GET")
    answer.feed(start)
    for _ in range(60_000 // len(line)):
        answer.feed(line)
    with pytest.raises(ValueError, match="too large"):
        answer.feed(line * (8000 // len(line)))


@pytest.mark.parametrize(
    ("start", "piece", "end"),
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: " + b"x" * 1019 + b"\r\n", b"\r\n"),
        (
            b"",
            b"HTTP/1.1 103 x\r\nA: " + b"x" * 1001 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
    ids=["trailers", "interim answers"],
)
def test_what_comes_around_a_body_has_64_kb(start: bytes, piece: bytes, end: bytes) -> None:
    assert len(piece) == 1024
    assert read(start + piece * 64 + end, step=7000)[0].complete
    with pytest.raises(ValueError) as refused:
        read(start + piece * 63 + piece.replace(b"A: ", b"A: x") + end, step=7000)
    assert str(refused.value) == "interim answers or trailers too large"


def test_a_long_chunk_may_come_with_the_beginning_of_the_next_line() -> None:
    answer = Answer("GET")
    assert answer.feed(HEAD + b"Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"x" * 2000 + b"\r\n0") == b"x" * 2000
    assert answer.feed(b";x\r\n\r\n") == b""
    assert answer.complete


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes_give_an_answer_or_a_value_error(data: bytes, step: int) -> None:
    for prefix in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        try:
            answer, body = read(prefix + data, step=step)
        except ValueError:
            continue
        assert answer.status in range(600)
        assert len(body) <= len(data)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HEAD + b"Content-Length: 1\r\n\r\nab", "more bytes than Content-Length says"),
        (b"ICY 200 OK\r\n\r\n", "no status line"),
        (HEAD + b"A: " + b"a" * 65536, "head too large"),
        (HEAD + b"A b\r\n\r\n", "malformed header"),
        (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "two lengths"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", "a coding other than chunked, or Content-Length beside it"),
        (HEAD + b"Content-Length: -1\r\n\r\n", "malformed Content-Length"),
        (CHUNKED + b"1" * 1025, "chunk line too long"),
        (CHUNKED + b"0\r\n\r\nx", "bytes after the last chunk"),
        (CHUNKED + b"x\r\n", "malformed chunk size"),
        (CHUNKED + b"1\r\nab\r\n", "a chunk longer than its size"),
    ],
)
def test_a_refusal_says_why(data: bytes, message: str) -> None:
    with pytest.raises(ValueError) as refused:
        read(data)
    assert str(refused.value) == message


def test_an_early_end_is_told() -> None:
    with pytest.raises(ValueError) as refused:
        read(HEAD, eof=True)
    assert str(refused.value) == "the connection ended early"


def test_lines_and_heads_up_to_their_limits_are_read_on() -> None:
    assert read(HEAD + b"A: " + b"a" * (65536 - len(HEAD) - 3))[0].status == 0
    assert read(CHUNKED + b"1;" + b"x" * 1022)[0].status == 200


@pytest.mark.parametrize("size", [b"a", b"A", b"00A", b"a \t;x"])
def test_chunk_sizes_are_hexadecimal(size: bytes) -> None:
    answer, body = read(CHUNKED + size + b"\r\n0123456789\r\n0\r\n\r\n")
    assert (body, answer.complete) == (b"0123456789", True)
    answer, body = read(CHUNKED + b"10\r\n0123456789abcdef\r\n0\r\n\r\n")
    assert (body, answer.complete) == (b"0123456789abcdef", True)


def test_repeated_headers_are_joined_and_keep_their_bytes() -> None:
    answer, _ = read(HEAD + b"Vary: a \t\r\nVARY:b X\r\nX: \xff\xe4X\r\nContent-Length: 0\r\n\r\n")
    assert answer.headers == {"vary": "a, b X", "x": "\xff\xe4X", "content-length": "0"}


def test_a_no_break_space_is_no_blank() -> None:
    assert read(HEAD + b"A: a\xa0\r\nContent-Length: 0\r\n\r\n")[0].headers["a"] == "a\xa0"


@pytest.mark.parametrize(("status", "complete"), [(b"200", True), (b"201", False), (b"407", False)])
def test_a_tunnel_has_no_body(status: bytes, complete: bool) -> None:
    answer, _ = read(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 3\r\n\r\n", "CONNECT")
    assert answer.complete is complete


def test_an_answer_without_a_body_is_complete_with_its_head() -> None:
    for data, method in [(HEAD + b"\r\n", "HEAD"), (b"HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", "GET")]:
        answer, body = read(data, method)
        assert (answer.complete, answer.keep_alive, body) == (True, True, b"")


def test_nothing_is_known_before_the_head() -> None:
    answer = Answer("GET")
    assert (answer.status, answer.headers, answer.complete, answer.keep_alive, answer.begun) == (
        0,
        {},
        False,
        False,
        False,
    )
    answer.feed(b"H")
    assert answer.begun


@pytest.mark.parametrize("length", [b"five", b"-1", b"", b"9" * 400])
def test_a_length_of_no_body_is_a_length_too(length: bytes) -> None:
    """A client that asks with HEAD is told it."""
    with pytest.raises(ValueError, match="malformed Content-Length"):
        read(HEAD + b"Content-Length: " + length + b"\r\n\r\n", "HEAD")


def test_chunks_of_one_byte_take_no_longer_than_their_number_makes_it() -> None:
    """Where each of them copies all that follows, this takes a minute; and nothing else has a turn meanwhile."""
    count = 500_000
    started = time.process_time()
    answer, body = read(CHUNKED + b"1\r\na\r\n" * count + b"0\r\n\r\n")
    assert time.process_time() - started < 10
    assert (len(body), answer.complete) == (count, True)
