"""Which release a document is about."""

import pytest
from packaging.version import Version

from gateway.index.legacy.releases import releases_of, yanked
from gateway.index.simple.pages import File, Project
from gateway.policy.verdict import Action, Verdict

HELD = Verdict(Action.HOLD, "too young")


def project(*files: File, held: tuple[str, ...] = ()) -> Project:
    return Project("foo", (), files, verdicts=dict.fromkeys(held, HELD))


def wheel(version: str, yanked: str | None = None) -> File:
    return File(f"foo-{version}-py3-none-any.whl", "", yanked=yanked)


@pytest.mark.parametrize(
    ("files", "newest"),
    [
        ([wheel("1.0"), wheel("1.10"), wheel("1.9")], "1.10"),
        ([wheel("1.0"), wheel("2.0rc1")], "1.0"),
        ([wheel("1.0rc1"), wheel("2.0", "bad")], "1.0rc1"),
        ([wheel("1.0", "bad"), wheel("2.0", "bad")], "2.0"),
        ([wheel("2.0", "bad"), File("foo-2.0.tar.gz", ""), wheel("1.0")], "2.0"),
        ([File("notes.txt", "")], None),
        ([], None),
    ],
)
def test_the_newest_is_the_one_that_installers_choose(files: list[File], newest: str | None) -> None:
    found = releases_of(project(*files)).newest
    assert (str(found) if found is not None else None) == newest


def test_versions_ascend_and_files_are_in_order() -> None:
    releases = releases_of(project(wheel("1.10"), wheel("1.9"), File("foo-1.10.tar.gz", ""), File("notes.txt", "")))
    assert [(str(version), [file.name for file in files]) for version, files in releases.files.items()] == [
        ("1.9", ["foo-1.9-py3-none-any.whl"]),
        ("1.10", ["foo-1.10-py3-none-any.whl", "foo-1.10.tar.gz"]),
    ]


def test_a_version_is_found_however_it_is_written() -> None:
    releases = releases_of(project(wheel("1.0"), held=("foo-2.0-py3-none-any.whl", "foo-1.0.tar.gz")))
    for version in ("1.0", "1", "1.0.0", "v1.0"):
        assert str(releases.find(version)) == "1.0"
    assert str(releases.find("2")) == "2.0"
    assert releases.withheld == {Version("2.0")}
    for version in ("3.0", "one", "", "1" * 5000):
        assert releases.find(version) is None


def test_a_version_is_yanked_if_all_its_files_are() -> None:
    assert yanked([wheel("1.0", "bad"), wheel("1.0", "")]) == "bad"
    assert yanked([wheel("1.0", "")]) == ""
    assert yanked([wheel("1.0", "bad"), wheel("1.0")]) is None
    assert yanked([]) is None
