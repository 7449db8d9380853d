"""What a directory tree shows of itself. That nothing leads out of it is in test_file.py and test_treewriter.py."""

import errno
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFoundError, UpstreamError
from gateway.http.target import RESERVED
from gateway.storage.local.tree import TEMPORARY, Tree, is_name


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
    files, folders, blank, *_ = tree.children([])
    assert ([name for name, _ in files], folders, blank) == (["b.d", "ключ"], ["b-c", "b", "out"], False)
    files, folders, blank, *_ = tree.children(["b"])
    assert ([(name, info.st_size) for name, info in files], folders, blank) == ([("x", 3)], ["deep"], False)


def test_a_directory_is_blank_if_not_even_a_hidden_file_is_in_it(tree: Tree) -> None:
    (tree.root / "new").mkdir()
    assert tree.children(["new"]) == ([], [], True, False, False)
    assert tree.children(["nope"]) == ([], [], True, False, True)
    (tree.root / "new" / TEMPORARY).touch()
    for reserved in RESERVED:  # what the gateway has put there itself, when the volume had just gone
        (tree.root / "new" / reserved).mkdir()
    assert tree.children(["new"]) == ([], [*sorted(RESERVED)], True, False, False)
    (tree.root / "new" / ".keep").touch()
    assert tree.children(["new"]) == ([], [*sorted(RESERVED)], False, False, False)


@pytest.fixture
def linked(tree: Tree) -> Tree:
    """Links that stay inside, to a file, to directories, among them hidden ones and their own; and links that don't."""
    (tree.root / ".versions" / "1" / "sub").mkdir(parents=True)
    (tree.root / ".versions" / "1" / "w").write_bytes(b"w")
    (tree.root / ".versions" / "1" / "sub" / "up").symlink_to("..")
    (tree.root / ".versions" / "1" / "sub" / "next").symlink_to("../../2")
    (tree.root / ".versions" / "2").mkdir()
    (tree.root / ".versions" / "2" / "v").write_bytes(b"v")
    for name, target in [
        ("alias", "b"),
        ("current", ".versions/1"),
        ("b/self", "."),
        ("copy", "b.d"),
        ("gone", "nowhere"),
        ("loop", "loop"),
        ("outside-file", "../secret"),
        (".hidden-link", "b.d"),
    ]:
        (tree.root / name).symlink_to(target)
    return tree


def test_links_that_stay_inside_are_listed(linked: Tree) -> None:
    files, folders, *_ = linked.children([])
    inner, taken = ["alias", "b-c", "b", "current"], ["gone", "loop", "out", "outside-file"]
    assert ([name for name, _ in files], folders) == (["b.d", "copy", "ключ"], inner + taken)
    assert dict(files)["copy"].st_size == 3
    assert linked.children(["alias"])[1] == ["deep", "self"]


def test_what_is_listed_can_be_opened_and_every_walk_ends(linked: Tree) -> None:
    found = [path for path, _ in linked.walk()]
    assert found == sorted(found, key=lambda path: path.encode())
    for path in found:
        os.close(linked.open(path.split("/")))
    names = {"alias/x", "alias/deep/z", "b/x", "b/deep/z", "b/self/x", "current/w", "current/sub/next/v", "copy"}
    assert names | {"b.d", "b-c/y", "ключ"} <= set(found)
    assert not [path for path in found if "out" in path or "hidden" in path or ".versions" in path]
    below = ["current/sub/next/v", "current/sub/up/sub/next/v", "current/sub/up/w", "current/w"]
    assert [path for path, _ in linked.walk("current/")] == below
    assert [path for path, _ in linked.walk("out/")] == [], "a prefix leads out no more than a name does"


def test_a_chain_of_links_ends_where_the_system_says(tree: Tree) -> None:
    (tree.root / "b" / "0").symlink_to("x")
    for number in range(1, 1200):
        (tree.root / "b" / str(number)).symlink_to(str(number - 1))
    os.close(tree.open(["b", "39"]))
    for number in (40, 1199):
        with pytest.raises(NotFoundError):
            tree.open(["b", str(number)])
    files, folders, *_ = tree.children(["b"])
    assert len(files) == 41
    assert len(folders) == 1161
    assert len([*tree.walk()]) == 5 + 40


def test_a_path_that_is_too_long_is_not_looked_at(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", pytest.fail)
        with pytest.raises(NotFoundError):
            tree.open(["d"] * 3000)


def test_a_tree_may_be_deeper_than_calls_may_be_nested(deep: Tree) -> None:
    walking = deep.walk()
    before = len(os.listdir("/proc/self/fd"))
    first = [next(walking)[0] for _ in range(DEPTH)]
    assert first[:2] == ["d-file", "d/d-file"], "which come before what is in `d`"
    assert len(os.listdir("/proc/self/fd")) <= before + 1, "a process may not have that many files open either"
    rest = [path for path, _ in walking]
    assert (len(rest), rest[-1]) == (DEPTH, "e")
    assert len(os.listdir("/proc/self/fd")) == before


DEPTH = 300


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Tree]:
    limit = sys.getrecursionlimit()
    (tmp_path / "root").mkdir()
    levels = [tmp_path / "root"]
    for _ in range(DEPTH):
        for name in ("d-file", "e"):
            (levels[-1] / name).touch()
        levels.append(levels[-1] / "d")
        levels[-1].mkdir()
    sys.setrecursionlimit(len(inspect.stack()) + DEPTH)
    yield Tree(levels[0])
    sys.setrecursionlimit(limit)


def test_links_are_resolved_only_where_there_are_some(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", pytest.fail)
        os.close(tree.open(["b", "x"]))
        for names in (["nowhere", "x"], ["b", "nowhere"]):
            with pytest.raises(NotFoundError):
                tree.open(names)


@pytest.mark.parametrize("reserved", sorted(RESERVED))
def test_no_link_leads_clients_to_what_the_gateway_keeps_for_itself(linked: Tree, reserved: str) -> None:
    (linked.root / ".versions" / "1" / reserved / "in").mkdir(parents=True)
    (linked.root / reserved / "in").mkdir(parents=True)
    (linked.root / reserved / "in" / "kept").write_bytes(b"kept")
    (linked.root / reserved / "alias").symlink_to("in")
    (linked.root / "folder-link").symlink_to(reserved)
    (linked.root / "inner-link").symlink_to(f"{reserved}/in")
    (linked.root / "b" / "file-link").symlink_to(f"../{reserved}/in/kept")
    (linked.root / "b" / "deep-link").symlink_to(f"../.versions/1/{reserved}")
    os.close(linked.open(["current", "w"]))
    for names in (["folder-link", "in", "kept"], ["inner-link", "kept"], ["b", "file-link"], ["b", "deep-link", "in"]):
        with pytest.raises(NotFoundError):
            linked.open(names)
    found = [path for path, _ in linked.walk()]
    assert not [path for path in found if "kept" in path and not path.startswith(f"{reserved}/")]
    assert not [path for path in found if "-link" in path]
    for names in ([reserved, "in", "kept"], [reserved, "alias", "kept"]):
        os.close(linked.open(names))  # the gateway itself


REFUSED = PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("name", ["b", "x"])
def test_what_may_not_be_looked_at_is_not_listed_but_said(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """As for a user who may not read a directory, or list one only; root may do all."""
    refuse(monkeypatch, name, REFUSED)
    files, folders, *_ = tree.children(["b"])
    assert ([name for name, _ in files], folders) == ([], [] if name == "b" else ["deep"])
    missed: list[str] = []
    walked = [path for path, _ in tree.walk(missed=missed)]
    assert walked == ["b-c/y", "b.d", *(["b/deep/z"] if name == "x" else []), "ключ"]
    assert missed == ["b" if name == "b" else "b/x", "out"]


def test_what_has_gone_meanwhile_is_not_missed(tree: Tree) -> None:
    missed: list[str] = []
    walking = tree.walk("b", missed)
    assert next(walking)[0] == "b-c/y"
    (tree.root / "b" / "x").unlink()
    (tree.root / "b" / "deep" / "z").unlink()
    (tree.root / "b" / "deep").rmdir()
    (tree.root / "b").rmdir()
    assert ([path for path, _ in walking], missed) == (["b.d"], [])
    for prefix in ("nowhere/", "b.d/of-a-file/"):
        assert ([*tree.walk(prefix, missed)], missed) == ([], [])


def test_a_fault_of_the_disk_is_no_absence(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, "x", OSError(errno.EIO, "Input/output error"))
    for act in (lambda: tree.children(["b"]), lambda: [*tree.walk()]):
        with pytest.raises(UpstreamError, match="Input/output error"):
            act()


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    def refused(call: Callable[..., Any]) -> Callable[..., Any]:
        def fail(path: Any, *arguments: Any, **options: Any) -> Any:
            if path == name:
                raise error
            return call(path, *arguments, **options)

        return fail

    monkeypatch.setattr(os, "open", refused(os.open))
    monkeypatch.setattr(os, "stat", refused(os.stat))


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


@pytest.mark.parametrize("name", ["", ".", "..", "a\0b", TEMPORARY, ".env", ".git", "..hidden", ".gateway-", ".Mirror"])
def test_names_that_no_key_has(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize("name", ["a", "a.", "a.b", "~", ".gateway", ".mirror"])
def test_names_that_keys_have(name: str) -> None:
    """The gateway's own too: that clients don't ask for them is seen to where paths become keys."""
    assert is_name(name)
