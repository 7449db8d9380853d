"""What a wheel's metadata tells people, and what of it is left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.browse.readme import MAX_README_CHARS, About, Readme, about

HEAD = b"Metadata-Version: 2.1\nName: p\nVersion: 1\n"


def test_what_it_tells() -> None:
    found, readme = about(
        HEAD + b"Summary: Does it\nRequires-Python: >=3.11\nLicense-Expression: MIT\nAuthor: A <a@b.example>\n"
        b"Home-page: https://home.example/\nProject-URL: Source, https://src.example/\n"
        b"Project-URL: Evil, javascript:alert(1)\nRequires-Dist: other>=1\nRequires-Dist: extra; extra == 'x'\n"
        b"Description-Content-Type: text/markdown; charset=UTF-8; variant=CommonMark\n\n# Hello\n\n*World*\n"
    )
    assert found.summary == "Does it"
    assert found.facts == (
        ("Requires Python", ">=3.11"),
        ("License", "MIT"),
        ("Author", "A <a@b.example>"),
        ("Depends on", "other>=1"),
    )
    assert found.links == (("Source", "https://src.example/"), ("Homepage", "https://home.example/"))
    assert readme == Readme("text/markdown", "CommonMark", "# Hello\n\n*World*")


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("", ("text/x-rst", "GFM")),
        ("text/markdown", ("text/markdown", "GFM")),
        ('Text/Markdown;charset="utf-8";variant="GFM"', ("text/markdown", "GFM")),
        ("nonsense", ("", "GFM")),
    ],
)
def test_the_kind_of_a_readme(content_type: str, expected: tuple[str, str]) -> None:
    line = f"Description-Content-Type: {content_type}\n" if content_type else ""
    _, readme = about(HEAD + line.encode() + b"\ntext")
    assert (readme.kind, readme.variant) == expected


def test_what_it_depends_on_ends_somewhere() -> None:
    """A megabyte of quotes would be five of HTML, more than is remembered."""
    found, _ = about(HEAD + b"".join(b"Requires-Dist: %b\n" % (b'"' * 4000) for _ in range(200)))
    ((_, value),) = found.facts
    assert (len(value), value[3999:4003], value[-2:]) == (8193, '", "', '"…')
    found, _ = about(HEAD + b"Requires-Dist:" + b"a" * 4096 + b"\nRequires-Dist:" + b"b" * 4094)
    assert len(found.facts[0][1]) == 8192


def test_as_text_it_is_escaped_and_ends_somewhere() -> None:
    assert Readme(text="<b>1 & 2").as_text() == "<pre>&lt;b&gt;1 &amp; 2</pre>"
    assert Readme().as_text() == ""
    assert len(Readme(text="x" * MAX_README_CHARS * 3).as_text()) < MAX_README_CHARS + 100


def test_the_weight_counts_every_text() -> None:
    texts = ["s" * 1000, "f" * 1000, "l" * 1000, "r" * 1000]
    found = About(texts[0], (("a", texts[1]),), (("b", texts[2]),), texts[3])
    assert 4000 < found.weight < 5500


@given(st.binary())
def test_no_metadata_breaks_it(metadata: bytes) -> None:
    found, readme = about(metadata)
    assert isinstance(found, About)
    assert isinstance(readme, Readme)
