"""Which replies the response cache keeps, for how long, and how many of them."""

import re
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime

import pytest

from gateway.messages import RequestRecord
from gateway.server.reply import Reply
from gateway.server.response_cache import ResponseCache

EXCHANGE = RequestRecord("id", "GET", "/", "127.0.0.1", "agent", 100.0)


@pytest.mark.parametrize(
    ("request_bytes", "body_bytes", "status", "fresh_for", "is_kept"),
    [
        (4096, 262_144, 200, 9.0, True),
        (4096, 262_144, 206, 9.0, True),
        (4096, 1, 304, 9.0, True),
        (4097, 1, 200, 9.0, False),
        (1, 262_145, 200, 9.0, False),
        (1, 1, 200, 0.0, False),
        (1, 1, 200, -1.0, False),
        (1, 1, 301, 9.0, False),
        (1, 1, 500, 9.0, False),
    ],
)
def test_which_replies_are_kept(
    request_bytes: int, body_bytes: int, status: int, fresh_for: float, is_kept: bool
) -> None:
    hot = ResponseCache(1_000_000, lambda: 100.0)
    reply = Reply(status, {}, bytes(body_bytes), fresh_for=fresh_for)
    hot.keep(b"x" * request_bytes, reply, EXCHANGE)
    found = hot.get(b"x" * request_bytes)
    assert (found is not None) is is_kept
    if found is not None:
        assert (found.first, found.start) == (EXCHANGE, reply.start())
        assert found.body == (b"" if status == 304 else reply.body)


def test_a_reply_is_used_until_its_time_is_up() -> None:
    now = 100.0
    hot = ResponseCache(1_000_000, lambda: now)
    hot.keep(b"short", Reply(200, {}, b"x", fresh_for=0.5), EXCHANGE)
    hot.keep(b"long", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    now = 100.4
    assert hot.get(b"short") is not None
    now = 100.5
    assert (hot.get(b"short"), hot.get(b"long") is not None) == (None, True)
    now = 101.0
    assert hot.get(b"long") is None
    hot.keep(b"late", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    now = 100.9
    assert hot.get(b"late") is None, "its time was up before it was kept"


def test_clear_forgets_what_is_kept() -> None:
    hot = ResponseCache(1_000_000, lambda: 100.0)
    hot.keep(b"x", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    hot.clear()
    assert hot.get(b"x") is None


def test_a_date_is_that_of_the_answer() -> None:
    hot = ResponseCache(1_000_000, lambda: 100.0)
    hot.keep(b"x", Reply(200, {}, b"x", fresh_for=9), EXCHANGE)
    found = hot.get(b"x")
    assert found is not None
    date = re.search(rb"Date: ([^\r]+)", found.wire("id"))
    assert date is not None
    assert abs(parsedate_to_datetime(date[1].decode()).timestamp() - time.time()) < 60


@pytest.mark.parametrize("field", ["target", "key", "client", "agent", "forwarded_for"])
def test_each_text_of_the_client_counts(field: str) -> None:
    """So many replies stay as there is room for: 90 of 10 KB in a megabyte."""
    hot = ResponseCache(1_000_000, lambda: 100.0)
    text = "y" * 10_000
    exchange = replace(EXCHANGE, **{field: (text,) if field == "forwarded_for" else text})  # type: ignore[arg-type]
    for number in range(200):
        hot.keep(b"%d" % number, Reply(200, {}, b"", fresh_for=9), exchange)
    assert 80 < sum(hot.get(b"%d" % number) is not None for number in range(200)) < 95


@pytest.mark.parametrize(("request_bytes", "head_bytes", "body_bytes"), [(4000, 0, 0), (0, 4000, 0), (0, 0, 4000)])
def test_the_request_the_head_and_the_body_count(request_bytes: int, head_bytes: int, body_bytes: int) -> None:
    hot = ResponseCache(1_000_000, lambda: 100.0)
    reply = Reply(200, {"A": "x" * head_bytes}, bytes(body_bytes), fresh_for=9)
    requests = [b"%d" % number + b"x" * request_bytes for number in range(400)]
    for request in requests:
        hot.keep(request, reply, EXCHANGE)
    assert 150 < sum(hot.get(request) is not None for request in requests) < 185
