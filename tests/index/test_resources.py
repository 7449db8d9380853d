"""What a key stands for: everything that it may be has to be there, or somebody reads what is not theirs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.resources import Paths, Resources
from gateway.rights.policy import Listing, Resource

FOLDERS = Resources("", index_document="index.html", by_folder=True, root_page=Listing.FILTERED)
FLAT = Resources("", index_document="index.html", by_folder=False, root_page=Listing.FILTERED)
WHEEL = "Foo_Bar-1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("key", "in_folders", "flat"),
    [
        ("foo/", ["foo"], ["foo"]),
        ("Foo.Bar/", ["foo-bar"], ["foo-bar"]),
        ("simple/foo/", ["foo"], ["foo"]),
        ("simple/simple/foo/notes.txt", ["foo"], ["foo"]),
        ("simple//foo/", ["foo"], ["foo"]),
        ("/foo/notes.txt", ["foo"], ["foo"]),
        ("foo//notes.txt", ["foo"], ["foo"]),
        ("foo", ["foo"], ["foo"]),
        ("foo/index.html", ["foo"], ["foo"]),
        ("foo/sub/index.html", ["foo"], ["foo"]),
        (f"foo-bar/{WHEEL}", ["foo-bar"], ["foo-bar"]),
        (f"other/{WHEEL}", ["other", "foo-bar"], ["foo-bar"]),
        (f"2024/07/{WHEEL}", ["2024", "foo-bar"], ["foo-bar"]),
        (f"other/{WHEEL}.metadata", ["other", "foo-bar"], ["foo-bar"]),
        (f"{WHEEL}", ["foo-bar"], ["foo-bar"]),
        (f"{WHEEL}/", ["foo-bar-1-0-py3-none-any-whl", "foo-bar"], ["foo-bar-1-0-py3-none-any-whl", "foo-bar"]),
        (f"{WHEEL}.provenance", ["foo-bar"], ["foo-bar"]),
        (f"{WHEEL}.asc.sha256", ["foo-bar"], ["foo-bar"]),
        (f"simple/{WHEEL}", ["foo-bar"], ["foo-bar"]),
        ("foo-1.0.tar.gz", ["foo"], ["foo"]),
        ("foo-bar-1.0.whl.bak", ["foo-bar-1-0-whl-bak", "foo-bar"], ["foo-bar-1-0-whl-bak", "foo-bar"]),
        ("other/foo-1.0.whl.bak", ["other", "foo"], ["other", "foo"]),
        ("README.txt", ["readme-txt"], ["readme-txt"]),
        ("index.x/", ["index-x"], ["index-x"]),
        ("index.x-1.0.tar.gz", ["index-x"], ["index-x"]),
        ("index.x/index.v1_json", ["index-x"], ["index-x"]),
    ],
)
def test_every_project_that_a_key_may_belong_to_is_named(key: str, in_folders: list[str], flat: list[str]) -> None:
    assert (list(FOLDERS.of(key).projects), list(FLAT.of(key).projects)) == (in_folders, flat)
    assert FOLDERS.of(key).listing is Listing.NO


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("docs/a", ["/docs/a"]),
        ("docs/", ["/docs/", "/docs/index.html"]),
        ("simple/docs/a", ["/simple/docs/a", "/docs/a"]),
        ("simple/simple/docs/a", ["/simple/simple/docs/a", "/simple/docs/a", "/docs/a"]),
        ("//docs//a", ["///docs//a", "/docs/a"]),
        ("", ["/", "/index.html"]),
        ("simple/", ["/simple/", "/", "/simple/index.html", "/index.html"]),
        ("docs/a.yanked", ["/docs/a.yanked", "/docs/a"]),
        ("simple/a.metadata", ["/simple/a.metadata", "/a.metadata", "/simple/a", "/a"]),
        ("docs/a.metadata/", ["/docs/a.metadata/", "/docs/a.metadata/index.html"]),
    ],
)
def test_every_path_that_leads_to_the_same_file_is_named(key: str, paths: list[str]) -> None:
    assert list(FOLDERS.of(key).paths) == paths


@pytest.mark.parametrize("by_folder", [True, False])
@pytest.mark.parametrize("wheel", [f"other/{WHEEL}", WHEEL, f"simple/other/{WHEEL}", f"//other//{WHEEL}"])
@pytest.mark.parametrize("rest", ["", "a.json", "zulu-1.0.tar.gz", "index.html", f"deep/{WHEEL}.sboms/a", "a/"])
def test_what_is_in_a_wheel_stands_for_the_wheel(by_folder: bool, wheel: str, rest: str) -> None:
    """And for itself: a rule may name it."""
    resources = Resources(
        "", index_document="index.html", by_folder=by_folder, root_page=Listing.FILTERED, generated=True
    )
    whole, part = resources.of(wheel), resources.of(f"{wheel}.sboms/{rest}")
    assert (part.projects, part.listing) == (whole.projects, Listing.NO)
    assert part.paths == (*whole.paths, *(f"{path}.sboms/{rest}" for path in whole.paths))
    assert resources.projects_of(f"{wheel}.sboms/{rest}") == whole.projects
    assert resources.route(f"{wheel}.sboms/{rest}") == ("index", False)
    assert FOLDERS.route(f"{wheel}.sboms/a.json") == ("object", False), "no pages are generated there"


@pytest.mark.parametrize("way", ["simple/", "simple//"])
def test_no_client_decides_how_many_paths_there_are(way: str) -> None:
    """Each costs time on the event loop, before anybody has logged in."""
    found = FOLDERS.of(way * 1000 + "foo/notes.txt")
    assert len(found.paths) <= 12
    assert {f"/{way * 1000}foo/notes.txt", f"/{'simple/' * 999}foo/notes.txt"} <= set(found.paths)
    assert {f"/{'simple/' * number}foo/notes.txt" for number in range(9)} <= set(found.paths)
    assert found.projects == ("foo",)


@pytest.mark.parametrize("key", ["", "simple/", "simple"])
def test_the_root_is_the_list_of_projects(key: str) -> None:
    assert FOLDERS.of(key).listing is Listing.FILTERED
    assert FOLDERS.of(key).projects == ()


@pytest.mark.parametrize(
    "key",
    [
        *("index.html", "simple/index.html", "//index.html", "/", "//", "simple//", "simple/simple/", "simple/simple"),
        *("index.v1_json", "simple/index.v1_html", "index.json", "index.html.gz"),
    ],
)
def test_its_stored_page_has_all_names(key: str) -> None:
    assert FOLDERS.of(key).listing is Listing.COMPLETE
    tree = Resources("", index_document="index.html", by_folder=True, root_page=Listing.STORED)
    assert tree.of(key).listing is Listing.STORED


def test_keys_are_below_the_root() -> None:
    below = Resources("pypi/", index_document="index.html", by_folder=True, root_page=Listing.FILTERED)
    for key in ("foo/", "", "index.html", f"other/{WHEEL}"):
        assert below.of(f"pypi/{key}") == FOLDERS.of(key), key


segments = st.lists(
    st.sampled_from(["", "simple", "foo", "bar-1.0.tar.gz", "index.html", "index.json", "x.txt"]), max_size=5
)


@given(segments, st.sampled_from(["", "simple/", "simple/simple/", "/", "//"]))
def test_more_ways_to_a_file_never_ask_for_less(names: list[str], way: str) -> None:
    key = "/".join(names)
    for resources in (FOLDERS, FLAT):
        plain, roundabout = resources.of(key), resources.of(way + key)
        assert roundabout.projects == plain.projects
        if plain.listing is Listing.NO:
            assert roundabout.listing is Listing.NO
        else:  # only the plain ways are filtered
            assert roundabout.listing in (plain.listing, Listing.COMPLETE)
        assert {path for path in plain.paths if "//" not in path} <= set(roundabout.paths)


@pytest.mark.parametrize(
    ("key", "paths"),
    [
        ("www/", ("/",)),
        ("www/docs/a-1.0.tar.gz", ("/docs/a-1.0.tar.gz",)),
        ("www/simple/docs/", ("/simple/docs/",)),
        ("www//docs//a/", ("//docs//a/", "/docs/a/")),
        ("www/index.html", ("/index.html",)),
    ],
)
def test_a_key_of_a_site_stands_for_its_path_alone(key: str, paths: tuple[str, ...]) -> None:
    assert Paths("www/").of(key) == Resource((), paths)
    assert not Paths("www/").leads_to("www/a/", "a")


def test_a_file_of_a_site_in_an_encoding_stands_for_the_file_too() -> None:
    encoded = Paths("www/", [".br", ".gz"])
    assert encoded.of("www/a.js.br").paths == ("/a.js.br", "/a.js")
    assert encoded.of("www/a//b.js.gz").paths == ("/a//b.js.gz", "/a/b.js.gz", "/a//b.js", "/a/b.js")
    assert encoded.of("www/a.js.zst").paths == ("/a.js.zst",)
    assert encoded.of("www/a.gz/").paths == ("/a.gz/", "/a")
    assert encoded.of("www/gz/").paths == ("/gz/",)
