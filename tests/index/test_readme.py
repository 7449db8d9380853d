"""What a wheel's metadata tells people, and what of it is left out."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.readme import About, about

HEAD = b"Metadata-Version: 2.1\nName: p\nVersion: 1\n"


def test_what_it_tells() -> None:
    found = about(
        HEAD + b"Summary: Does it\nRequires-Python: >=3.11\nLicense-Expression: MIT\nAuthor: A <a@b.example>\n"
        b"Home-page: https://home.example/\nProject-URL: Source, https://src.example/\n"
        b"Project-URL: Evil, javascript:alert(1)\nRequires-Dist: other>=1\nRequires-Dist: extra; extra == 'x'\n"
        b"Description-Content-Type: text/markdown; variant=GFM\n\n# Hello\n\n*World* <script>alert(1)</script>\n"
    )
    assert found.summary == "Does it"
    assert found.facts == (
        ("Requires", ">=3.11"),
        ("License", "MIT"),
        ("Author", "A <a@b.example>"),
        ("Depends on", "other>=1"),
    )
    assert found.links == (("Source", "https://src.example/"), ("Homepage", "https://home.example/"))
    assert "<h1" in found.readme
    assert "<em>World</em>" in found.readme


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (None, "Title\n=====\n\n*text*", "<em>text</em>"),
        ("text/x-rst", ".. include:: /etc/passwd\n\nx", "<pre>.. include:: /etc/passwd"),
        ("text/plain", "<b>1 < 2</b>", "<pre>&lt;b&gt;1 &lt; 2&lt;/b&gt;</pre>"),
        ("text/markdown", "x" * 300_000, "<pre>xxx"),
        ("nonsense", "a & b", "<pre>a &amp; b</pre>"),
        ("text/markdown", "[x](javascript:alert(1))", ">x</a>"),
    ],
)
def test_a_readme_is_rendered_or_shown_as_it_is(kind: str | None, text: str, expected: str) -> None:
    line = f"Description-Content-Type: {kind}\n".encode() if kind else b""
    readme = about(HEAD + line + b"\n" + text.encode()).readme
    assert expected in readme
    assert "root:" not in readme
    assert "javascript:" not in readme


EVIL = ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<a href='javascript:x'>y</a>", "<iframe src=//x>"]


@pytest.mark.parametrize("kind", ["text/markdown", "text/x-rst", "text/plain"])
@pytest.mark.parametrize(
    "text", [*EVIL, ".. raw:: html\n\n   <script>alert(1)</script>\n", "<style>*{display:none}</style>"]
)
def test_nothing_in_it_can_do_harm(kind: str, text: str) -> None:
    readme = about(HEAD + f"Description-Content-Type: {kind}\n\nText.\n\n{text}\n".encode()).readme.lower()
    for tag in ("<script", "<iframe", "<style", 'href="javascript'):
        assert tag not in readme
    assert not re.search(r"<[^>]*onerror", readme)


@given(st.binary())
def test_no_metadata_breaks_it(metadata: bytes) -> None:
    assert isinstance(about(metadata), About)
