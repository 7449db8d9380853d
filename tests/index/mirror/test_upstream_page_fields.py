"""What each field of another index's page is read as, and why a page or a file of it is refused."""

import json
import sys
from dataclasses import replace
from typing import Any

import pytest

from gateway.index.mirror.upstream_page import file_weight, parse_page
from gateway.index.simple.pages import File, Project

JSON = "application/vnd.pypi.simple.v1+json"
URL = "https://index.example/simple/p/"


def page(**fields: Any) -> str:
    return json.dumps({"meta": {"api-version": "1.4"}, "files": [], **fields})


def read(text: str, content_type: str = JSON) -> Project:
    return parse_page("p", URL, content_type, text).project


def file_with(**fields: Any) -> File:
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    [file] = read(page(files=[{"filename": "p-1.0.zip", "url": "x"} | named])).files
    return file


@pytest.mark.parametrize(
    ("content_type", "text", "reason"),
    [
        ("text/plain", "x", "it is text/plain, not JSON or HTML"),
        (" ; charset=utf-8", "x", "it is of no type, not JSON or HTML"),
        (JSON, "[]", "it is not an object"),
        (JSON, page(files={}), "it has no meta or no files"),
        (JSON, page(meta=[]), "it has no meta or no files"),
        (JSON, json.dumps({"files": []}), "it has no meta or no files"),
        (JSON, page(meta={}), "its API version is not 1"),
        (JSON, page(meta={"api-version": "2.0"}), "its API version is not 1"),
        (JSON, page(versions=["1.0"] * 50_001), "it lists over 50000 versions"),
        (JSON, page(files=[0] * 50_001), "it lists over 50000 files"),
        (JSON, page(x="\\" * 250_001), "it has more escapes than any page"),
        (JSON, "{" * 289_263, "it has more fields than any page"),
        (JSON, "," * 1_048_577, "it has more fields than any page"),
        (JSON, "[" * 1_048_577, "it has more fields than any page"),
        ("text/html", "<" * 200_001, "it has more links than any page"),
        ("text/html", "=" * 1_500_001, "it has more links than any page"),
        ("text/html", "&" * 150_001, "it has more links than any page"),
        (
            "text/html",
            '<base href="http://index.example/">',
            "it has a <base> with a URL that leads from https to http",
        ),
    ],
    ids=lambda value: value[:30],
)
def test_the_log_tells_why_a_page_is_none(content_type: str, text: str, reason: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_page("p", URL, content_type, text)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        (JSON, page(versions=["1.0"] * 50_000)),
        (JSON, page(files=[0] * 50_000)),
        (JSON, page(x=["\\" * 25_000] * 10)),
        ("text/html", "<" * 200_000),
        ("text/html", "=" * 1_500_000),
        ("text/html", "&" * 150_000),
        ("TEXT/HTML ; charset=utf-8", ""),
        ("application/vnd.pypi.simple.v1+html", ""),
    ],
    ids=lambda value: value[:30],
)
def test_a_page_up_to_the_limits_is_read(content_type: str, text: str) -> None:
    assert read(text, content_type).files == ()


def test_a_page_counts_what_it_leaves_out_and_tells_why_of_the_first() -> None:
    files = [
        {"filename": "q-1.0.zip", "url": "x"},
        {"filename": "p-1.0.zip", "url": ""},
        {"filename": "p-" + "x" * 200, "url": "x"},
        {"filename": "p-2.0.zip", "url": "x"},
    ]
    found = parse_page("p", URL, JSON, page(files=files))
    assert (found.left_out, found.reason) == (3, "'q-1.0.zip' has a name that is no release of the project")
    assert [file.name for file in found.project.files] == ["p-2.0.zip"]
    assert parse_page("p", URL, JSON, page(files=files[1:])).reason == ("'p-1.0.zip' has no URL, or one over 8 KB")
    reason = f"'p-{'x' * 98}' has a name that is no release of the project"
    assert parse_page("p", URL, JSON, page(files=files[2:])).reason == reason
    whole = parse_page("p", URL, JSON, page(files=files[3:]))
    assert (whole.left_out, whole.reason) == (0, "")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("1969-12-31T23:59:59Z", None),
        ("2024-01-02T03:04:05", 1704164645.0),
        ("2024-01-02T04:04:05+01:00", 1704164645.0),
        ("2024-01-02T03:04:05.25Z", 1704164645.25),
        ("9999-12-31T23:59:59Z", 253_402_300_799.0),
        ("9999-12-31T23:59:59.5Z", None),
        ("yesterday", None),
        (1704164645, None),
        (None, None),
    ],
)
def test_times_are_utc_unless_they_say_otherwise(time: Any, seconds: float | None) -> None:
    assert file_with(upload_time=time).modified == seconds


@pytest.mark.parametrize(
    ("size", "expected"), [(0, 0), (2**53 - 1, 2**53 - 1), (2**53, None), (1.5, None), ("1", None), (False, None)]
)
def test_a_size_is_a_number_that_all_clients_can_read(size: Any, expected: int | None) -> None:
    assert file_with(size=size).size == expected


@pytest.mark.parametrize(
    ("metadata", "has_metadata", "sha256"),
    [
        ({}, False, None),
        ({"core_metadata": True}, True, None),
        ({"core_metadata": False, "dist_info_metadata": True}, False, None),
        ({"dist_info_metadata": {"sha256": "AB" * 32}}, True, "ab" * 32),
        ({"core_metadata": {"md5": "ab" * 16}}, True, None),
    ],
)
def test_metadata_is_told_under_both_names(metadata: dict[str, Any], has_metadata: bool, sha256: str | None) -> None:
    file = file_with(**metadata)
    assert (file.has_metadata, file.metadata_sha256) == (has_metadata, sha256)


def test_hashes_are_those_that_python_knows_in_hex() -> None:
    hashes = {
        "md5": "AB" * 8,
        "sha256": "ab" * 7,
        "sha512": "cd" * 64,
        "blake2b": "ab" * 65,
        "crc": "ab" * 8,
        "sha1": 1,
    }
    assert file_with(hashes=hashes).hashes == {"md5": "ab" * 8, "sha512": "cd" * 64}
    assert file_with(hashes=["md5"]).hashes == {}


@pytest.mark.parametrize(
    ("yanked", "expected"), [(False, None), (None, None), ("", None), (True, ""), ("why", "why"), (["why"], "")]
)
def test_whether_a_file_is_yanked(yanked: Any, expected: str | None) -> None:
    assert file_with(yanked=yanked).yanked == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("x" * 8192, "x" * 8192), ("x" * 8193, None), ("\udfff", None), ("", ""), (1, None)]
)
def test_a_text_is_short_and_can_be_written(text: Any, expected: str | None) -> None:
    assert file_with(requires_python=text).requires_python == expected


def test_a_provenance_is_where_the_page_is() -> None:
    assert file_with(provenance="p-1.0.zip.provenance").provenance == f"{URL}p-1.0.zip.provenance"
    assert file_with().provenance is None


def test_files_without_a_name_or_a_place_and_what_is_no_file_are_left_out() -> None:
    found = parse_page("p", URL, JSON, page(files=[{"url": "x"}, {"filename": "p-1.0.zip"}, "p-2.0.zip", None]))
    assert (found.project.files, found.left_out) == ((), 2)
    assert found.reason == "'' has a name that is no release of the project"


def test_versions_are_short_texts() -> None:
    versions = ["1.0", 2, "x" * 128, "x" * 129, "\udfff", None, "3.0"]
    assert read(page(versions=versions)).versions == ("1.0", "x" * 128, "3.0")
    assert read(page(versions={})).versions == ()
    assert read(page()).versions == ()


def test_what_a_project_s_page_says_of_other_indexes_and_of_its_status() -> None:
    meta = {"api-version": "1.4", "tracks": ["a", 1, "http://[", *map(str, range(40))]}
    more = {"alternate-locations": ["b", None, *map(str, range(40))], "project-status": {"status": "x", "reason": "y"}}
    project = read(page(meta=meta, **more))
    assert project.name == "p"
    assert project.tracks == (f"{URL}a", *(f"{URL}{number}" for number in range(30)))
    assert project.alternate_locations == (f"{URL}b", *(f"{URL}{number}" for number in range(31)))
    assert (project.status, project.status_reason) == ("x", "y")


@pytest.mark.parametrize("odd", [[], "x", 1, None, [{"status": "x"}]])
def test_odd_values_of_a_page_say_nothing(odd: Any) -> None:
    meta = {"api-version": "1.4", "tracks": odd if odd != [{"status": "x"}] else []}
    project = read(page(meta=meta, **{"project-status": odd, "alternate-locations": None, "versions": None}))
    assert (project.tracks, project.alternate_locations, project.versions) == ((), (), ())
    assert (project.status, project.status_reason) == (None, None)


def test_links_of_a_page_in_html_are_below_its_base() -> None:
    text = f'<base href="../../files/"><a href="p-1.0.zip#sha256={"ab" * 32}">x</a><a href="q-1.0.zip">y</a>'
    found = parse_page("p", URL, "text/html", text)
    [file] = found.project.files
    assert (file.url, file.hashes) == ("https://index.example/files/p-1.0.zip", {"sha256": "ab" * 32})
    assert (found.project.versions, found.left_out) == (("1.0",), 1)


def test_a_file_weighs_what_its_texts_and_hashes_do() -> None:
    bare = File("p-1.0.zip", "x")
    texts: tuple[object, ...] = ("p-1.0.zip", "x", *[None] * 4, {})
    assert file_weight(bare) == 168 + sum(map(sys.getsizeof, texts))
    text = "x" * 1000
    for field in ("requires_python", "yanked", "metadata_sha256", "provenance"):
        heavier = replace(bare, **{field: text})  # type: ignore[arg-type]
        assert file_weight(heavier) - file_weight(bare) == sys.getsizeof(text) - sys.getsizeof(None)
    hashes = {"md5": text, "sha256": text}
    added = sys.getsizeof(hashes) - sys.getsizeof({}) + sum(map(sys.getsizeof, ("md5", "sha256", text, text)))
    assert file_weight(File("p-1.0.zip", "x", hashes=hashes)) - file_weight(bare) == added


def test_files_may_have_64_mb_of_text() -> None:
    """One character beyond ASCII makes four bytes of each other: a file has 64 KB here, in two texts."""
    text = "\U0001f370" + "x" * 8000
    file = {"filename": "p-1.0.zip", "url": "x", "yanked": text, "requires-python": text}
    assert len(read(page(files=[file] * 1000)).files) == 1000
    with pytest.raises(ValueError, match=r"^its files have more text than any page's$"):
        read(page(files=[file] * 1080))
