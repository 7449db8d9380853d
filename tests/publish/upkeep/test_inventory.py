"""Release files and what lies beside them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.load import load
from gateway.config.settings import Settings
from gateway.errors import NotFoundError
from gateway.publish.upkeep.inventory import Bundle, Bundler, Inventory
from gateway.storage.base import Children, StoredObject
from gateway.storage.local.storage import LocalStorage

WHEEL = "acme-web/acme_web-1.0-py3-none-any.whl"


def item(key: str, size: int = 1) -> StoredObject:
    return StoredObject(key, size, '"e"', 0.0)


def shape(bundles: list[Bundle]) -> dict[str, tuple[bool, list[str]]]:
    return {bundle.key: (bundle.file is not None, sorted(bundle.companions)) for bundle in bundles}


def bundled(*keys: str) -> dict[str, tuple[bool, list[str]]]:
    bundler = Bundler()
    found = [bundle for key in sorted(keys) for bundle in bundler.add(item(key))]
    return shape([*found, *bundler.rest()])


def test_companions_are_put_to_their_files_and_without_one_by_themselves() -> None:
    other = "acme-web/acme_web-1.0.tar.gz"
    keys = [WHEEL, f"{WHEEL}.metadata", f"{WHEEL}.yanked", f"{other}.provenance", f"{other}.sha256"]
    assert bundled(*keys, "acme-web/index.html", "acme-web/notes.sig", "acme-web/.hidden-1.0.zip") == {
        WHEEL: (True, [".metadata", ".yanked"]),
        other: (False, [".provenance", ".sha256"]),
    }


def test_what_comes_between_a_file_and_its_companions_does_not_part_them() -> None:
    """A folder that is called like a file, and keys that begin like it."""
    inner = f"{WHEEL}-x/acme_web-2.0.tar.gz"
    assert bundled(WHEEL, f"{WHEEL}-x.txt", inner, f"{WHEEL}.metadata", f"{inner}.sha256") == {
        WHEEL: (True, [".metadata"]),
        inner: (True, [".sha256"]),
    }


def test_little_is_remembered_of_a_long_listing() -> None:
    bundler = Bundler()
    for number in range(1000):
        assert len([*bundler.add(item(f"a/a-{number:04}.tar.gz"))]) == (number > 0)
    assert len([*bundler.rest()]) == 1


def settings(tmp_path: Path, **changes: str) -> Settings:
    said = {"storage.dir": str(tmp_path)} | {name.replace("__", "."): value for name, value in changes.items()}
    return load(said, environ={}, cwd=tmp_path)


def fill(tmp_path: Path, *keys: str) -> None:
    for key in keys:
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(b"x")


async def listed(tmp_path: Path, *projects: str, **changes: str) -> tuple[list[str], list[str]]:
    root = "pypi/" if "rewrite__add_prefix" in changes else ""
    inventory = Inventory(LocalStorage(tmp_path), root, settings(tmp_path, **changes))
    keys = [bundle.key async for bundle in inventory.bundles(frozenset(projects))]
    return sorted(keys), [page.key for page in inventory.pages]


async def test_of_a_project_all_its_folders_are_listed_and_no_other(tmp_path: Path) -> None:
    keys = ["Acme_Web/acme_web-1.0.tar.gz", "acme-web/acme_web-2.0.tar.gz", "other/other-1.0.tar.gz"]
    fill(tmp_path, *keys, "acme-web/index.html", "other/index.html", ".gateway/deleted/a-1.0.tar.gz", "index.html")
    assert await listed(tmp_path) == (keys, ["acme-web/index.html", "other/index.html"])
    assert await listed(tmp_path, "acme-web") == (keys[:2], ["acme-web/index.html"])
    with pytest.raises(NotFoundError, match="no file of none"):
        await listed(tmp_path, "acme-web", "none")


async def test_in_a_flat_layout_names_tell_the_projects(tmp_path: Path) -> None:
    fill(tmp_path, "acme_web-1.0.tar.gz", "deep/acme_web-2.0.tar.gz", "other-1.0.tar.gz")
    expected = ["acme_web-1.0.tar.gz", "deep/acme_web-2.0.tar.gz"]
    for layout in ("auto", "flat"):
        assert (await listed(tmp_path, "acme-web", index__layout=layout))[0] == expected


async def test_keys_are_relative_to_the_root(tmp_path: Path) -> None:
    fill(tmp_path, f"pypi/{WHEEL}", "else/else-1.0.tar.gz", "pypi/acme-web/index.html")
    changes = {"rewrite__add_prefix": "/pypi"}
    assert await listed(tmp_path, **changes) == ([WHEEL], ["acme-web/index.html"])


class Hashed:
    """The storage of pypicloud's layout, which lists in the order of hashes."""

    async def list(self, prefix: str) -> AsyncIterator[StoredObject]:
        for key in (f"{WHEEL}.metadata", "b/b-1.0.tar.gz", WHEEL):
            yield item(key)

    async def children(self, prefix: str) -> Children:
        raise AssertionError("there are no folders to list")


async def test_behind_hashes_it_is_all_the_same(tmp_path: Path) -> None:
    said = settings(tmp_path, storage__prepend_hash="true", storage__bucket="bucket")
    inventory = Inventory(Hashed(), "", said)  # type: ignore[arg-type]
    found = [bundle async for bundle in inventory.bundles(frozenset(["acme-web"]))]
    assert shape(found) == {WHEEL: (True, [".metadata"])}


async def test_whether_a_name_is_taken_is_asked_without_a_listing(tmp_path: Path) -> None:
    """Of each leftover: a folder with many would be listed as often."""

    class Unlisted(LocalStorage):
        async def children(self, prefix: str = "", *, limit: int | None = None, after: str = "") -> Children:
            raise AssertionError(f"{prefix} is listed")

    (tmp_path / "web-1.0.tar.gz").symlink_to("away")
    inventory = Inventory(Unlisted(tmp_path), "", load({"storage.dir": str(tmp_path)}, environ={}, cwd=tmp_path))
    assert await inventory.is_taken("web-1.0.tar.gz")
    assert not await inventory.is_taken("web-2.0.tar.gz")
