"""Which keys stand for a document of PyPI's JSON API, and whose they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.legacy.target import ReleaseTarget, release_target
from gateway.index.resources import Resources
from gateway.rights.policy import Listing, Resource

HERE = Resources("in/", index_document="index.html", by_folder=True, root_page=Listing.FILTERED, generated=True)
STATIC = Resources("in/", index_document="index.html", by_folder=True, root_page=Listing.COMPLETE)


@pytest.mark.parametrize(
    ("inner", "target"),
    [
        ("pypi/foo/json", ReleaseTarget("foo")),
        ("pypi/Foo.Bar/json", ReleaseTarget("Foo.Bar")),
        ("pypi/foo/1.0/json", ReleaseTarget("foo", "1.0")),
        ("pypi/pypi/json", ReleaseTarget("pypi")),
        ("pypi/json/json", ReleaseTarget("json")),
        ("pypi/simple/json", ReleaseTarget("simple")),
    ],
)
def test_what_stands_for_a_document(inner: str, target: ReleaseTarget) -> None:
    assert release_target(inner) == target
    resource = HERE.of(f"in/{inner}")
    assert resource == Resource((target.name,), (f"/{inner}", f"/{target.name}/", f"/{target.name}/index.html"))
    assert HERE.projects_of(f"in/{inner}") == (target.name,)
    assert STATIC.release_target(f"in/{inner}") is None
    assert STATIC.of(f"in/{inner}").projects == ("pypi",)


@pytest.mark.parametrize(
    "inner",
    [
        *(
            "",
            "json",
            "pypi/json",
            "/pypi/foo/json",
            "pypi//json",
            "pypi//foo/json",
            "pypi/foo//json",
            "pypi/foo/json/",
        ),
        *("simple/pypi/foo/json", "PyPI/foo/json", "pypi/foo/JSON", "pypi/foo/1.0/2.0/json", "pypi/foo/json.html"),
        *("pypi/foo/foo-1.0.tar.gz", "pypi/", "pypi/foo/"),
    ],
)
def test_all_other_keys_are_those_of_files_and_pages(inner: str) -> None:
    """A file that is found in another way is one of a project `pypi`, or whatever it says it is."""
    assert release_target(inner) is None
    assert HERE.of(f"in/{inner}") == STATIC.of(f"in/{inner}") or inner in ("", "json")


segments = st.lists(st.sampled_from(["", "pypi", "foo", "json", "simple", "1.0", "foo-1.0.tar.gz"]), max_size=6)


@given(segments)
def test_a_document_is_the_only_meaning_of_its_key(names: list[str]) -> None:
    inner = "/".join(names)
    target = HERE.release_target(f"in/{inner}")
    if target is None:
        assert HERE.of(f"in/{inner}").projects == STATIC.of(f"in/{inner}").projects
    else:
        assert HERE.of(f"in/{inner}").projects == (target.name,)
        assert (target.path == inner) == (target.project == target.name)


def test_where_the_document_is_if_the_project_is_spelled_otherwise() -> None:
    assert ReleaseTarget("Foo_Bar").path == "pypi/foo-bar/json"
    assert ReleaseTarget("Foo_Bar", "1!2+a b").path == "pypi/foo-bar/1%212%2Ba%20b/json"
    assert (ReleaseTarget("foo").up, ReleaseTarget("foo", "1").up) == ("../../", "../../../")
