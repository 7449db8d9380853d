"""The text of stored pages."""

import gzip

import pytest

from gateway.index.simple.page_text import text_of

PAGE = '<a href="ä-1.zip">'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PAGE.encode(), ""),
        (PAGE.encode(), "text/html"),
        (PAGE.encode(), "text/html; charset=bogus"),
        (PAGE.encode("utf-8-sig"), "text/html; charset=utf-16"),
        (PAGE.encode("utf-16"), "text/html; charset=utf-16"),
        (PAGE.encode("utf-16"), "text/html"),
        (b"\xfe\xff" + PAGE.encode("utf-16-be"), ""),
        (PAGE.encode("utf-16-le"), "text/html; charset=UTF-16"),
        (PAGE.encode("utf-16-le"), "text/html; charset=utf-16le"),
        (PAGE.encode("utf-16-be"), "text/html; charset=utf-16be"),
        (PAGE.encode("latin-1"), "text/html;charset='ISO-8859-1'"),
        (PAGE.encode("cp1252"), 'text/html; a=b; charset="windows-1252"; c=d'),
    ],
)
def test_a_page_is_read_in_its_charset(content: bytes, kind: str) -> None:
    assert text_of(content, {"Content-Type": kind}, 1000) == PAGE


def test_what_can_not_be_decoded_is_replaced() -> None:
    assert text_of(b"a\xff", {}, 1000) == "a\ufffd"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "aws-chunked, gzip", "gzip, identity"])
def test_a_packed_page_is_unpacked(coding: str) -> None:
    assert text_of(gzip.compress(PAGE.encode()), {"Content-Encoding": coding}, 1000) == PAGE


@pytest.mark.parametrize("coding", ["", "identity", "aws-chunked", "utf-8"])
def test_what_is_no_coding_is_left_alone(coding: str) -> None:
    assert text_of(PAGE.encode(), {"Content-Encoding": coding}, 1000) == PAGE


@pytest.mark.parametrize(
    ("content", "coding", "reason"),
    [
        (PAGE.encode(), "br", "it is encoded as br"),
        (PAGE.encode(), "gzip", "incorrect header"),
        (gzip.compress(PAGE.encode())[:-1], "gzip", "it is incomplete, or too large"),
        (gzip.compress(b" " * 1001), "gzip", "it is incomplete, or too large"),
    ],
    ids=["unknown", "not packed", "cut short", "too large"],
)
def test_a_page_that_can_not_be_unpacked_is_refused(content: bytes, coding: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        text_of(content, {"Content-Encoding": coding}, 1000)


def test_a_page_may_be_as_large_as_is_allowed() -> None:
    assert text_of(gzip.compress(b" " * 1000), {"Content-Encoding": "gzip"}, 1000) == " " * 1000
