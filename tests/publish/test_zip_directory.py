"""The directory of a ZIP archive: whatever a reader could find in another place is refused."""

import re

import pytest

from gateway.errors import BadRequestError
from gateway.publish.zip_directory import MAX_MEMBERS, Member, directory_of, extra_fields, name_of, wide_sizes
from tests.support.archives import SENTINEL, End, Entry, Head, end64, end_of, extra, zip_of

ENTRIES = [Entry("a", b"abc"), Entry("b/", b"")]
WIDE_END = End(count=0xFFFF, size=SENTINEL, offset=SENTINEL)


def read(data: bytes) -> list[Member]:
    start = data.find(b"PK\1\2")
    return list(directory_of(data[start:], start))


def damaged(data: bytes, words: str = "its ZIP directory is damaged") -> None:
    with pytest.raises(BadRequestError, match=re.escape(words)) as caught:
        read(data)
    assert words in caught.value.public


START = zip_of(ENTRIES).index(b"PK\1\2")
SIZE = len(zip_of(ENTRIES)) - 22 - START


def test_members_are_as_they_are_said() -> None:
    assert read(zip_of(ENTRIES)) == [
        Member("a", 0, 0x352441C2, 3, 3, 0),
        Member("b/", 0, 0, 0, 0, 34),
    ]


def test_a_member_is_all_that_is_said_of_it() -> None:
    member = Member("a", 8, 1, 2, 3, 4)
    others = [
        Member("b", 8, 1, 2, 3, 4),
        Member("a", 0, 1, 2, 3, 4),
        Member("a", 8, 0, 2, 3, 4),
        Member("a", 8, 1, 0, 3, 4),
        Member("a", 8, 1, 2, 0, 4),
        Member("a", 8, 1, 2, 3, 0),
    ]
    assert member.packed_fields() not in [other.packed_fields() for other in others]
    assert member.packed_fields().endswith(b"a\0")
    assert Member("x" * 200, 0, 0, 0, 0, 0).shown == repr("x" * 100)


@pytest.mark.parametrize(
    ("name", "describes"),
    [
        ("a.dist-info/METADATA", True),
        ("a.dist-info/WHEEL", True),
        ("a.dist-info/RECORD", False),
        ("a/METADATA", False),
        ("x/a.dist-info/METADATA", False),
        ("a.dist-info/x/METADATA", False),
    ],
)
def test_which_members_describe_a_wheel(name: str, describes: bool) -> None:
    assert Member(name, 0, 0, 0, 0, 0).describes is describes


@pytest.mark.parametrize(
    "end",
    [
        End(count=1),
        End(count=3),
        End(here=1),
        End(size=SIZE - 1),
        End(offset=START + 1),
        End(disks=(1, 0)),
        End(disks=(0, 1)),
        End(disks=(0xFFFF, 0)),
        End(comment_length=1),
        End(comment=b"a", comment_length=0),
        End(before=b"PK\1\2"),
        End(before=b"x"),
        End(before=b"PK\6\7" + bytes(16)),
        WIDE_END,
    ],
)
def test_an_end_that_lies(end: End) -> None:
    damaged(zip_of(ENTRIES, end))


@pytest.mark.parametrize(
    "end", [WIDE_END, End(), End(disks=(0xFFFF, 0xFFFF)), End(offset=SENTINEL), End(size=SENTINEL)]
)
def test_a_wide_end(end: End) -> None:
    wide = End(**{**vars(end), "zip64": end64(2, SIZE, START)})
    assert len(read(zip_of(ENTRIES, wide))) == 2


@pytest.mark.parametrize(
    "record",
    [
        end64(1, SIZE, START),
        end64(2, SIZE - 1, START),
        end64(2, SIZE, START + 1),
        end64(2, SIZE, START, here=1),
        end64(2, SIZE, START, disks=(1, 0)),
        end64(2, SIZE, START, disks=(0, 1)),
        end64(2, SIZE, START, at=0),
        end64(2, SIZE, START, locator=(1, 1)),
        end64(2, SIZE, START, locator=(0, 2)),
        end64(2, SIZE, START, length=43),
        end64(2, SIZE, START, length=48, extended=b"more"),
        end64(2, SIZE, START)[:-20],
        end64(2, SIZE, START)[:-1],
        end64(2, SIZE, START).replace(b"PK\6\7", b"PK\6\x08"),
    ],
)
def test_a_wide_end_that_lies(record: bytes) -> None:
    damaged(zip_of(ENTRIES, End(**{**vars(WIDE_END), "zip64": record})))


@pytest.mark.parametrize("end", [End(count=1), End(size=1), End(offset=1)])
def test_two_ends_that_differ(end: End) -> None:
    damaged(zip_of(ENTRIES, End(**{**vars(end), "zip64": end64(2, SIZE, START)})))


def test_the_locator_may_count_no_disks() -> None:
    wide = End(**{**vars(WIDE_END), "zip64": end64(2, SIZE, START, locator=(0, 0))})
    assert len(read(zip_of(ENTRIES, wide))) == 2


def test_a_comment_holds_no_second_directory() -> None:
    assert len(read(zip_of(ENTRIES, End(comment=b"PK\5 by hand")))) == 2
    fake = zip_of([Entry("evil")])
    damaged(zip_of(ENTRIES, End(comment=fake)), "its comment could be taken for a directory")
    # The signature begins in the length of the comment.
    damaged(zip_of(ENTRIES, End(comment=b"\5\6".ljust(0x4B50, b"x"))), "its comment could be taken for a directory")


def test_nothing_in_front_of_the_end_looks_like_a_wide_end() -> None:
    locator = b"PK\6\7" + bytes(16)
    assert read(zip_of([Entry("a", central=Head(extra=b"\x99\x99\x15\0" + locator + b"x"))]))
    damaged(zip_of([Entry("a", central=Head(extra=b"\x99\x99\x14\0" + locator))]))


def test_a_member_has_no_comment() -> None:
    damaged(zip_of([Entry("a", central=Head(comment=b"x")), Entry("b")]), "a member has a comment")


def test_names_are_the_same_to_all_readers() -> None:
    utf8 = "ü".encode()
    assert name_of(utf8, 0x800, {}) == "ü"
    assert name_of(b"a~", 0, {0x7075: b"\1abcda~"}) == "a~"
    for raw, flags, fields, words in (
        (utf8, 0, {}, "is not marked as UTF-8, or it has two: 'ü'"),
        (b"a", 0, {0x7075: b"\1abcdb"}, "or it has two: 'a'"),
        (b"a", 0, {0x7075: b""}, "or it has two: 'a'"),
        (b"\xff", 0x800, {}, "is not UTF-8"),
        (b"\xed\xb0\x80", 0x800, {}, "is not UTF-8"),
        (b"a\x1f", 0, {}, "control characters: 'a\\x1f'"),
        (b"a\x7f", 0, {}, "control characters: 'a\\x7f'"),
        (b"a\0b", 0, {}, "control characters: 'a\\x00b'"),
        (b"\n" + b"x" * 200, 0, {}, "control characters: " + repr("\n" + "x" * 99)),
        (utf8 + b"x" * 200, 0, {}, "two: 'ü" + "x" * 99 + "'"),
    ):
        with pytest.raises(BadRequestError) as caught:
            name_of(raw, flags, fields)
        assert caught.value.public.endswith(words)
    damaged(zip_of([Entry("a", central=Head(name=b"\n"))]), "control characters")
    damaged(zip_of([Entry("a", central=Head(extra=b"\x75\x70\x06\0\1abcdb"))]), "or it has two")


def test_fields_are_read_as_they_are_said() -> None:
    assert extra_fields(b"") == {}
    assert extra_fields(b"\1\0\2\0ab\5\0\0\0") == {1: b"ab", 5: b""}
    assert extra_fields(b"\5\0\1\0a\5\0\1\0b\0\0\0") == {5: b"b"}, "zipalign fills up with zeros"
    for wrong in (b"\1\0\2\0a", b"\1\0\0\0\1\0\0\0", b"\x75\x70\0\0" * 2, b"\5\0\1\0"):
        with pytest.raises(BadRequestError, match="its ZIP directory is damaged"):
            extra_fields(wrong)


@pytest.mark.parametrize(
    ("values", "wide", "found"),
    [
        ((3, 4, 5), (), (3, 4, 5)),
        ((SENTINEL, 4, 5), (9,), (9, 4, 5)),
        ((3, 4, SENTINEL), (9,), (3, 4, 9)),
        ((SENTINEL, 4, SENTINEL), (8, 9), (8, 4, 9)),
        ((SENTINEL, SENTINEL), (8, 9), (8, 9)),
        ((3, 4), (3, 4), (3, 4)),
        ((3, 4), (3, 4, 5), (3, 4)),
        ((3, 4, 5), (3,), (3, 4, 5)),
        ((SENTINEL, 4), (9, 4), (9, 4)),
        ((SENTINEL, 4), (), None),
        ((SENTINEL, SENTINEL), (9,), None),
        ((3, 4), (3, 5), None),
        ((3, 4, 5), (4,), None),
        ((3, SENTINEL), (3, 9), None),
        ((SENTINEL, 4), (9, 5), None),
    ],
)
def test_sizes_that_do_not_fit(values: tuple[int, ...], wide: tuple[int, ...], found: tuple[int, ...] | None) -> None:
    fields = extra_fields(extra(1, *wide))
    if found is not None:
        assert wide_sizes(fields, *values) == found
    else:
        with pytest.raises(BadRequestError, match="damaged"):
            wide_sizes(fields, *values)


def test_a_disk_may_follow_the_sizes() -> None:
    assert wide_sizes({1: b"\x09" + bytes(11)}, SENTINEL, 4) == (9, 4)


def test_a_directory_has_at_most_65535_members() -> None:
    entry = zip_of([Entry("a")])[31:-22]
    most = entry * MAX_MEMBERS
    end = end_of(End(), 0xFFFF, len(most), 0)
    assert sum(1 for _ in directory_of(most + end, 0)) == MAX_MEMBERS == 0xFFFF
    with pytest.raises(BadRequestError, match="more than 65535 members"):
        for _ in directory_of(most + entry, 0):
            pass
