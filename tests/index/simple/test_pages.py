"""Pages, read back by an independent reader: pypi-simple."""

import json
import sys
from dataclasses import replace
from types import FrameType

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


def test_a_large_page_is_encoded_in_pieces() -> None:
    """No other thread runs while Python's encoder does."""
    lengths = []

    def note(frame: FrameType, event: str, result: object) -> None:
        if event == "return" and frame.f_code is json.JSONEncoder.encode.__code__:
            assert isinstance(result, str)
            lengths.append(len(result))

    project = replace(PROJECT, files=PROJECT.files * 500)
    sys.setprofile(note)
    try:
        page = project_json(project)
    finally:
        sys.setprofile(None)
    assert json.loads(page)["files"] == json.loads(project_json(PROJECT))["files"] * 500
    assert 0 < max(lengths) < 2000 < len(page) / 100


# Each form whole: readers forgive much that installers of another age may not.
HTML = f"""\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="pypi:repository-version" content="1.4">
    <meta name="pypi:tracks" content="https://pypi.org/simple/my-project/">
    <meta name="pypi:alternate-locations" content="https://a.example/simple/my-project/">
    <meta name="pypi:alternate-locations" content="https://b.example/my-project/">
    <meta name="pypi:project-status" content="archived">
    <meta name="pypi:project-status-reason" content="see &quot;other&quot;">
    <title>Links for my-project</title>
  </head>
  <body>
    <h1>Links for my-project</h1>
    <a href="../My_Project/my_project-1.0-py3-none-any.whl#sha256={SHA}"\
 data-requires-python="&gt;=3.11,&lt;4" data-yanked=""\
 data-core-metadata="sha256={"b" * 64}" data-dist-info-metadata="sha256={"b" * 64}">\
my_project-1.0-py3-none-any.whl</a><br>
    <a href="../My_Project/my_project-2.0.tar.gz" data-yanked="bad &quot;quote&quot; &lt;b&gt;">\
my_project-2.0.tar.gz</a><br>
  </body>
</html>
"""
JSON = {
    "meta": {"api-version": "1.4", "tracks": ["https://pypi.org/simple/my-project/"]},
    "name": "my-project",
    "versions": ["1.0", "2.0"],
    "alternate-locations": ["https://a.example/simple/my-project/", "https://b.example/my-project/"],
    "project-status": {"status": "archived", "reason": 'see "other"'},
    "files": [
        {
            "filename": "my_project-1.0-py3-none-any.whl",
            "url": "../My_Project/my_project-1.0-py3-none-any.whl",
            "hashes": {"sha256": SHA},
            "yanked": True,
            "size": 1000,
            "upload-time": "2013-05-24T00:00:00.250000Z",
            "requires-python": ">=3.11,<4",
            "core-metadata": {"sha256": "b" * 64},
            "dist-info-metadata": {"sha256": "b" * 64},
        },
        {
            "filename": "my_project-2.0.tar.gz",
            "url": "../My_Project/my_project-2.0.tar.gz",
            "hashes": {},
            "yanked": 'bad "quote" <b>',
            "size": 0,
        },
    ],
}
EMPTY_ROOT = """\
<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="pypi:repository-version" content="1.4">
    <title>Simple index</title>
  </head>
  <body>
    <h1>Simple index</h1>
  </body>
</html>
"""


def test_a_project_s_page_is_written_so() -> None:
    assert project_html(PROJECT).decode() == HTML
    assert json.loads(project_json(PROJECT)) == JSON


def test_of_what_is_not_known_nothing_is_said() -> None:
    bare = Project("p", (), (File("p-1.zip", "p-1.zip", size=1),))
    page = project_html(bare).decode()
    assert page.count("<meta ") == 2
    assert '    <a href="p-1.zip">p-1.zip</a><br>\n' in page
    assert json.loads(project_json(bare)) == {
        "meta": {"api-version": "1.4"},
        "name": "p",
        "versions": [],
        "files": [{"filename": "p-1.zip", "url": "p-1.zip", "hashes": {}, "yanked": False, "size": 1}],
    }


def test_a_status_needs_no_reason() -> None:
    quarantined = Project("p", (), (), status="quarantined")
    assert '<meta name="pypi:project-status" content="quarantined">' in project_html(quarantined).decode()
    assert b"project-status-reason" not in project_html(quarantined)
    assert json.loads(project_json(quarantined))["project-status"] == {"status": "quarantined"}


@pytest.mark.parametrize(
    ("hashes", "fragment"),
    [({"md5": "1", "sha256": "2"}, "#sha256=2"), ({"sha512": "3", "md5": "1"}, "#sha512=3"), ({}, "")],
)
def test_a_link_has_the_hash_that_all_installers_know(hashes: dict[str, str], fragment: str) -> None:
    project = Project("p", (), (File("p-1.zip", "p-1.zip", hashes=hashes),))
    assert f'<a href="p-1.zip{fragment}">p-1.zip</a>' in project_html(project).decode()
    assert json.loads(project_json(project))["files"][0]["hashes"] == hashes


def test_metadata_without_a_hash_and_a_provenance_are_told() -> None:
    file = File("p-1.whl", "p-1.whl", has_metadata=True, provenance="https://h/p-1.whl.provenance?a&b")
    link = (
        '<a href="p-1.whl" data-core-metadata="true" data-dist-info-metadata="true"'
        ' data-provenance="https://h/p-1.whl.provenance?a&amp;b">p-1.whl</a>'
    )
    assert link in project_html(Project("p", (), (file,))).decode()
    [told] = json.loads(project_json(Project("p", (), (file,))))["files"]
    assert (told["core-metadata"], told["dist-info-metadata"]) == (True, True)
    assert told["provenance"] == "https://h/p-1.whl.provenance?a&b"


def test_what_is_not_ascii_stays_readable() -> None:
    page = project_json(Project("p", (), (File("p-1.zip", "p-1.zip", yanked="zu früh"),)))
    assert "zu früh".encode() in page
    assert page.startswith(b'{"meta": {')


@pytest.mark.usefixtures("tokyo")
def test_times_are_utc_wherever_we_are() -> None:
    assert json.loads(project_json(PROJECT))["files"][0]["upload-time"] == "2013-05-24T00:00:00.250000Z"


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


def test_the_root_is_written_so() -> None:
    assert root_html([]).decode() == EMPTY_ROOT
    links = '    <a href="../a/">a</a><br>\n    <a href="../b%2F%C3%BC/">b/ü</a><br>\n  </body>'
    assert root_html(["a", "b/ü"], "../").decode() == EMPTY_ROOT.replace("  </body>", links)
    assert json.loads(root_json(["a"])) == {"meta": {"api-version": "1.4"}, "projects": [{"name": "a"}]}


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
