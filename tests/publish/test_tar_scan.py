"""Sdists are looked at while they pass: every archive that is one is taken, and nothing that has two meanings."""

import gzip
import re
import tarfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.index.wheels.core_metadata import MAX_METADATA_BYTES
from gateway.publish.rules import Rules
from gateway.publish.tar_scan import SMALL_BYTES, TarScan
from tests.support.archives import METADATA, PKG_INFO, STEM, pax, sdist_of, tar_by, tar_head, tar_member
from tests.support.readers import demand_one_meaning_of_tar, pieces, scan_tar

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
PATHS = st.from_regex(r"[a-zü.]{1,50}x(/[a-zü ]{1,60}){0,2}", fullmatch=True)
SYMLINK, HARD_LINK = tarfile.SYMTYPE, tarfile.LNKTYPE
LONG_NAME, LONG_LINK = tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK
LAYOUT = f"not all of it lies in the folder {STEM} (rule layout)"


def finish(data: bytes, size: int = 1 << 20, rules: Rules | None = None) -> TarScan:
    scan = TarScan(STEM, rules or Rules())
    for piece in pieces(data, size):
        scan.feed(piece)
    scan.finish()
    return scan


def refused(data: bytes, words: str) -> None:
    """In whatever pieces it comes."""
    for size in (1 << 20, 1, 7):
        with pytest.raises(BadRequestError, match=re.escape(words)) as caught:
            finish(data, size)
        assert words in caught.value.public


def taken(*members: bytes) -> None:
    """With the same PKG-INFO in whatever pieces it comes, as tarfile finds it."""
    data = sdist_of(*members)
    for size in (1 << 20, 1, 7):
        scan = finish(data, size)
        assert scan.pkg_info == METADATA
        assert (scan.size, scan.unpacked_size) == (len(data), len(gzip.decompress(data)))
        demand_one_meaning_of_tar(data, STEM, scan)


@given(st.sets(PATHS, max_size=6), st.sampled_from(FORMATS), st.integers(0, 9), st.integers(1, 300), st.booleans())
def test_what_tarfile_writes_is_taken_in_pieces_of_every_size(
    paths: set[str], form: int, level: int, size: int, commit: bool
) -> None:
    headers = {"comment": "a commit"} if commit and form == tarfile.PAX_FORMAT else None
    names = [f"{STEM}/PKG-INFO", *(f"{STEM}/{path}" for path in paths)]
    data = gzip.compress(tar_by(form, names, headers), level, mtime=0)
    scan = scan_tar(STEM, pieces(data, size))
    assert scan is not None
    assert scan.pkg_info == names[0].encode()
    demand_one_meaning_of_tar(data, STEM, scan)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("name", ["x" * 300, "ü" * 150, "y/" * 120 + "z", "latin1-\udcfc"])
def test_names_longer_than_a_head(form: int, name: str) -> None:
    data = gzip.compress(tar_by(form, [f"{STEM}/{name}", f"{STEM}/PKG-INFO"]), mtime=0)
    scan = scan_tar(STEM, pieces(data, 100))
    assert scan is not None
    demand_one_meaning_of_tar(data, STEM, scan)


def test_what_else_is_in_order() -> None:
    taken(tar_member(f"{STEM}/", kind=tarfile.DIRTYPE), PKG_INFO)
    taken(tar_member(STEM, kind=tarfile.DIRTYPE), PKG_INFO)
    taken(PKG_INFO, tar_member(f"{STEM}/foo.egg-info/PKG-INFO", b"another"))
    taken(PKG_INFO, tar_member(f"{STEM}/empty"), tar_member(f"{STEM}/full", bytes(512)), bytes(5120))
    taken(pax({"path": f"{STEM}/PKG-INFO", "mtime": "1.5"}), tar_member("short", METADATA))
    taken(pax({"size": str(len(METADATA))}), PKG_INFO)
    taken(tar_member("././@LongLink", f"{STEM}/PKG-INFO".encode() + b"\0", LONG_NAME), tar_member("x", METADATA))
    taken(PKG_INFO, tar_member(f"{STEM}/old", b"content", tarfile.CONTTYPE), tar_member(f"{STEM}/v7", b"x", b"\0"))
    taken(PKG_INFO, pax({"path": f"{STEM}/a"}), tar_member("x", kind=SYMLINK, link="b"), tar_member(f"{STEM}/c", b"c"))
    assert finish(sdist_of(tar_member(f"{STEM}/x"))).pkg_info is None


@pytest.mark.parametrize("name", ["foo", "", "foo-1.0x/a", "/foo-1.0/a", "./foo-1.0/a", "foo-1.0/../a", "foo-1.0/.."])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, SYMLINK])
def test_paths_that_lead_out(name: str, kind: bytes) -> None:
    refused(sdist_of(PKG_INFO, tar_member(name, kind=kind, link="x")), LAYOUT)
    finish(sdist_of(PKG_INFO, tar_member(name, kind=kind, link="x")), rules=Rules.without(["layout"]))


@pytest.mark.parametrize("extension", ["pax", "gnu"])
@pytest.mark.parametrize("name", ["../a", f"{STEM}/a\0b", f"{STEM}/a\\b"])
def test_long_names_that_lead_out(name: str, extension: str) -> None:
    gnu = tar_member("././@LongLink", name.encode() + b"\0", LONG_NAME)
    refused(sdist_of(pax({"path": name}) if extension == "pax" else gnu, PKG_INFO), LAYOUT)


@pytest.mark.parametrize(
    ("kind", "name", "target", "inside"),
    [
        (SYMLINK, "a", "b", True),
        (SYMLINK, "docs/a", "../README", True),
        (SYMLINK, "docs/a/", "..", True),
        (SYMLINK, "a", ".", True),
        (SYMLINK, "a", "..", False),
        (SYMLINK, "a", "../foo-1.0x", False),
        (SYMLINK, "docs/a", "../../b", False),
        (SYMLINK, "a", "/etc/passwd", False),
        (SYMLINK, "a", "/foo-1.0/x", False),
        (HARD_LINK, "a", "foo-1.0/b", True),
        (HARD_LINK, "a", "foo-1.0/docs/../b", True),
        (HARD_LINK, "docs/a", "b", False),
        (HARD_LINK, "docs/a", "foo-1.0/../b", False),
        (HARD_LINK, "a", "/foo-1.0/b", False),
        (SYMLINK, "a", "b\\..\\c", False),
        (SYMLINK, "docs/a", "./.././b//c", True),
        (SYMLINK, "docs/a", "b/../c", False),
        (SYMLINK, "docs/a", "../b/./..", False),
    ],
)
def test_links_stay_in_the_folder(kind: bytes, name: str, target: str, inside: bool) -> None:
    short = tar_member(f"{STEM}/{name}", kind=kind, link=target)
    gnu = tar_member("././@LongLink", target.encode() + b"\0", LONG_LINK)
    other = tar_member(f"{STEM}/{name}", kind=kind, link=STEM)
    for members in ([short], [pax({"linkpath": target}), other], [gnu, other]):
        if inside:
            taken(PKG_INFO, *members)
        else:
            refused(sdist_of(PKG_INFO, *members), f"a link leads out of the folder {STEM} (rule layout)")
    finish(sdist_of(short), rules=Rules.without(["layout"]))


HIDDEN = "a member lies behind a link, or takes its place"


@pytest.mark.parametrize(
    ("kind", "target", "name"),
    [
        (SYMLINK, ".", "a/b/PKG-INFO"),
        (SYMLINK, "PKG-INFO", "a/b"),
        (HARD_LINK, f"{STEM}/PKG-INFO", "a//./b"),
        (SYMLINK, "..", "a/b/c"),
    ],
)
def test_a_link_takes_no_members(kind: bytes, target: str, name: str) -> None:
    """Programs would write them elsewhere than they are called: over PKG-INFO, or anywhere."""
    link = tar_member(f"{STEM}/a/b", kind=kind, link=target)
    folder = tar_member(f"{STEM}/a", kind=tarfile.DIRTYPE)
    taken(PKG_INFO, folder, link, tar_member(f"{STEM}/b"), tar_member(f"{STEM}/a/bc"))
    for rules in (Rules(), Rules.without(["layout"])):
        with pytest.raises(BadRequestError, match=HIDDEN):
            finish(sdist_of(PKG_INFO, folder, link, tar_member(f"{STEM}/{name}", METADATA)), rules=rules)


def test_a_hard_link_leads_to_no_other_link() -> None:
    """From another place, a relative one leads elsewhere."""
    link = tar_member(f"{STEM}/a/b", kind=SYMLINK, link="..")
    words = f"a link leads out of the folder {STEM} (rule layout)"
    for target in ("a/b", "a/b/c", "a/b/../c"):
        refused(sdist_of(PKG_INFO, link, tar_member(f"{STEM}/c", kind=HARD_LINK, link=f"{STEM}/{target}")), words)


def test_members_lie_in_at_most_250_folders() -> None:
    deep = f"{STEM}{'/a' * 249}"
    finish(sdist_of(PKG_INFO, pax({"path": f"{deep}//"}), tar_member("x", kind=tarfile.DIRTYPE)))
    deeper = pax({"path": f"{deep}/a"}), tar_member("x")
    link = pax({"linkpath": f"{deep}/./a"}), tar_member(f"{STEM}/b", kind=HARD_LINK)
    for members in (deeper, link):
        refused(sdist_of(PKG_INFO, *members), "a member lies too deep")


@pytest.mark.parametrize("target", ["", "../x\0/../foo-1.0/a"])
def test_links_whose_target_is_not_the_same_to_all(target: str) -> None:
    """Without one, programs take that of the head; others end it at the zero."""
    member = tar_member(f"{STEM}/a", kind=SYMLINK, link="b")
    refused(
        sdist_of(PKG_INFO, pax({"linkpath": target}), member), f"a link leads out of the folder {STEM} (rule layout)"
    )


@pytest.mark.parametrize(
    "member",
    [
        PKG_INFO,
        tar_member(f"{STEM}/./PKG-INFO", METADATA),
        tar_member(f"{STEM}//PKG-INFO", METADATA),
        tar_member(f"{STEM}/PKG-INFO", kind=SYMLINK, link="x"),
        tar_member(f"{STEM}/PKG-INFO", kind=HARD_LINK, link=f"{STEM}/x"),
        tar_member(f"{STEM}/PKG-INFO", kind=tarfile.DIRTYPE),
        pax({"path": f"{STEM}/PKG-INFO"}) + tar_member("x", METADATA),
    ],
)
def test_there_is_one_pkg_info_and_it_is_a_file(member: bytes) -> None:
    words = "its PKG-INFO is too large, a link, or one of many"
    refused(sdist_of(PKG_INFO, member), words)
    if member != PKG_INFO and b"METADATA" not in member and b"Metadata" not in member:
        refused(sdist_of(member), words)


def test_a_pkg_info_is_at_most_1_mib() -> None:
    name = f"{STEM}/PKG-INFO"
    content = b"x" * MAX_METADATA_BYTES
    assert finish(sdist_of(tar_member(name, content))).pkg_info == content
    with pytest.raises(BadRequestError, match="its PKG-INFO is too large"):
        finish(sdist_of(tar_member(name, content + b"x")))
    assert finish(sdist_of(tar_member(name))).pkg_info == b""


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([pax({"path": f"{STEM}/a"}), pax({"path": f"{STEM}/b"})], "a member has two names"),
        ([pax({"path": f"{STEM}/a"}), tar_member("L", b"foo-1.0/b\0", LONG_NAME)], "a member has two names"),
        ([tar_member("K", b"a\0", LONG_LINK), pax({"linkpath": "b"})], "a member has two names"),
        ([pax({"size": "1"}), tar_member(f"{STEM}/a", b"xx")], "it has a member of two sizes"),
        ([pax({"size": "2 "}), tar_member(f"{STEM}/a", b"xx")], "it has a member of two sizes"),
        ([pax({"path": "x"}, tarfile.XGLTYPE)], "one name is given to all members"),
        ([pax({"GNU.sparse.name": "x"})], "it has a sparse file"),
        ([tar_head(f"{STEM}/a", 10**6)], "it breaks off"),
        ([tar_head(f"{STEM}/a", field=b"\x80" + b"\x7f" * 11)], "it breaks off"),
        ([tar_head(f"{STEM}/a", kind=tarfile.CHRTYPE)], "an unusual kind"),
        ([b"x" * 512], "it is damaged"),
        ([bytes(512), b"x" * 512], "something follows its end"),
        ([bytes(512), PKG_INFO], "something follows its end"),
        ([pax({"path": f"{STEM}/a"})], "it breaks off"),
        ([pax({"comment": ""}, tarfile.XGLTYPE)], "it breaks off"),
    ],
)
def test_what_has_two_meanings_or_none(members: list[bytes], words: str) -> None:
    refused(sdist_of(PKG_INFO, *members), words)


def test_an_extension_is_of_one_member() -> None:
    refused(sdist_of(pax({"path": f"{STEM}/a"}), tar_member("x"), tar_member("y")), LAYOUT)


@pytest.mark.parametrize("kind", [LONG_NAME, LONG_LINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_extensions_are_small(kind: bytes) -> None:
    finish(sdist_of(tar_member("x", b"65536 comment=".ljust(65535, b"x") + b"\n", tarfile.XGLTYPE), PKG_INFO))
    refused(sdist_of(tar_head("x", 64 * 1024 + 1, kind)), "the name of a member is too long")
    refused(sdist_of(tar_head("x", 0, kind), PKG_INFO), "it is damaged")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it breaks off"),
        (b"not gzip", "it is not a .tar.gz, or is damaged"),
        (gzip.compress(b"", mtime=0), "it breaks off"),
        (sdist_of(PKG_INFO, end=b""), "it breaks off"),
        (sdist_of(PKG_INFO, end=bytes(511)), "it breaks off"),
        (sdist_of(PKG_INFO, end=bytes(513)), "it breaks off"),
        (sdist_of(PKG_INFO)[:-1], "it breaks off"),
        (sdist_of(PKG_INFO)[:-8] + bytes(8), "damaged"),
        (sdist_of(PKG_INFO)[:-4] + bytes(4), "damaged"),
        (sdist_of(PKG_INFO) + b"\0", "something follows its compressed part"),
        (sdist_of(PKG_INFO) + sdist_of(PKG_INFO), "something follows its compressed part"),
        (
            gzip.compress(PKG_INFO, mtime=0) + gzip.compress(bytes(1024), mtime=0),
            "something follows its compressed part",
        ),
    ],
)
def test_what_is_damaged(data: bytes, words: str) -> None:
    refused(data, words)


def test_one_block_of_zeros_ends_it() -> None:
    assert finish(sdist_of(PKG_INFO, end=bytes(512))).pkg_info == METADATA


def test_members_are_at_most_65535_and_may_each_be_extended() -> None:
    """Three seconds: each head costs some 20 µs. Python extends each member by its exact time."""
    scan, packer = TarScan(STEM, Rules.without(["size-ratio"])), zlib.compressobj(wbits=31)
    extension, member = pax({"mtime": "1.5"}), tar_member(f"{STEM}/x")
    scan.feed(packer.compress((extension + member) * 0xFFFF) + packer.flush(zlib.Z_SYNC_FLUSH))
    for more, words in ((member, "it has more than 65535 members"), (extension, "it has more than 65535 extended")):
        with pytest.raises(BadRequestError, match=words):
            scan.feed(packer.compress(more) + packer.flush(zlib.Z_SYNC_FLUSH))


def test_it_is_at_most_fifty_times_as_large_unpacked() -> None:
    zeros = tar_head(f"{STEM}/x", SMALL_BYTES) + bytes(SMALL_BYTES)
    bomb = sdist_of(PKG_INFO, zeros)
    with pytest.raises(BadRequestError, match=re.escape("unpacked, it is over 50 times as large (rule size-ratio)")):
        finish(bomb)
    assert finish(bomb, rules=Rules.without(["size-ratio"])).unpacked_size > SMALL_BYTES
    assert (
        finish(
            sdist_of(
                PKG_INFO,
                zeros[: SMALL_BYTES - len(PKG_INFO) - 1024].replace(
                    tar_head(f"{STEM}/x", SMALL_BYTES), tar_head(f"{STEM}/x", SMALL_BYTES - len(PKG_INFO) - 1536)
                ),
            )
        ).unpacked_size
        == SMALL_BYTES
    )
