"""What a directory tree shows of itself. That nothing leads out of it is in test_file.py and test_treewriter.py."""

import os
from pathlib import Path

import pytest

from gateway.errors import NotFoundError, UpstreamError
from gateway.storage.tree import TEMPORARY, Tree, is_name


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("b/x", "b-c/y", "b.d", "ключ", f"{TEMPORARY}1", "b/deep/z"):
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "secret").write_bytes(b"outside")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    return Tree(tmp_path / "root")


def test_files_come_in_the_order_of_s3(tree: Tree) -> None:
    found = [path for path, _ in tree.walk()]
    assert found == sorted(found, key=lambda path: path.encode()) == ["b-c/y", "b.d", "b/deep/z", "b/x", "ключ"]
    assert [path for path, _ in tree.walk("b/")] == ["b/deep/z", "b/x"]
    assert [path for path, _ in tree.walk("b")] == ["b-c/y", "b.d", "b/deep/z", "b/x"]


def test_the_children_of_a_directory(tree: Tree) -> None:
    files, folders = tree.children([])
    assert ([name for name, _ in files], folders) == (["b.d", "ключ"], ["b", "b-c"])
    files, folders = tree.children(["b"])
    assert ([(name, info.st_size) for name, info in files], folders) == ([("x", 3)], ["deep"])
    assert tree.children(["nope"]) == ([], [])


def test_a_root_that_is_not_there_is_said(tmp_path: Path) -> None:
    for act in (lambda: Tree(tmp_path / "nope").children([]), lambda: list(Tree(tmp_path / "nope").walk())):
        with pytest.raises(UpstreamError, match=r"create it, or set storage\.dir"):
            act()


def test_descriptors_are_the_callers_to_close(tree: Tree) -> None:
    descriptor = tree.open(["b", "x"])
    assert os.read(descriptor, 10) == b"b/x"
    os.close(descriptor)
    for names in (["out", "secret"], ["b", "..", "b.d"], [""], [f"{TEMPORARY}1"]):
        with pytest.raises(NotFoundError):
            tree.open(names)


@pytest.mark.parametrize("name", ["", ".", "..", "a\0b", TEMPORARY])
def test_names_that_no_key_has(name: str) -> None:
    assert not is_name(name)
    assert is_name("..hidden")
