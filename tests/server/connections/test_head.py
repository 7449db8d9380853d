from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gateway.errors import GatewayError, HeadersTooLargeError, UriTooLongError
from gateway.server.connections.head import Head, other_protocol
from gateway.server.connections.limits import Limits

LIMITS = Limits(5, 5, 5, max_target_bytes=100, max_header_bytes=200)
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"


def feed(head: Head, pieces: list[bytes]) -> tuple[bytes, bytes | None]:
    """What was handed on of the head, and what was behind it."""
    taken, behind = b"", None
    for piece in pieces:
        if behind is not None:
            behind += piece
            continue
        part, behind = head.cut(piece)
        taken += part
    return taken, behind


@given(st.sampled_from([b"", b"\r\n\r\n", b"body", HEAD]), st.lists(st.integers(0, 100), max_size=6))
def test_however_it_comes_a_head_ends_at_its_empty_line(behind: bytes, cuts: list[int]) -> None:
    data = HEAD + behind
    marks = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(marks) if stop > start]
    head = Head(LIMITS)
    assert feed(head, pieces) == (HEAD, behind)
    together = any(len(piece) >= len(HEAD) for piece in pieces[:1])
    assert head.whole == (HEAD if together else None)
    assert head.claim(2)
    assert not head.claim(2), "only once"
    head.begin()
    assert head.cut(HEAD) == (HEAD, b"")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_request_line_is_made_ascii(size: int) -> None:
    """The headers stay as they are, and so do the bytes by which replies are kept."""
    given = "GET /é%C3%A9/ж?q=ü HTTP/1.1\r\nHost: x\r\nA: é\r\n\r\n".encode()
    passed = "GET /%C3%A9%C3%A9/%D0%B6?q=%C3%BC HTTP/1.1\r\nHost: x\r\nA: é\r\n\r\n".encode()
    head = Head(LIMITS)
    pieces = [given[start : start + size] for start in range(0, len(given), size)]
    assert feed(head, pieces) == (passed, b"")
    assert head.whole == (given if len(pieces) == 1 else None)
    assert head.claim(2)
    head.begin()
    assert head.cut(HEAD) == (HEAD, b"")


def test_each_line_is_one_of_the_request_s() -> None:
    for headers in (1, 3):
        head = Head(LIMITS)
        head.cut(HEAD)
        assert not head.claim(headers)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"GET /" + b"a" * 360, UriTooLongError),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 60, HeadersTooLargeError),
    ],
    ids=["target", "headers"],
)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_head_that_is_too_long_is_refused_where_it_becomes_so(
    data: bytes, error: type[GatewayError], size: int
) -> None:
    with pytest.raises(error):
        feed(Head(LIMITS), [data[start : start + size] for start in range(0, len(data), size)])


def test_a_head_of_just_the_limit_is_read() -> None:
    filler = LIMITS.max_head_bytes - len(HEAD)
    data = HEAD[:-2] + b"B: " + b"c" * (filler - 5) + b"\r\n\r\n"
    assert len(data) == LIMITS.max_head_bytes
    assert Head(LIMITS).cut(data) == (data, b"")


@pytest.mark.parametrize(
    ("start", "hint"),
    [(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2"), (b"\x16\x03\x01\x02", "use http://"), (HEAD, None), (b"P", None)],
    ids=["http2", "tls", "http", "one-letter"],
)
def test_other_protocols_are_told_by_their_first_bytes(start: bytes, hint: str | None) -> None:
    refusal = other_protocol(start)
    assert (refusal is None) == (hint is None)
    if hint is not None:
        assert hint in str(refusal)
