"""Pages of other indexes, however they are."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.foreign import parse_page
from gateway.index.names import parse

JSON = "application/vnd.pypi.simple.v1+json"
URL = "https://index.example/simple/p/"


def page(**fields: Any) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, "files": [], **fields})


def test_what_a_page_says() -> None:
    file = {
        "filename": "p-1.0.tar.gz",
        "url": "/files/p-1.0.tar.gz",
        "hashes": {"sha256": "AB" * 32, "weird": 7},
        "yanked": "why",
        "size": 3,
        "upload-time": "2024-01-02T03:04:05Z",
        "requires-python": ">=3",
        "dist-info-metadata": {"sha256": "cd" * 32},
        "provenance": "https://index.example/p",
    }
    status = {"status": "archived", "reason": "done"}
    project = parse_page(
        "p", URL, f"{JSON}; charset=utf-8", page(files=[file], versions=["1.0"], **{"project-status": status})
    )
    [found] = project.files
    assert (found.url, found.hashes) == ("https://index.example/files/p-1.0.tar.gz", {"sha256": "ab" * 32})
    assert (found.yanked, found.size, found.requires_python) == ("why", 3, ">=3")
    assert (found.modified, found.has_metadata, found.metadata_sha256) == (1704164645.0, True, "cd" * 32)
    assert (found.provenance, project.status, project.status_reason) == ("https://index.example/p", "archived", "done")


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        (JSON, "{"),
        (JSON, "[]"),
        (JSON, "null"),
        (JSON, page(files={})),
        (JSON, json.dumps({"files": []})),
        (JSON, page(meta={"api-version": "2.0"})),
        ("text/plain", "x"),
        ("", "x"),
    ],
)
def test_what_is_no_page(content_type: str, text: str) -> None:
    with pytest.raises(ValueError):
        parse_page("p", URL, content_type, text)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(
    ["filename", "url", "hashes", "yanked", "size", "upload-time", "core-metadata", "provenance", "requires-python"]
)


@given(st.lists(st.dictionaries(NAMES, JUNK)), JUNK, JUNK)
def test_no_field_breaks_it(files: list[dict[str, Any]], versions: Any, status: Any) -> None:
    project = parse_page("p", URL, JSON, page(files=files, versions=versions, **{"project-status": status}))
    assert all(file.url.startswith(("http://", "https://")) for file in project.files)


FILENAMES = st.one_of(
    st.text(),
    st.from_regex(
        r"(p|P|q|p_x|\.p)-[0-9.\n]{1,3}(\.tar\.gz|\.zip|-1/?-?py3-none-[a-z/.]{1,4}\.whl|\.exe)(\.[a-z]{4,8})?"
    ),
    st.sampled_from(["index.html", "p-1.0.tar.gz.yanked", "p-1.0.tar.gz.sha256", "p-1.0.zip.metadata", "q-9.whl"]),
)


@given(st.lists(FILENAMES), st.sampled_from([JSON, "text/html"]))
def test_whatever_a_page_lists_only_releases_of_the_project_are_in_it(names: list[str], kind: str) -> None:
    text = page(files=[{"filename": name, "url": "x"} for name in names])
    if kind != JSON:
        text = "".join(f'<a href="{quote(name, safe="", errors="replace")}">x</a>' for name in names)
    for file in parse_page("p", URL, kind, text).files:
        release = parse(file.name)
        assert release is not None
        assert release.project == "p"
        assert "/" not in file.name
        assert file.name.isprintable()


@pytest.mark.parametrize("kind", [JSON, "text/html"])
def test_a_link_that_is_none_does_not_take_the_others_with_it(kind: str) -> None:
    urls = ["http://[", "p-2.zip", "http://[::1/p-1.zip"]
    text = "".join(f'<a href="{url}">x</a>' for url in urls)
    if kind == JSON:
        text = page(files=[{"filename": f"p-{number}.zip", "url": url} for number, url in enumerate(urls)])
    [file] = parse_page("p", URL, kind, text).files
    assert file.url == "https://index.example/simple/p/p-2.zip"


@given(st.text())
def test_no_html_breaks_it(text: str) -> None:
    parse_page("p", URL, "text/html", text)
    parse_page("p", URL, "text/html", f'<base href="{text}"><a href="{text}">x</a>')
