"""What a listing has, and in which order."""

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.target import parse_target
from gateway.storage.base import Children, StoredObject
from gateway.website.listing import Entry, Listing, listing_of, readable


def children(*names: str, folders: tuple[str, ...] = (), more: bool = False, prefix: str = "d/") -> Children:
    return Children(tuple(StoredObject(prefix + name, len(name), '"e"', 7.0) for name in names), folders, more=more)


def names(listing: Listing) -> list[str]:
    return [entry.name + "/" * entry.is_directory for entry in listing.entries]


def test_directories_come_first_each_in_order() -> None:
    listing = listing_of("d/", children("b", "Z", "a", "ж", folders=("y", "x")))
    assert names(listing) == ["x/", "y/", "Z", "a", "b", "ж"]
    assert listing.entries[2] == Entry("Z", False, 1, 7.0)
    assert (listing.last, listing.absent, listing.is_object) == ("", False, False)


def test_it_has_no_names_that_nobody_can_ask_for() -> None:
    hidden = (".git", ".gateway", ".mirror", "a\nb", "\x7f", "\x85", "..\\x", "x\\..", "%2e%2e", "a%2F..")
    shown = ("a.b", "50%", "x\\y", "%41")
    assert names(listing_of("d/", children(*hidden, *shown))) == sorted(shown)
    assert names(listing_of("d/", children(folders=("", *hidden, *shown)))) == [f"{name}/" for name in sorted(shown)]


def test_a_mark_of_the_directory_itself_is_no_entry() -> None:
    assert listing_of("d/", children("")) == Listing(())
    assert not listing_of("d/", children("")).absent
    own = StoredObject("d/", 5, '"e"', 0.0)
    assert listing_of("d/", Children((own,), ())) == Listing((), is_object=True)


def test_nothing_is_absent_but_in_an_empty_directory() -> None:
    assert listing_of("d/", Children((), ())).absent
    assert listing_of("d/", Children((), (), blank=True, absent=True)).absent
    assert not listing_of("d/", Children((), (), blank=True)).absent
    assert not listing_of("d/", children(folders=(".hidden",))).absent


@pytest.mark.parametrize(
    ("files", "folders", "last"),
    [
        (("a", "b"), ("aa",), "b"),
        (("a", "b-x"), ("b",), "b/"),
        (("a", "b0"), ("b",), "b0"),
        ((".z", "a"), (), "a"),
        (("a", "~\n"), (), "~\n"),
        ((), ("x",), "x/"),
    ],
)
def test_the_next_page_begins_after_the_last_name_also_a_hidden_one(
    files: tuple[str, ...], folders: tuple[str, ...], last: str
) -> None:
    assert listing_of("d/", children(*files, folders=folders, more=True)).last == last
    assert listing_of("d/", children(*files, folders=folders)).last == ""


def test_a_reader_sees_what_may_be_read() -> None:
    listing = listing_of("d/", children("a", "b", folders=("a", "c"), more=True))
    asked: list[str] = []

    def may_read(key: str) -> bool:
        asked.append(key)
        return "a" in key

    assert names(readable(listing, "d/", may_read)) == ["a/", "a"]
    assert asked[:4] == ["d/a/", "d/c/", "d/a", "d/b"]


@pytest.mark.parametrize(
    ("hidden", "last"),
    [((), "c/"), (("c/",), "b"), (("c/", "b"), "a/"), (("b",), "c/"), (("a", "a/", "b", "c/"), "c/")],
)
def test_the_next_page_begins_after_a_name_that_the_reader_may_read(hidden: tuple[str, ...], last: str) -> None:
    listing = listing_of("d/", children("a", "b", folders=("a", "c"), more=True))
    assert readable(listing, "d/", lambda key: key.removeprefix("d/") not in hidden).last == last
    whole = listing_of("d/", children("a", "b", folders=("a", "c")))
    assert readable(whole, "d/", lambda key: key.removeprefix("d/") not in hidden).last == ""


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda name: "/" not in name))
def test_the_link_of_a_name_leads_to_it(name: str) -> None:
    for entry in listing_of("d/", children(name, folders=(name,))).entries:
        link = urljoin("http://host.example/up/d/?x=y", entry.href)
        target = link.removeprefix("http://host.example")
        assert parse_target(target) == (f"/up/d/{name}{'/' * entry.is_directory}", "")
