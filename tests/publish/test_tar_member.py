"""Heads of tar members: those that programs read differently are refused."""

import tarfile

import pytest

from gateway.errors import BadRequestError
from gateway.publish.tar_member import extended, head_of
from tests.support.archives import pax, tar_head

PAX, GLOBAL = tarfile.XHDTYPE, tarfile.XGLTYPE
LONG_NAME, LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK


def records(said: dict[str, str]) -> bytes:
    return pax(said)[512:].rstrip(b"\0")


@pytest.mark.parametrize("kind", [b"0", b"\0", b"7", b"x", b"g", b"L", b"K"])
def test_what_has_content(kind: bytes) -> None:
    member = head_of(tar_head("foo/ü\udcff", 5, kind))
    assert (member.name, member.size, member.type) == ("foo/ü\udcff", 5, kind)


@pytest.mark.parametrize("kind", [b"1", b"2", b"5"])
def test_links_and_folders_have_none(kind: bytes) -> None:
    assert head_of(tar_head("foo", 0, kind, "bar")).linkname == "bar"
    with pytest.raises(BadRequestError, match=r"^the archive: it has a link or a folder with a size$"):
        head_of(tar_head("foo", 1, kind))


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"S", b"X", b"D", b"M", b"V", b"N", b"A", b"\xff"])
def test_devices_sparse_files_and_what_nobody_knows(kind: bytes) -> None:
    with pytest.raises(BadRequestError) as caught:
        head_of(tar_head("foo", 0, kind))
    assert f"it has a member of an unusual kind ({kind!r})" in caught.value.public


@pytest.mark.parametrize(
    ("field", "size"),
    [
        (b"00000000017\0", 15),
        (b"         17 ", 15),
        (b"17\0\0\0\0\0\0\0\0\0\0", 15),
        (b"777777777777", 8**12 - 1),
        (bytes(12), 0),
        (b"\x80" + bytes(10) + b"\x11", 17),
        (b"-0000000017\0", None),
        (b"+0000000017\0", None),
        (b"0000000_017\0", None),
        (b"0o000000017\0", None),
        (b"00000000018\0", None),
        (b"17\x0000000000\0", None),
        (b"\xff" * 12, None),
        (b"\x81" + bytes(11), None),
        ("٣".encode() + b"00000000 ", None),
    ],
)
def test_sizes(field: bytes, size: int | None) -> None:
    block = tar_head("foo", field=field)
    if size is not None:
        assert head_of(block).size == size
    else:
        with pytest.raises(BadRequestError, match=r"^the archive: it is damaged$"):
            head_of(block)


def test_checksums() -> None:
    block = tar_head("foo")
    for wrong in (b"x" + block[1:], block[:511] + b"x", block[:148] + b"x" * 8 + block[156:], b"\1" * 512):
        with pytest.raises(BadRequestError, match=r"^the archive: it is damaged$"):
            head_of(wrong)


def test_gnu_names() -> None:
    assert extended(LONG_NAME, "ü\udcff".encode("utf-8", "surrogateescape") + b"\0\0") == {"path": "ü\udcff"}
    assert extended(LONG_LINK, b"a\0bX\0") == {"linkpath": "a\0bX"}


def test_records() -> None:
    said = {"path": "ü\n=\udcff", "SCHILY.xattr." + "x" * 287: "", "size": "12", "ключ\udcff": "1"}
    found = extended(PAX, records(said))
    assert found == {**said, "ключ\udcff": "1"}
    assert extended(PAX, b"") == {}


@pytest.mark.parametrize("name", ["path", "size", "comment"])
def test_a_record_comes_once(name: str) -> None:
    """Of two, some programs take the last one, some the first one; uv refuses them."""
    with pytest.raises(BadRequestError, match=r"^the archive: it says one thing of a member twice$"):
        extended(PAX, records({name: "1"}) + records({name: "2"}))


@pytest.mark.parametrize("magic", [b"ustar  \0", bytes(8)])
def test_only_posix_has_a_prefix(magic: bytes) -> None:
    head = bytearray(tar_head("a"))
    head[257:265], head[345:348] = magic, b"foo"
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    with pytest.raises(BadRequestError, match=r"^the archive: a member has two names$"):
        head_of(bytes(head))


def test_records_of_all_members_that_follow() -> None:
    assert extended(GLOBAL, records({"comment": "a commit", "mtime": "1"})) == {}
    for name in ("path", "linkpath", "size"):
        with pytest.raises(BadRequestError, match=r"^the archive: one name is given to all members$"):
            extended(GLOBAL, records({"comment": "", name: "x"}))


@pytest.mark.parametrize("kind", [PAX, GLOBAL])
def test_sparse_files_of_gnu_tar(kind: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^the archive: it has a sparse file$"):
        extended(kind, records({"GNU.sparse.major": "1"}))


@pytest.mark.parametrize(
    "content",
    [
        b"x",
        b"9 path=a\n\0",
        b"8 path=a\n",
        b"11 path=a\n",
        b"12 path=a\n",
        b"09 path=ab",
        b"5 a=\n9",
        b"0 path=a\n",
        b"7 path=\n",
        b"0000010 path=\n",
        b" 9 path=a\n",
        b"-9 path=a\n",
        b"9  path=a",
        b"5 =a\n",
        b"8 path a\n",
        b"9 pa\nth=a\n",
        b"309 " + b"x" * 301 + b"=\n" + b"  ",
    ],
)
def test_records_that_are_damaged(content: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^the archive: it is damaged$"):
        extended(PAX, content)
