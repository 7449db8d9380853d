import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.simple.static_page import names_of, project_of

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


@given(st.text())
def test_no_page_breaks_it(page: str) -> None:
    project_of("p", page)
    names_of(page)
