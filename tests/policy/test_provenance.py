"""What the provenance of files tells, beside that of lower versions."""

from itertools import permutations
from typing import NamedTuple

import pytest

from gateway.index.simple.pages import File
from gateway.policy.provenance import fits, identity_of, in_order, needed, told, without_looking

ACME, EVIL = "github:acme/web github:acme/web@release.yml", "github:evil/web github:evil/web@release.yml"
MOVED = "github:acme/web github:acme/web@publish.yml"


class Of(NamedTuple):
    """A wheel of a version, and what is known of it alone; None: nothing yet."""

    version: str
    alone: str | None
    modified: float | None = None
    tag: str = "py3"

    @property
    def file(self) -> File:
        name = f"web-{self.version}-{self.tag}-none-any.whl"
        provenance = None if self.alone == "none" else f"https://pypi.example/{name}.provenance"
        return File(name, name, modified=self.modified, hashes={"sha256": "ab" * 32}, provenance=provenance)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # one version
        ([Of("1.0", ACME)], [ACME]),
        ([Of("1.0", "none")], ["none"]),
        ([Of("1.0", "invalid")], ["invalid"]),
        ([Of("1.0", None)], [None]),
        ([Of("1.0", ACME, tag="py2"), Of("1.0", "none"), Of("1.0", EVIL, tag="cp312")], [ACME, "none", EVIL]),
        # nobody attested before
        ([Of("1.0", "none"), Of("2.0", "none")], ["none", "none"]),
        ([Of("1.0", "none"), Of("2.0", ACME)], ["none", ACME]),
        ([Of("1.0", "invalid"), Of("2.0", "none")], ["invalid", "none"]),
        ([Of("1.0", "invalid"), Of("2.0", ACME)], ["invalid", ACME]),
        # lost
        ([Of("1.0", ACME), Of("2.0", "none")], [ACME, "none lost"]),
        ([Of("1.0", ACME), Of("2.0", "invalid")], [ACME, "invalid lost"]),
        ([Of("1.0", ACME), Of("2.0", "none"), Of("3.0", "none")], [ACME, "none lost", "none lost"]),
        ([Of("1.0", ACME), Of("2.0", "none"), Of("3.0", ACME)], [ACME, "none lost", ACME]),
        ([Of("1.0", ACME), Of("2.0", ACME), Of("2.0", "none", tag="cp312")], [ACME, ACME, "none lost"]),
        # a lower version that came later was never attested
        ([Of("1.0", "none"), Of("1.1", "none", 9.0), Of("2.0", ACME, 5.0)], ["none", "none", ACME]),
        # by the order of versions, not of names
        ([Of("1.10", ACME), Of("1.9", "none")], [ACME, "none"]),
        ([Of("1.10", "none"), Of("1.9", ACME)], ["none lost", ACME]),
        ([Of("2.0rc1", ACME), Of("2.0", "none")], [ACME, "none lost"]),
        ([Of("2.0rc1", "none"), Of("2.0", ACME)], ["none", ACME]),
        ([Of("9.0", ACME), Of("1!0.1", "none")], [ACME, "none lost"]),
        ([Of("1.0", ACME), Of("1.0+local", "none")], [ACME, "none lost"]),
        ([Of("1.0", ACME), Of("1.0.0", "none", tag="cp312")], [ACME, "none"]),
        # changed
        ([Of("1.0", ACME), Of("2.0", EVIL)], [ACME, f"{EVIL} changed"]),
        ([Of("1.0", ACME), Of("2.0", MOVED)], [ACME, MOVED]),
        ([Of("1.0", ACME), Of("2.0", EVIL), Of("3.0", EVIL)], [ACME, f"{EVIL} changed", f"{EVIL} changed"]),
        ([Of("0.1", EVIL), Of("1.0", ACME), Of("2.0", EVIL)], [EVIL, f"{ACME} changed", f"{EVIL} changed"]),
        ([Of("1.0", ACME), Of("2.0", "none"), Of("3.0", EVIL)], [ACME, "none lost", f"{EVIL} changed"]),
        # a version is known by the file that was uploaded first
        ([Of("1.0", ACME, 1.0), Of("1.0", EVIL, 2.0, "aa"), Of("2.0", ACME)], [ACME, EVIL, ACME]),
        ([Of("1.0", ACME, 2.0), Of("1.0", EVIL, 1.0, "aa"), Of("2.0", ACME)], [ACME, EVIL, f"{ACME} changed"]),
        ([Of("1.0", ACME, 1.0), Of("1.0", EVIL, None, "aa"), Of("2.0", ACME)], [ACME, EVIL, ACME]),
        ([Of("1.0", ACME, 2.0), Of("1.0", "none", 1.0, "aa"), Of("2.0", "none")], [ACME, "none", "none lost"]),
        ([Of("1.0", ACME, 2.0), Of("1.0", "invalid", 1.0, "aa"), Of("2.0", "none")], [ACME, "invalid", "none"]),
        # not all is known yet
        ([Of("1.0", None), Of("2.0", ACME)], [None, f"{ACME} ?"]),
        ([Of("1.0", None), Of("2.0", "none")], [None, "none ?"]),
        ([Of("1.0", None), Of("2.0", None)], [None, None]),
        ([Of("1.0", None), Of("1.1", ACME), Of("2.0", "none")], [None, f"{ACME} ?", "none lost"]),
        ([Of("1.0", None), Of("1.1", ACME), Of("2.0", EVIL)], [None, f"{ACME} ?", f"{EVIL} changed"]),
        ([Of("1.0", None), Of("1.1", ACME), Of("2.0", ACME)], [None, f"{ACME} ?", f"{ACME} ?"]),
        ([Of("1.0", ACME), Of("2.0", None)], [ACME, None]),
        ([Of("1.0", ACME, 1.0), Of("1.0", None, 2.0, "aa"), Of("2.0", ACME)], [ACME, None, ACME]),
    ],
)
def test_what_is_told_of_files(files: list[Of], expected: list[str | None]) -> None:
    found = {of.file.name: of.alone for of in files if of.alone is not None}
    names = {of.file.name: words for of, words in zip(files, expected, strict=True) if words is not None}
    for order in permutations(files):
        assert told([of.file for of in order], found) == names


def test_a_file_whose_version_can_t_be_told_is_as_one_of_the_highest() -> None:
    odd = File("web-one-py3-none-any.whl", "x")
    files = [Of("1.0", ACME).file, odd, Of("2.0", EVIL).file]
    found = {files[0].name: ACME, odd.name: "none", files[2].name: EVIL}
    assert told(files, found)[odd.name] == "none lost"
    assert told(files, found | {odd.name: EVIL})[files[2].name] == f"{EVIL} changed"


@pytest.mark.parametrize(
    ("words", "patterns", "expected"),
    [
        (ACME, ["github:acme/web"], True),
        (ACME, ["GitHub:Acme/*"], True),
        (ACME, ["github:acme/web@release.yml"], True),
        (ACME, ["github:acme/web@publish.yml"], False),
        (ACME, ["github:acme/we"], False),
        (ACME, ["none", "invalid", "lost", "changed"], False),
        ("none lost", ["lost"], True),
        ("none lost", ["none"], True),
        ("none ?", ["none"], True),
        ("none ?", ["lost"], None),
        ("none ?", ["l*"], None),
        ("none ?", ["invalid", "github:*"], False),
        (f"{ACME} ?", ["github:acme/web", "lost"], True),
        (f"{ACME} ?", ["changed"], None),
        (f"{ACME} ?", ["?"], False),
    ],
)
def test_patterns(words: str, patterns: list[str], expected: bool | None) -> None:
    assert fits(words, patterns) is expected


PAGE = [
    Of("1.0", ACME, 2.0), Of("1.0", ACME, 1.0, "aa"), Of("3.0", ACME), Of("2.0", "none"), Of("0.9", ACME),
    Of("3.0", ACME, tag="cp312"), Of("2.0", ACME, tag="cp312"),
]  # fmt: skip


def short(files: list[File]) -> list[str]:
    names = dict.fromkeys(file.name for file in files)
    return [name.removeprefix("web-").removesuffix("-none-any.whl") for name in names]


def test_the_highest_version_is_looked_up_first_and_then_one_file_of_each() -> None:
    order = short([*in_order(of.file for of in PAGE)])
    assert order == ["3.0-py3", "3.0-cp312", "2.0-cp312", "1.0-aa", "0.9-py3", "1.0-py3"]
    assert [*in_order(list[File]())] == []


def test_what_a_file_needs() -> None:
    files = [of.file for of in PAGE]
    assert short(needed(files, "web-2.0-py3-none-any.whl", earlier=True)) == ["1.0-aa", "0.9-py3"]
    assert short(needed(files, "web-2.0-py3-none-any.whl", earlier=False)) == []
    assert short(needed(files, "web-1.0-py3-none-any.whl", earlier=True)) == ["1.0-py3", "0.9-py3"]
    assert short(needed(files, "web-1.0-py3-none-any.whl", earlier=False)) == ["1.0-py3"]
    assert needed(files, "web-4.0-py3-none-any.whl", earlier=True) == []


def test_what_needs_no_look() -> None:
    url = "https://pypi.example/x.provenance"
    assert without_looking(File("a", "a", hashes={"sha256": "ab"})) == "none"
    assert without_looking(File("a", "a", provenance=url)) == "invalid"
    assert without_looking(File("a", "a", provenance=url, hashes={"md5": "ab"})) == "invalid"
    assert without_looking(File("a", "a", provenance=url, hashes={"sha256": "ab"})) is None


def test_what_is_verified_is_told_apart() -> None:
    url = "https://pypi.example/x.provenance"
    files = [
        File("a", "a", provenance=url, hashes={"sha256": "ab"}),
        File("b", "a", provenance=url, hashes={"sha256": "ab"}),
        File("a", "a", provenance=url, hashes={"sha256": "cd"}),
        File("a", "a", provenance=f"{url}2", hashes={"sha256": "ab"}),
        File("a\ud800", "a", provenance=url, hashes={"sha256": "ab"}),
    ]
    found = {identity_of(file, root) for file in files for root in ("one", "two")}
    assert len(found) == 10
    assert identity_of(files[0], "one") == identity_of(
        File("a", "z", 9, hashes={"sha256": "ab"}, provenance=url), "one"
    )
