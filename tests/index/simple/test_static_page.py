import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.static_page import names_of, project_of, read

SHA = "a" * 64


def test_a_static_page_says_the_same_in_json() -> None:
    page = f"""<html><body><base href="https://evil.example/">
    <A HREF='arrow-1.0.tar.gz#sha256={SHA}' data-requires-python="&gt;=3.8">arrow</A>
    <a href="arrow-2.0-py3-none-any.whl#md5=x" data-yanked data-dist-info-metadata="sha256={SHA}">x</a>
    <a href="sub/">sub</a><a>no link</a>"""
    project = project_of("arrow", page)
    assert project.versions == ("1.0", "2.0")
    first, second = project.files
    assert (first.name, first.url, first.hashes, first.requires_python) == (
        "arrow-1.0.tar.gz",
        "arrow-1.0.tar.gz",
        {"sha256": SHA},
        ">=3.8",
    )
    assert (second.hashes, second.yanked, second.has_metadata, second.metadata_sha256) == ({}, "", True, SHA)


@pytest.mark.parametrize(
    ("href", "name"),
    [
        ("https://files.example/p/p-1.0.tar.gz?x=y#sha256=z", "p-1.0.tar.gz"),
        ("../../packages/p-1.0%2Blocal.tar.gz", "p-1.0+local.tar.gz"),
        ("p-1.0.tar.gz", "p-1.0.tar.gz"),
    ],
)
def test_a_file_s_name_is_the_last_of_its_path(href: str, name: str) -> None:
    [file] = project_of("p", f'<a href="{href}">text</a>').files
    assert file.name == name


def test_a_link_that_is_no_url_is_none() -> None:
    assert project_of("p", '<a href="http://[#x">x</a><a href="http://[x/p-1.zip#md5=">y</a>').files == ()
    assert names_of('<a href="http://[/#x">x</a>') == []


def test_the_projects_of_a_root_page() -> None:
    page = (
        '<a href="B/">b</a><a href="/simple/a_a/">a</a><a href="b/">again</a><a href="../">up</a><a href="x.txt">x</a>'
    )
    assert names_of(page) == ["a-a", "b"]


@pytest.mark.parametrize(
    ("fragment", "hashes"),
    [
        (f"sha256={SHA}", {"sha256": SHA}),
        (f"sha256={SHA.upper()}&egg=p", {"sha256": SHA}),
        (f"md5={SHA[:32]}", {"md5": SHA[:32]}),
        (f"sha512={SHA * 2}", {"sha512": SHA * 2}),
        (f"sha3={SHA}", {}),
        (f"egg=p&sha256={SHA}", {}),
        ("sha256=abc", {}),
        ("", {}),
    ],
)
def test_a_fragment_is_a_hash_or_nothing(fragment: str, hashes: dict[str, str]) -> None:
    [file] = project_of("p", f'<a href="p-1.0.zip#{fragment}">p</a>').files
    assert (file.url, file.hashes) == ("p-1.0.zip", hashes)


@pytest.mark.parametrize(
    ("attributes", "has_metadata", "sha256"),
    [
        ("", False, None),
        ("data-core-metadata", True, None),
        ("data-core-metadata=true", True, None),
        ("data-core-metadata=false", False, None),
        (f"data-core-metadata=sha256={SHA.upper()}", True, SHA),
        (f"data-core-metadata=md5={SHA[:32]}", True, None),
        (f"data-dist-info-metadata=sha256={SHA}", True, SHA),
        (f"data-core-metadata=false data-dist-info-metadata=sha256={SHA}", False, None),
    ],
)
def test_metadata_is_told_under_both_names(attributes: str, has_metadata: bool, sha256: str | None) -> None:
    """PEP 714: the new name counts where both are there."""
    [file] = project_of("p", f'<a href="p-1.0-py3-none-any.whl" {attributes}>p</a>').files
    assert (file.has_metadata, file.metadata_sha256) == (has_metadata, sha256)


def test_of_what_a_link_does_not_say_nothing_is_known() -> None:
    [file] = project_of("p", '<a href="p-1.0.zip">p</a>').files
    assert (file.requires_python, file.yanked, file.provenance) == (None, None, None)
    assert (file.size, file.modified) == (None, None)


def test_a_link_tells_its_provenance_and_why_it_is_yanked() -> None:
    page = '<a href="p-1.0.zip" data-provenance="https://h/p" data-yanked="too &lt;soon&gt;">p</a>'
    [file] = project_of("p", page).files
    assert (file.provenance, file.yanked) == ("https://h/p", "too <soon>")


def test_the_first_base_that_says_something_counts() -> None:
    assert read("<p>").base == ""
    assert read("<base><base href='https://a/'><base href='https://b/'>").base == "https://a/"


def test_meta_tags_of_the_index_are_read_and_no_others() -> None:
    page = """<meta name="pypi:tracks" content="https://a/"><meta name="pypi:tracks" content="https://b/">
    <meta name="pypi:alternate-locations" content="https://c/"><meta name="pypi:project-status">
    <meta name="pypi:project-status-reason" content="because"><meta name="pypi:project-status-reason" content="no">
    <meta name="tracks" content="https://d/"><meta content="https://e/"><a name="pypi:tracks" content="https://f/">"""
    project = project_of("p", page)
    assert (project.tracks, project.alternate_locations) == (("https://a/", "https://b/"), ("https://c/",))
    assert (project.status, project.status_reason) == ("", "because")
    assert "tracks" in read(page).meta
    silent = project_of("p", "<a>")
    assert (silent.name, silent.tracks, silent.alternate_locations) == ("p", (), ())
    assert (silent.status, silent.status_reason) == (None, None)


def test_versions_are_those_of_releases_each_once_in_order() -> None:
    files = ("p-10.0.zip", "p-9.0.zip", "p-9.0-py3-none-any.whl", "notes.txt")
    project = project_of("p", "".join(f'<a href="{name}">' for name in files))
    assert project.versions == ("9.0", "10.0")
    assert tuple(file.name for file in project.files) == files


@pytest.mark.parametrize(
    ("href", "names"),
    [
        ("/simple/a%20b//", ["a b"]),
        ("a/?x=/b", ["a"]),
        ("a/#b/", ["a"]),
        ("./", []),
        ("..", []),
        ("?x", []),
        (".hidden/", ["hidden"]),
        ("X.X/", ["x-x"]),
        ("/", []),
    ],
)
def test_a_folder_s_name_is_the_last_of_its_path(href: str, names: list[str]) -> None:
    assert names_of(f'<a href="{href}">x</a>') == names


def test_links_behind_one_that_is_no_url_are_read() -> None:
    assert names_of('<a href="http://[#x"><a href="b/">') == ["b"]


@given(st.text())
def test_no_page_breaks_it(page: str) -> None:
    project_of("p", page)
    names_of(page)
