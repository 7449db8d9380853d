"""A file is what the upload says it is: its digests, its folders, and its metadata."""

import hashlib
import re
from dataclasses import replace

import pytest
from packaging.version import Version

from gateway.errors import BadRequestError
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.publish.inspection import Inspection
from gateway.publish.release_file import ReleaseFile
from gateway.publish.rules import Rules
from tests.support.archives import (
    FOLDER,
    METADATA,
    PKG_INFO,
    SDIST_FILE,
    STEM,
    WHEEL_FILE,
    Entry,
    Head,
    description,
    sdist_of,
    tar_member,
    zip_of,
)
from tests.support.readers import pieces
from tests.support.wheels import sdist, wheel

MIB = 1024 * 1024


def said(filename: str = WHEEL_FILE, python: str | None = None, digests: dict[str, str] | None = None) -> ReleaseFile:
    return ReleaseFile("foo", Version("1.0"), filename, digests or {}, python)


def inspect(file: ReleaseFile, data: bytes, *skipped: str, size: int = 1 << 20) -> str:
    inspection = Inspection(file, Rules.without(skipped))
    for piece in pieces(data, size):
        inspection.feed(piece)
    return inspection.finish()


def refused(file: ReleaseFile, data: bytes, words: str) -> None:
    for size in (1 << 20, 13):
        with pytest.raises(BadRequestError, match=re.escape(words)) as caught:
            inspect(file, data, size=size)
        assert words in caught.value.public


@pytest.mark.parametrize(("filename", "data"), [wheel("foo", "1.0"), sdist("foo", "1.0")])
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_what_is_in_order_has_a_digest(filename: str, data: bytes, size: int) -> None:
    digests = {
        "sha256": hashlib.sha256(data).hexdigest(),
        "blake2_256": hashlib.blake2b(data, digest_size=32).hexdigest(),
        "md5": hashlib.md5(data, usedforsecurity=False).hexdigest(),
    }
    assert inspect(said(filename, digests=digests), data, size=size) == digests["sha256"]
    assert inspect(said(filename), data) == digests["sha256"]
    for algorithm, digest in digests.items():
        wrong = digests | {algorithm: digest[1:] + "0"}
        why = f"its {algorithm}_digest is not that of the file, which is damaged, or another one"
        with pytest.raises(BadRequestError) as caught:
            inspect(said(filename, digests=wrong), data)
        assert caught.value.public == f"Invalid upload: {why}"


@pytest.mark.parametrize("folder", ["Foo-1.0.dist-info", "foo-1.0.0.dist-info"])
def test_folders_may_be_written_in_other_ways(folder: str) -> None:
    assert inspect(said(), zip_of(description(folder)))


@pytest.mark.parametrize(
    "entries",
    [
        [Entry("foo/a.py")],
        description("foo-1.1.dist-info"),
        description("bar-1.0.dist-info"),
        description("foo.dist-info"),
        description("foo-" + "1" * 5000 + ".dist-info"),
        description(f"x/{FOLDER}"),
        [*description(), Entry("foo-1.1.dist-info/x")],
        [*description(), Entry("bar-1.0.dist-info/METADATA")],
    ],
)
def test_a_wheel_has_its_own_folder_alone(entries: list[Entry]) -> None:
    refused(said(), zip_of(entries), f"its one folder .dist-info is not that of {STEM}-py3-none-any (rule layout)")
    assert inspect(said(), zip_of(entries), "layout", "metadata")


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_wheel_has_three_files_that_describe_it(number: int) -> None:
    entries = description()
    missing = entries.pop(number).name.partition("/")[2]
    refused(said(), zip_of(entries), f"it has no {missing} (rule layout)")
    assert inspect(said(), zip_of(entries), "layout")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../a", "a/../b", "a/./b", "a//b", "a\\b", "C:/a", "C:a", "..", ".", "", "a/..", "//"]
)
def test_paths_that_lead_out(name: str) -> None:
    data = zip_of([*description(), Entry(name)])
    refused(said(), data, f"{name!r} is no path in a wheel (rule layout)")
    assert inspect(said(), data, "layout")


def test_paths_that_do_not() -> None:
    names = ["foo/", "foo/a:b", "foo/..a", "foo/ü", f"{FOLDER}/licenses/LICENSE", "foo-1.0.data/scripts/x"]
    assert inspect(said(), zip_of([*description(), *map(Entry, names)]))


def test_long_names_are_shown_in_part() -> None:
    with pytest.raises(BadRequestError) as caught:
        inspect(said(), zip_of([*description(), Entry("../" + "x" * 200)]))
    assert "'../" + "x" * 97 + "' is" in caught.value.public


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (b"Name: bar\nVersion: 1.0\n", "the name or the version in its metadata are not those of its file name"),
        (b"Name: foo\nVersion: 1.1\n", "the name or the version in its metadata are not those of its file name"),
        (b"Name: foo\nVersion: x\n", "the name or the version"),
        (b"Name: foo\n", "the name or the version"),
        (b"Version: 1.0\n", "the name or the version"),
        (b"", "the name or the version"),
        (b"Name: foo\nVersion: " + b"1" * 5000, "the name or the version"),
        (b"Name: bar\nName: foo\nVersion: 1.0\n", "the name or the version"),
        (METADATA + b"Requires-Python: >=3.8\n", "requires_python is not that of its metadata"),
        (METADATA, "requires_python is not that of its metadata"),
    ],
)
def test_metadata_that_is_of_another_file(metadata: bytes, words: str) -> None:
    whole = f"{words} (rule metadata)" if words.endswith(("name", "metadata")) else words
    for data, filename in (
        (zip_of(description(metadata=metadata)), WHEEL_FILE),
        (sdist_of(tar_member(f"{STEM}/PKG-INFO", metadata)), SDIST_FILE),
    ):
        refused(said(filename, ">=3.9"), data, whole)
        assert inspect(said(filename, ">=3.9"), data, "metadata")


@pytest.mark.parametrize(
    ("python", "written"),
    [(None, ">=3.9"), ("", None), ("", ""), (">=3.9,<4", "< 4, >= 3.9"), (">=3.9,", ">=3.9"), (">=3.9", ">=3.9")],
)
def test_requires_python_may_be_written_in_other_ways(python: str | None, written: str | None) -> None:
    line = f"Requires-Python: {written}\n".encode() if written is not None else b""
    assert inspect(said(python=python), zip_of(description(metadata=METADATA + line)))


@pytest.mark.parametrize(("line", "known"), [(b"Requires-Python: >= 3.9\n", ">= 3.9"), (b"", None)])
def test_requires_python_is_known_as_it_is_written(line: bytes, known: str | None) -> None:
    inspection = Inspection(said(), Rules())
    inspection.feed(zip_of(description(metadata=METADATA + line)))
    assert inspection.requires_python is None
    inspection.finish()
    assert inspection.requires_python == known


def test_names_may_be_written_in_other_ways() -> None:
    assert inspect(said(), zip_of(description(metadata=b"Version: v1\nName: FOO\n")))
    file = replace(said(), project="foo-bar", filename="foo_bar-1.0-py3-none-any.whl")
    metadata = b"Name: Foo.Bar\nVersion: 1.0"
    assert inspect(file, zip_of(description("foo_bar-1.0.dist-info", metadata)))


def test_an_sdist_has_its_pkg_info() -> None:
    data = sdist_of(tar_member(f"{STEM}/x"))
    refused(said(SDIST_FILE), data, "it has no PKG-INFO (rule metadata)")
    assert inspect(said(SDIST_FILE), data, "metadata")
    refused(said(SDIST_FILE), sdist_of(PKG_INFO)[:-1], "it breaks off")


def metadata_entry(content: bytes, head: Head, *, deflated: bool = True) -> bytes:
    _, *others = description()
    return zip_of([Entry(f"{FOLDER}/METADATA", content, deflated).both(head), *others])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (metadata_entry(b"\xff" * 50, Head(method=8), deflated=False), "its METADATA can't be unpacked"),
        (metadata_entry(METADATA, Head(crc=1)), "its METADATA is too large, or damaged"),
        (metadata_entry(METADATA, Head(size=1)), "its METADATA is too large, or damaged"),
        (metadata_entry(METADATA, Head(crc=1), deflated=False), "its METADATA is too large, or damaged"),
        (metadata_entry(METADATA + bytes(MAX_METADATA_BYTES), Head()), "its METADATA is too large, or damaged"),
        (metadata_entry(METADATA + bytes(64 * MIB), Head(size=99)), "its METADATA is too large, or damaged"),
    ],
)
def test_metadata_that_is_damaged(data: bytes, words: str) -> None:
    refused(said(), data, words)


def test_metadata_is_at_most_1_mib() -> None:
    content = METADATA + b"\n" + b"x" * (MAX_METADATA_BYTES - len(METADATA) - 1)
    assert inspect(said(), metadata_entry(content, Head()))
    refused(said(), metadata_entry(content + b"x", Head()), "its METADATA is too large, or damaged")


def test_it_is_at_most_fifty_times_as_large_unpacked() -> None:
    plain = zip_of([*description(), Entry("a", deflated=True)])
    told = sum(len(entry.content) for entry in description())
    just = zip_of([*description(), Entry("a", deflated=True).both(Head(size=64 * MIB - told))])
    over = zip_of([*description(), Entry("a", deflated=True).both(Head(size=64 * MIB - told + 1))])
    assert len(just) == len(plain)
    assert inspect(said(), just)
    words = "unpacked, it is over 50 times as large (rule size-ratio)"
    refused(said(), over, words)
    assert inspect(said(), over, "size-ratio")
    half = Entry("b", bytes(2 * MIB))
    large = zip_of([*description(), half, Entry("a", deflated=True).both(Head(size=90 * MIB))])
    assert inspect(said(), large)
