"""Content types by extension."""

import pytest

from gateway.http.content_types import is_compressed, suffix_of, type_of, with_charset


@pytest.mark.parametrize(
    ("key", "suffix"),
    [("a.JS", ".js"), ("a/b.min.css", ".css"), ("a.d/noend", ""), (".profile", ""), ("a.", "."), ("", ""), ("a/", "")],
)
def test_the_last_extension_counts(key: str, suffix: str) -> None:
    assert suffix_of(key) == suffix


def test_texts_are_utf_8() -> None:
    assert type_of("a.js") == "text/javascript; charset=utf-8"
    assert type_of("a.json") == "application/json"
    assert (type_of("a.whl"), type_of("noend")) == (None, None)
    assert with_charset("text/plain; Charset=latin1") == "text/plain; Charset=latin1"


def test_what_is_compressed_already() -> None:
    assert [key for key in ("a.png", "a.tar.GZ", "a.whl", "a.svg", "a.wasm", "png") if is_compressed(key)] == [
        "a.png",
        "a.tar.GZ",
        "a.whl",
    ]
