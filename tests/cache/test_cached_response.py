"""What becomes of a request for an object that is known."""

from collections.abc import AsyncIterator, Callable

import pytest

from gateway.cache.cached_response import Parts, answer
from gateway.cache.memory import CachedObject
from gateway.errors import PreconditionFailedError, RangeNotSatisfiableError
from gateway.messages import FilePart, ObjectRequest, Stream

DATE, SECONDS = "Sun, 06 Nov 1994 08:49:37 GMT", 784111777
EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT"
HIT = "gateway; hit"
HEADERS = {
    "Content-Type": "text/plain",
    "Content-Length": "10",
    "ETag": '"e"',
    "Last-Modified": DATE,
    "Cache-Control": "max-age=60",
}
FOUND = CachedObject(HEADERS, b"0123456789", 10, '"e"', SECONDS, 0.0)
ON_DISK = CachedObject(HEADERS, None, 10, '"e"', SECONDS, 0.0)


def request(method: str = "GET", **headers: str) -> ObjectRequest:
    return ObjectRequest(method, "k", {name.replace("_", "-"): value for name, value in headers.items()})


async def pieces_of(stream: Stream) -> list[bytes]:
    assert stream.body is not None
    return [piece async for piece in stream.body]


class Source:
    """Has its bytes here; tells what was read, and whether it was closed."""

    def __init__(self) -> None:
        self.read_ranges: list[tuple[int, int]] = []
        self.closed = False

    def read(self, start: int, stop: int) -> tuple[Parts, Callable[[], None]]:
        self.read_ranges.append((start, stop))

        async def parts() -> AsyncIterator[bytes | FilePart]:
            yield b"0123456789"[start:stop]

        return parts(), self.close

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("came_with", "kept_for", "told"),
    [({}, 0.9, None), ({}, 1.0, "1"), ({}, 7.9, "7"), ({"Age": "3"}, 7.9, "10"), ({"Age": "3"}, 0.9, "3")],
)
@pytest.mark.parametrize("condition", [{}, {"if-none-match": '"e"'}])
def test_an_answer_tells_how_old_it_is(
    came_with: dict[str, str], kept_for: float, told: str | None, condition: dict[str, str]
) -> None:
    """RFC 9111, 5.1: with the time that it has spent in other caches."""
    found = CachedObject({"ETag": '"e"', **came_with}, b"x", 1, '"e"', None, 0.0)
    stream = answer(ObjectRequest("GET", "k", condition), found, None, cache_status="gateway; hit", age=kept_for)
    assert stream.status == (304 if condition else 200)
    assert stream.headers.get("Age") == told


async def test_a_small_object_is_answered_with_all_its_bytes_at_once() -> None:
    stream = answer(request(), FOUND, None, cache_status=HIT, fresh_for=7.0, cache="memory")
    assert (stream.status, stream.headers) == (200, HEADERS | {"Cache-Status": HIT})
    assert stream.content == b"0123456789"
    assert await pieces_of(stream) == [b"0123456789"]
    assert (stream.fresh_for, stream.cache, stream.parts) == (7.0, "memory", None)
    stream.close()
    assert FOUND.headers == HEADERS, "the next answer begins with what is kept"


def test_an_answer_of_which_nothing_is_said_is_neither_aged_nor_fresh() -> None:
    stream = answer(request(), FOUND, None, cache_status=HIT)
    assert (stream.headers, stream.fresh_for, stream.cache) == (HEADERS | {"Cache-Status": HIT}, 0.0, "")


async def test_a_range_is_answered_with_its_bytes() -> None:
    stream = answer(request(range="bytes=2-4"), FOUND, None, cache_status=HIT, fresh_for=7.0, cache="memory")
    told = {"Content-Length": "3", "Content-Range": "bytes 2-4/10", "Cache-Status": HIT}
    assert (stream.status, stream.headers) == (206, HEADERS | told)
    assert (stream.content, await pieces_of(stream)) == (b"234", [b"234"])
    assert (stream.fresh_for, stream.cache) == (7.0, "memory")
    stream.close()


@pytest.mark.parametrize(
    ("if_range", "status"),
    [('"e"', 206), ('"f"', 200), (DATE, 206), (EARLIER, 200)],
    ids=["tag", "other", "date", "old"],
)
def test_a_range_counts_only_for_the_object_that_it_was_meant_for(if_range: str, status: int) -> None:
    assert answer(request(range="bytes=2-4", if_range=if_range), FOUND, None, cache_status=HIT).status == status


def test_a_range_past_the_end_is_refused() -> None:
    with pytest.raises(RangeNotSatisfiableError):
        answer(request(range="bytes=10-"), FOUND, None, cache_status=HIT)


@pytest.mark.parametrize(("sent", "status", "length"), [({}, 200, "10"), ({"range": "bytes=2-4"}, 206, "3")])
@pytest.mark.parametrize("found", [FOUND, ON_DISK])
def test_a_head_has_the_headers_of_a_get_and_no_body(
    found: CachedObject, sent: dict[str, str], status: int, length: str
) -> None:
    stream = answer(request("HEAD", **sent), found, None, cache_status=HIT, cache="disk")
    assert (stream.status, stream.headers["Content-Length"]) == (status, length)
    assert (stream.body, stream.content, stream.parts, stream.cache) == (None, None, None, "disk")
    stream.close()


@pytest.mark.parametrize("condition", [{"if_none_match": '"e"'}, {"if_modified_since": DATE}])
def test_a_client_that_has_the_object_gets_a_304(condition: dict[str, str]) -> None:
    stream = answer(request(**condition), FOUND, None, cache_status=HIT, fresh_for=7.0, cache="memory")
    kept = {name: HEADERS[name] for name in ("ETag", "Last-Modified", "Cache-Control")}
    assert (stream.status, stream.headers) == (304, kept | {"Cache-Status": HIT})
    assert (stream.body, stream.content) == (None, b"")
    assert (stream.fresh_for, stream.cache) == (7.0, "memory")
    stream.close()


@pytest.mark.parametrize("condition", [{"if_none_match": '"f"'}, {"if_modified_since": EARLIER}])
def test_a_client_that_has_another_object_gets_this_one(condition: dict[str, str]) -> None:
    assert answer(request(**condition), FOUND, None, cache_status=HIT).status == 200


@pytest.mark.parametrize("condition", [{"if_match": '"f"'}, {"if_unmodified_since": EARLIER}])
def test_a_condition_on_another_object_does_not_hold(condition: dict[str, str]) -> None:
    with pytest.raises(PreconditionFailedError):
        answer(request(**condition), FOUND, None, cache_status=HIT)


@pytest.mark.parametrize("condition", [{}, {"if_none_match": '"e"'}])
def test_a_client_must_ask_again_for_what_is_stale(condition: dict[str, str]) -> None:
    stream = answer(request(**condition), FOUND, None, cache_status=HIT, stale=True)
    assert stream.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("size", "pieces"),
    [
        (0, []),
        (65_536, [65_536]),
        (65_537, [65_537]),
        (262_144, [262_144]),
        (600_000, [262_144, 262_144, 75_712]),
    ],
)
async def test_a_large_object_is_sent_in_pieces(size: int, pieces: list[int]) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stream = answer(request(), CachedObject({}, body, size, '"e"', None, 0.0), None, cache_status=HIT)
    assert stream.content == (body if size <= 65_536 else None)
    sent = await pieces_of(stream)
    assert [len(piece) for piece in sent] == pieces
    assert b"".join(sent) == body


@pytest.mark.parametrize(
    ("sent", "status", "part"),
    [({}, 200, (0, 10)), ({"range": "bytes=2-4"}, 206, (2, 5)), ({"range": "x"}, 200, (0, 10))],
)
async def test_bytes_that_are_elsewhere_are_read_there(
    sent: dict[str, str], status: int, part: tuple[int, int]
) -> None:
    source = Source()
    stream = answer(request(**sent), ON_DISK, source, cache_status=HIT, cache="disk")
    assert (stream.status, stream.headers["Cache-Status"], stream.cache) == (status, HIT, "disk")
    assert stream.headers["Content-Length"] == str(part[1] - part[0])
    assert (source.read_ranges, stream.content) == ([part], None)
    assert stream.parts is not None
    assert await pieces_of(stream) == [b"0123456789"[slice(*part)]]
    assert not source.closed
    stream.close()
    assert source.closed
