"""Which encodings a client prefers to the plain bytes."""

import pytest

from gateway.website.content.welcome import welcome

OFFERED = ("br", "zstd", "gzip")


@pytest.mark.parametrize(
    ("header", "encodings", "plain"),
    [
        ("", "", True),
        ("gzip, deflate, br, zstd", "br zstd gzip", True),
        ("gzip, br;q=0.9", "gzip br", True),
        ("BR ; Q=0.5 , gzip;q=0.5", "br gzip", True),
        ("br;q=0, gzip;q=0.001", "gzip", True),
        ("*", "br zstd gzip", True),
        ("*;q=0.5, zstd;q=0.8", "zstd br gzip", True),
        ("*;q=0", "", False),
        ("br, *;q=0", "br", False),
        ("br, *;q=0, identity;q=0.1", "br", True),
        ("identity;q=0", "", False),
        ("identity;q=0, gzip", "gzip", False),
        ("identity", "", True),
        ("identity, gzip;q=0.9", "", True),
        ("identity;q=0.5, gzip;q=0.5, br;q=0.4", "gzip", True),
        ("*;q=0.5, gzip;q=0.3", "br zstd", True),
        ("identity;q=1, *;q=0", "", True),  # what browsers send with a range
        ("x-gzip", "gzip", True),
        ("x-gzip, gzip;q=0", "", True),
        ("deflate, compress", "", True),
        ("br;q=x, gzip", "gzip", True),
        ("br;q=nan, gzip;q=-1", "", True),
        (",, ;q=1, gzip,", "gzip", True),
    ],
)
def test_what_a_client_prefers(header: str, encodings: str, plain: bool) -> None:
    found = welcome(header, OFFERED)
    assert (" ".join(found.encodings), found.plain) == (encodings, plain)


def test_only_what_is_offered() -> None:
    assert welcome("*", ("gzip",)).encodings == ("gzip",)
    assert welcome("*", ()).encodings == ()
