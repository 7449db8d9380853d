"""Pages, read back by an independent reader: pypi-simple."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypi_simple import IndexPage, ProjectPage

from gateway.index.simple.pages import File, Project, project_html, project_json, root_html, root_json
from gateway.index.simple.static_page import names_of, project_of

SHA = "a" * 64
PROJECT = Project(
    "my-project",
    ("1.0", "2.0"),
    (
        File(
            "my_project-1.0-py3-none-any.whl",
            "../My_Project/my_project-1.0-py3-none-any.whl",
            size=1000,
            modified=1369353600.25,
            hashes={"sha256": SHA},
            requires_python=">=3.11,<4",
            yanked="",
            has_metadata=True,
            metadata_sha256="b" * 64,
        ),
        File("my_project-2.0.tar.gz", "../My_Project/my_project-2.0.tar.gz", size=0, yanked='bad "quote" <b>'),
    ),
    tracks=("https://pypi.org/simple/my-project/",),
    alternate_locations=("https://a.example/simple/my-project/", "https://b.example/my-project/"),
    status="archived",
    status_reason='see "other"',
)


@pytest.mark.parametrize("form", ["html", "json"])
def test_an_independent_reader_finds_everything(form: str) -> None:
    if form == "html":
        page = ProjectPage.from_html("my-project", project_html(PROJECT).decode(), "http://h/simple/my-project/")
    else:
        page = ProjectPage.from_json_data(json.loads(project_json(PROJECT)), "http://h/simple/my-project/")
        assert page.versions == ["1.0", "2.0"]
        assert page.packages[0].size == 1000
        assert page.packages[0].upload_time is not None
        assert page.packages[0].upload_time.isoformat() == "2013-05-24T00:00:00.250000+00:00"
    assert page.repository_version == "1.4"
    assert page.tracks == ["https://pypi.org/simple/my-project/"]
    assert page.alternate_locations == ["https://a.example/simple/my-project/", "https://b.example/my-project/"]
    assert (page.status, page.status_reason) == ("archived", 'see "other"')
    first, second = page.packages
    assert first.url == "http://h/simple/My_Project/my_project-1.0-py3-none-any.whl"
    assert (first.digests, first.requires_python) == ({"sha256": SHA}, ">=3.11,<4")
    assert (first.is_yanked, second.is_yanked, second.yanked_reason) == (True, True, 'bad "quote" <b>')
    assert first.has_metadata
    assert first.metadata_digests == {"sha256": "b" * 64}
    assert not second.has_metadata
    assert second.digests == {}


def test_a_page_without_sizes_claims_no_version_that_demands_them() -> None:
    page = project_json(Project("p", ("1",), (File("p-1.zip", "p-1.zip", size=1), File("p-2.zip", "p-2.zip"))))
    assert json.loads(page)["meta"] == {"api-version": "1.0"}


def test_what_a_static_page_says_of_its_project_is_read_back() -> None:
    back = project_of("my-project", project_html(PROJECT).decode())
    assert (back.tracks, back.alternate_locations) == (PROJECT.tracks, PROJECT.alternate_locations)
    assert (back.status, back.status_reason) == ("archived", 'see "other"')


def test_the_root_lists_projects() -> None:
    names = ["a", "my-project"]
    assert IndexPage.from_html(root_html(names).decode()).projects == names
    assert IndexPage.from_json_data(json.loads(root_json(names))).projects == names
    assert names_of(root_html(names).decode()) == names


HOSTILE = st.text(min_size=1).filter(lambda name: name.strip("/ \t\n\r\f") == name and "/" not in name)


@given(HOSTILE, st.none() | st.text(), st.none() | st.text())
def test_hostile_names_are_inert(name: str, yanked: str | None, requires: str | None) -> None:
    from urllib.parse import quote

    file = File(name, "../f/" + quote(name, safe=""), yanked=yanked, requires_python=requires)
    project = Project("p", (), (file,))
    html = project_html(project).decode()
    assert "<script" not in html.lower().replace("&lt;script", "")
    assert html.count("<a ") == 1
    data = json.loads(project_json(project))
    assert data["files"][0]["filename"] == name
    back = project_of("p", html)
    assert len(back.files) == 1
    assert back.files[0].url == file.url
