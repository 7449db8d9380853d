"""Which pre-releases are old enough, and too many."""

import pytest

from gateway.publish.upkeep.garbage import expendable
from gateway.storage.base import StoredObject


def files(*releases: tuple[str, float]) -> list[StoredObject]:
    return [StoredObject(f"acme/{name}", 1, '"e"', modified) for name, modified in releases]


def kept_and_gone(keep: int, before: float, *releases: tuple[str, float]) -> list[str]:
    return [item.key.removeprefix("acme/") for item, _ in expendable(files(*releases), keep, before)]


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (0, ["1.0rc1", "1.0b1", "1.0.dev3", "1.0.dev2"]),
        (1, ["1.0b1", "1.0.dev3", "1.0.dev2"]),
        (3, ["1.0.dev2"]),
        (4, []),
        (9, []),
    ],
)
def test_the_newest_pre_releases_stay_and_all_releases(keep: int, gone: list[str]) -> None:
    versions = ["1.0", "1.0.dev2", "1.0.dev3", "1.0b1", "1.0rc1", "1.0.post1", "0.9", "1.0+dev"]
    releases = [(f"acme-{version}.tar.gz", 1.0) for version in versions]
    assert kept_and_gone(keep, 2.0, *releases) == [f"acme-{version}.tar.gz" for version in gone]


def test_newest_is_by_version_and_old_by_time() -> None:
    releases = [("acme-1.0.dev9.tar.gz", 1.0), ("acme-1.0.dev10.tar.gz", 1.0), ("acme-1.0.dev1.tar.gz", 5.0)]
    assert kept_and_gone(1, 2.0, *releases) == ["acme-1.0.dev9.tar.gz"]


def test_a_version_goes_as_a_whole_or_stays() -> None:
    wheel, sdist = "acme-1.0a1-py3-none-any.whl", "acme-1.0a1.tar.gz"
    assert kept_and_gone(0, 2.0, (wheel, 1.0), (sdist, 2.0)) == []
    assert kept_and_gone(0, 3.0, (wheel, 1.0), (sdist, 2.0)) == [wheel, sdist]


def test_what_describes_a_file_and_what_is_none_does_not_count() -> None:
    assert kept_and_gone(0, 2.0, ("acme-1.0a1.tar.gz.yanked", 1.0), ("notes.txt", 1.0)) == []
