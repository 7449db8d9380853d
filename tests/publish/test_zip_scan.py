"""Wheels are looked at while they pass: every archive that is one is taken, and nothing that has two meanings."""

import io
import re
import zipfile
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.publish.rules import Rule, Rules
from gateway.publish.zip_scan import ZipScan
from tests.support.archives import FOLDER, METADATA, SENTINEL, End, Entry, Head, description, extra, zip_of
from tests.support.readers import demand_one_meaning_of_zip, pieces, scan_zip

NAMES = st.from_regex(r"[a-zü]{1,5}(/[a-z.]{1,300})?/?", fullmatch=True).filter(lambda name: name not in ("./", "../"))
PAST = 2**32 + 5


def finish(data: bytes, size: int = 1 << 20, rules: Rules | None = None) -> frozenset[str]:
    scan = ZipScan(rules or Rules())
    for piece in pieces(data, size):
        scan.feed(piece)
    return scan.finish()


def refused(data: bytes, words: str) -> None:
    """In whatever pieces it comes."""
    for size in (1 << 20, 1, 7):
        with pytest.raises(BadRequestError, match=re.escape(words)) as caught:
            finish(data, size)
        assert words in caught.value.public


def wide(size: int, packed: int | None = None) -> Head:
    return Head(packed=SENTINEL, size=SENTINEL, extra=extra(1, size, size if packed is None else packed))


@given(
    st.dictionaries(NAMES, st.binary(max_size=2000), max_size=8),
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
    st.booleans(),
    st.integers(1, 400),
    st.binary(max_size=10).filter(lambda comment: b"PK" not in comment),
)
def test_what_zipfile_writes_is_taken_in_pieces_of_every_size(
    files: dict[str, bytes], method: int, wide_local: bool, size: int, comment: bytes
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for name, content in files.items():
            with archive.open(name, "w", force_zip64=wide_local) as file:
                file.write(content)
        with archive.open(f"{FOLDER}/METADATA", "w", force_zip64=wide_local) as file:
            file.write(METADATA)
    data = buffer.getvalue()
    found = scan_zip(pieces(data, size))
    assert found is not None
    demand_one_meaning_of_zip(data, *found)
    assert found[1] == {*files, f"{FOLDER}/METADATA"}
    assert [member.name for member, _ in found[0].descriptions] == [f"{FOLDER}/METADATA"]
    assert found[0].size == len(data)


def test_what_describes_the_wheel_is_kept_and_nothing_else() -> None:
    scan = ZipScan(Rules())
    deeper = Entry(f"foo/{FOLDER}/METADATA", b"of another")
    scan.feed(zip_of([*description(), deeper, Entry("METADATA", b"of none"), Entry("other/METADATA", b"x")]))
    assert {member.name: content for member, content in scan.descriptions} == {
        f"{FOLDER}/METADATA": METADATA,
        f"{FOLDER}/WHEEL": b"Wheel-Version: 1.0\n",
    }


def test_bazel_says_sizes_twice() -> None:
    assert finish(zip_of([Entry("a", b"abc", local=Head(extra=extra(1, 3, 3)))])) == {"a"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it is not a ZIP archive, or breaks off"),
        (b"PK", "it is not a ZIP archive, or breaks off"),
        (b"MZ" + zip_of([]), "it is not a ZIP archive, or has something between its members"),
        (zip_of([Entry("a")])[:-23], "its ZIP directory is damaged"),
        (zip_of([Entry("a", before=b"x")]), "something between its members"),
        (zip_of([Entry("a")], between=b"PK\7\x08"), "something between its members"),
        (zip_of([Entry("a").both(Head(flags=1))]), "a member is encrypted"),
        (zip_of([Entry("a").both(Head(flags=0x20))]), "a member is encrypted"),
        (zip_of([Entry("a").both(Head(method=14))]), "compressed in an unusual way"),
        (zip_of([Entry("a").both(Head(version=64))]), "compressed in an unusual way"),
        (zip_of([Entry("a", central=Head(flags=1))]), "a member is encrypted"),
        (zip_of([Entry("a", central=Head(flags=8))]), "a member's size stands behind it"),
        (zip_of([Entry("a", central=Head(version=64))]), "compressed in an unusual way"),
        (zip_of([Entry("a").both(Head(flags=8))]), "a member's size stands behind it"),
        (zip_of([Entry("a", b"abc").both(Head(size=4))]), "a member that is not compressed has two sizes"),
        (zip_of([Entry("a"), Entry("a")]), "it has 'a' twice (rule duplicates)"),
        (zip_of([Entry("a").both(Head(name=b"\xff"))]), "not UTF-8"),
        (zip_of([Entry("a\0b")]), "control characters: 'a\\x00b'"),
    ],
)
def test_what_is_no_wheel(data: bytes, words: str) -> None:
    refused(data, words)


def lies() -> list[Entry]:
    entry = Entry("abc", b"x" * 99, deflated=True)
    heads = [Head(name=b"abd"), Head(crc=1), Head(size=98), Head(packed=3), Head(method=0, size=5, packed=5)]
    return [*(replace(entry, central=head) for head in heads), replace(entry, central=Head(offset=1))]


@pytest.mark.parametrize("entry", lies())
def test_a_directory_that_says_something_else_of_a_member(entry: Entry) -> None:
    refused(zip_of([entry]), "its members are not those of its directory (rule framing)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[data.index(b"PK\3\4", 1) :], "damaged"),
        (lambda data: data[: data.index(b"PK\1\2")] + data, "damaged"),
        (lambda data: data + data, "could be taken for a directory"),
        (lambda data: data + b"\0", "damaged"),
    ],
)
def test_archives_that_are_cut_or_joined(change: Callable[[bytes], bytes], words: str) -> None:
    refused(change(zip_of([Entry("a", b"1"), Entry("b", b"2")])), words)


def test_a_member_that_the_directory_does_not_know() -> None:
    whole = zip_of([Entry("b", b"2")])
    hidden = zip_of([Entry("a", b"1")]).partition(b"PK\1\2")[0]
    start = whole.index(b"PK\1\2")
    directory = zip_of([Entry("b", b"2", central=Head(offset=len(hidden)))])[start:-22]
    data = (
        hidden + whole[:start] + directory + zip_of([], End(count=1, size=len(directory), offset=len(hidden) + start))
    )
    refused(data, "its members are not those of its directory (rule framing)")
    assert finish(data, rules=Rules.without(["framing"])) == {"b"}


def test_rules_can_be_skipped() -> None:
    assert finish(zip_of([Entry("a"), Entry("a")]), rules=Rules(frozenset({Rule.DUPLICATES}))) == {"a"}


def test_sizes_past_4_gib_are_known_without_reading_them() -> None:
    scan = ZipScan(Rules())
    data = zip_of([Entry("a", local=wide(PAST, 5), deflated=True), *description()])
    scan.feed(data[: data.index(b"PK\3\4", 1)])
    assert scan.unpacked_size == PAST
    refused(zip_of([Entry("a", local=Head(packed=SENTINEL))]), "damaged")


def test_descriptions_are_few_and_small() -> None:
    most = MAX_METADATA_BYTES
    assert finish(zip_of(description(metadata=b"x" * most)))
    refused(zip_of(description(metadata=b"x" * (most + 1))), "too large, or one of many")
    many = [Entry(f"f{number}.dist-info/METADATA") for number in range(8)]
    assert len(finish(zip_of(many))) == 8
    refused(zip_of([*many, Entry("f8.dist-info/METADATA")]), "'f8.dist-info/METADATA' is too large, or one of many")


def test_members_are_at_most_65535() -> None:
    members = zip_of([Entry("a")]).partition(b"PK\1\2")[0]
    scan = ZipScan(Rules())
    scan.feed(members * 0xFFFF)
    with pytest.raises(BadRequestError, match="more than 65535 members"):
        scan.feed(members)


def test_a_directory_is_at_most_8_mib() -> None:
    scan = ZipScan(Rules())
    scan.feed(b"PK\1\2" + bytes(8 * 1024 * 1024 - 4))
    with pytest.raises(BadRequestError, match="its directory is too large"):
        scan.feed(b"x")
