"""Pages of other indexes, however they are."""

import json
import sys
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.index.mirror.upstream_page import parse_page
from gateway.index.simple import pages
from gateway.index.simple.names import parse
from gateway.index.simple.pages import File, Project

JSON = "application/vnd.pypi.simple.v1+json"
URL = "https://index.example/simple/p/"


def page(**fields: Any) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, "files": [], **fields})


def read(content_type: str, text: str, url: str = URL) -> Project:
    return parse_page("p", url, content_type, text).project


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
    project = read(f"{JSON}; charset=utf-8", page(files=[file], versions=["1.0"], **{"project-status": status}))
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
        (JSON, page(versions=["1.0"] * 50_001)),
        (JSON, page(x="\n" * 500_001)),
        ("text/html", "<a " + "b " * 1_000_001),
        (JSON, "[" * 200_000),
        (JSON, page(files=[0])[:-2] + '{"x":' * 200_000),
        (JSON, page(size=0)[:-2] + "9" * (sys.int_info.default_max_str_digits + 1) + "}"),
        (JSON, page(files=[{}] * 600_000)),
        (JSON, page(files=[0] * 2_200_000)),
        (JSON, page(files=[{}] * 50_001)),
        ("text/html", '<a href="p-1.0.zip">' * 600_000),
        ("text/html", '<a href="p-1.0.zip">' * 50_001),
        ("text/html", '<base href="http://index.example/"><a href="p-1.0.zip">'),
        ("text/html", '<base href="ftp://index.example/"><a href="p-1.0.zip">'),
        ("text/plain", "x"),
        ("", "x"),
    ],
    ids=lambda value: value[:30],
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


def rendered(project: Project) -> bytes:
    return pages.project_html(project) + pages.project_json(project)


@given(st.lists(st.dictionaries(NAMES, JUNK)), JUNK, JUNK, JUNK)
def test_no_field_breaks_it(files: list[dict[str, Any]], versions: Any, status: Any, urls: Any) -> None:
    files = [{"filename": "p-1.0.zip", "url": "x"} | file for file in files]
    more = {"project-status": status, "alternate-locations": urls}
    project = read(JSON, page(files=files, versions=versions, **more))
    assert all(file.url.startswith("https://") for file in project.files)
    rendered(project)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", int("9" * 400)),
        ("size", float("nan")),
        ("size", -1),
        ("size", True),
        ("upload-time", "0000-01-01T00:00:00Z"),
        ("upload-time", "0001-01-01T00:00:00+23:59"),
        ("upload-time", "9999-12-31T23:59:59-23:59"),
        ("requires-python", ">=3\ud800"),
        ("requires-python", "x" * 10_000),
        ("hashes", {"sha256": "\ud800" * 32, "\ud800": "ab" * 32, "x y": "ab" * 32}),
        ("core-metadata", {"sha256": "no"}),
        ("provenance", "http://[::1"),
        ("provenance", "javascript:alert(1)"),
        ("yanked", 0),
    ],
)
def test_an_odd_field_is_as_if_it_were_not_there(field: str, value: Any) -> None:
    odd = {"filename": "p-1.0.zip", "url": "x", field: value}
    [file] = read(JSON, page(files=[odd])).files
    assert replace(file, has_metadata=False) == File(name="p-1.0.zip", url=f"{URL}x")
    rendered(read(JSON, page(files=[odd])))


def test_who_is_yanked_for_an_odd_reason_is_yanked() -> None:
    for reason in ("\ud800", "x" * 10_000, ["why"], True, 1):
        [file] = read(JSON, page(files=[{"filename": "p-1.0.zip", "url": "x", "yanked": reason}])).files
        assert file.yanked == ""


ODD_URLS = [
    "",
    "http://[::1",
    "https://index.example:99999/p-1.0.zip",
    "https://index.example:0/p-1.0.zip",
    "https://user:password@index.example/p-1.0.zip",
    "https://a..b/p-1.0.zip",
    f"https://{'a' * 64}.example/p-1.0.zip",
    "https://\ud800/p-1.0.zip",
    "https://index.example/\ud800/p-1.0.zip",
    "http://index.example/p-1.0.zip",
    "ftp://index.example/p-1.0.zip",
    "x" * 10_000,
]


@pytest.mark.parametrize("url", ODD_URLS, ids=lambda url: ascii(url)[:60])
def test_a_file_with_an_odd_url_is_left_out_and_the_page_says_why(url: str) -> None:
    files = [{"filename": "p-1.0.zip", "url": url}, {"filename": "p-2.0.zip", "url": "p-2.0.zip"}]
    found = parse_page("p", URL, JSON, page(files=files))
    assert [file.name for file in found.project.files] == ["p-2.0.zip"]
    assert found.left_out == 1
    assert found.reason.startswith("'p-1.0.zip' has ")


def test_an_index_without_tls_may_lead_to_any() -> None:
    for url in ("http://files.example/p-1.0.zip", "https://files.example/p-1.0.zip"):
        [file] = read(JSON, page(files=[{"filename": "p-1.0.zip", "url": url}]), URL.replace("https", "http")).files
        assert file.url == url


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
    for file in read(kind, text).files:
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
    [file] = read(kind, text).files
    assert file.url == "https://index.example/simple/p/p-2.zip"


@given(st.text())
def test_no_html_breaks_it(text: str) -> None:
    rendered(read("text/html", text))
    rendered(read("text/html", f'<a href="{text}" data-yanked="{text}">x</a><a href="p-1.0.zip?{text}" {text}>'))
    with suppress(ValueError):
        rendered(read("text/html", f'<base href="{text}"><a href="p-1.0.zip">x</a>'))


def test_of_a_million_urls_some_are_looked_at() -> None:
    """All of them take ten seconds."""
    started = time.process_time()
    project = read(JSON, page(**{"alternate-locations": ["x"] * 900_000}))
    assert time.process_time() - started < 3
    assert project.alternate_locations == (f"{URL}x",) * 32
