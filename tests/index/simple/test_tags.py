"""Start tags, held against the standard library's parser where pages are sound."""

from html import escape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.tags import start_tags

WANTED = {"a": frozenset({"href", "data-yanked"}), "base": frozenset({"href"})}


def tags(page: str) -> list[tuple[str, dict[str, str]]]:
    return [(tag.name, tag.attributes) for tag in start_tags(page, WANTED)]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<a href=x>", [("a", {"href": "x"})]),
        ("<A HREF = 'x'\n>y</A>", [("a", {"href": "x"})]),
        ('<a href="a>b" data-yanked>', [("a", {"href": "a>b", "data-yanked": ""})]),
        ('<a href="x"data-yanked="y">', [("a", {"href": "x", "data-yanked": "y"})]),
        ("<a href=x/>", [("a", {"href": "x/"})]),
        ("<a/href=x>", [("a", {"href": "x"})]),
        ("<a href=>", [("a", {"href": ""})]),
        ("<a =href=x href=y>", [("a", {"href": "y"})]),
        ('<a href="&lt;&#38;&amp;">', [("a", {"href": "<&&"})]),
        ("<a href=x href=y>", [("a", {"href": "x"})]),
        ("<a other=x>", [("a", {})]),
        ("<abbr href=x><b href=x>", []),
        ("</a href=x><a>", [("a", {})]),
        ("<!-- <a href=x> --><a>", [("a", {})]),
        ("<!--><a>", [("a", {})]),
        ("<!---><a>", [("a", {})]),
        ("<!-- <a> --!><a>", [("a", {})]),
        ("<!DOCTYPE html [<a>]><?xml <a>?><base href=x>", [("base", {"href": "x"})]),
        ("<script><a></script ><a>", [("a", {})]),
        ("<title><a></titles></TITLE><a>", [("a", {})]),
        ("<script><a>", []),
        ("<a href=x", []),
        ("<a href='x>", []),
        ("<!-- <a>", []),
        ("< a><1><a>", [("a", {})]),
        (f"<a href={'x' * 9000}><a>", [("a", {})]),
        (f"<a href=&#{'1' * 8000};><a>", [("a", {})]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_tags_are_read_as_browsers_read_them(page: str, expected: list[tuple[str, dict[str, str]]]) -> None:
    assert tags(page) == expected


@pytest.mark.parametrize("before", ["", "x" * 100_000])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_value_may_have_8192_characters_wherever_it_stands(before: str, quote: str) -> None:
    most = "x" * 8192
    page = f"{before}<a href={quote}{most}{quote} data-yanked={quote}y{quote}>"
    assert tags(page) == [("a", {"href": most, "data-yanked": "y"})]
    assert tags(page.replace(most, most + "x")) == []


class Library(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in WANTED:
            self.tags.append((tag, {name: value or "" for name, value in reversed(attrs) if name in WANTED[tag]}))


SPACES = st.text(" \n\t", max_size=2)
VALUES = st.text("ab/&;=<>'\"é# ", max_size=8)
ATTRIBUTES = st.builds(
    "{} {}{}={}{}".format,
    SPACES,
    st.sampled_from(["href", "HREF", "data-yanked", "class"]),
    SPACES,
    SPACES,
    VALUES.map(lambda value: f'"{escape(value)}"') | st.text("ab/.", min_size=1).map(lambda value: f"{value} "),
)
MARKUP = st.one_of(
    st.builds("<{}{}>".format, st.sampled_from(["a", "A", "base", "b"]), st.lists(ATTRIBUTES, max_size=3).map("".join)),
    st.sampled_from(["</a>", "<!-- <a> -->", "<!DOCTYPE html>", "<script><a></script>", "text &amp; more", "<br/>"]),
)


@given(st.lists(MARKUP, max_size=8).map("".join))
def test_a_sound_page_says_what_the_standard_library_says(page: str) -> None:
    assert tags(page) == Library(page).tags


@given(st.text("<>a=\"'/!- &#;x\n"))
def test_no_page_breaks_it(page: str) -> None:
    tags(page)


@pytest.mark.parametrize(
    "part", ["<a a", "<a", "<a a=", '<a a="', "<a a='", "<!--", "<!", "</a", "<script>", "&#", "= ", "/"]
)
def test_a_page_without_an_end_is_read_once(part: str) -> None:
    """Where the end is looked for from each part, this takes hours."""
    assert tags("<a>" + part * 150_000) == [("a", {})]
    assert len(tags("<a " + part * 150_000)) <= 1


@pytest.mark.parametrize("attribute", ["b ", "b/", "b='' "])
def test_a_page_of_attributes_is_given_up(attribute: str) -> None:
    """One of 32 MB has sixteen million, which take a quarter of a minute."""
    assert len(tags("<a " + attribute * 900_000 + ">")) == 1
    with pytest.raises(ValueError, match="attributes"):
        tags(("<i " + attribute * 600_000 + ">") * 2)
