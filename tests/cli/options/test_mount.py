"""Which mount a command is for: by its option, by a path, or none."""

import pytest

from gateway.cli.options.mount import chosen, led_to, named, with_access_of
from gateway.config.load import load_text
from gateway.config.settings import Settings
from gateway.errors import ConfigError

MOUNTS = """
server: {base_path: /x}
access: {authenticators: ['package:Class']}
mounts:
- {name: team-b, path: /team-b, storage: {bucket: b-b}}
- {name: inner, path: /team-b/inner, storage: {bucket: i-i}, access: {admins: [bob]}}
- {name: elsewhere, host: b.example.org, path: /c, storage: {bucket: c-c}}
- {name: all, path: /all, members: [team-b]}
"""
PLACE = "storage: {bucket: my-pypi}"
NAMES = "team-b, inner, elsewhere, all"


def settings(top: str = PLACE) -> Settings:
    return load_text(top + MOUNTS, "c.yaml")


def refused(choose: object, top: Settings, *arguments: object) -> str:
    assert callable(choose)
    with pytest.raises(ConfigError) as caught:
        choose(top, *arguments)
    [problem] = caught.value.problems
    return str(problem)


def test_the_top_level_is_meant_unless_another_is_named() -> None:
    top = settings()
    assert chosen(top, None) is named(top, "default") is top
    assert chosen(top, "team-b").storage.bucket == "b-b"
    plain = load_text("", "c.yaml")
    assert chosen(plain, None) is chosen(plain, "default") is plain


def test_a_top_level_that_is_no_mount_is_not_meant() -> None:
    top = settings("")
    said = refused(chosen, top, None)
    assert said.startswith("--mount (command line): which of them is meant? The top level is none")
    assert said.endswith(f"Mounts: {NAMES}")
    assert refused(chosen, top, "default").endswith(f"there is no mount 'default'. Mounts: {NAMES}")
    assert refused(chosen, settings(), "x").endswith(f"there is no mount 'x'. Mounts: default, {NAMES}")


def test_a_virtual_index_has_no_storage() -> None:
    assert named(settings(), "all").mount.members == ["team-b"]
    said = refused(chosen, settings(), "all")
    assert said.endswith("all is a virtual index and has no storage: name one of its members: team-b")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/x/team-b/a", "team-b"),
        ("x/team-b/a", "team-b"),
        ("/x/team%2Db/a", "team-b"),
        ("/x/team-b", "team-b"),
        ("/x/team-b/inner/a", "inner"),
        ("/x/team-bb/a", "default"),
        ("/x/c/a", "default"),
        ("/x/all/a", "all"),
        ("/team-b/a", "default"),
        ("/x/%", "default"),
    ],
)
def test_a_path_leads_to_the_mount_with_the_longest_path(path: str, name: str) -> None:
    assert led_to(settings(), None, path).mount.name == name
    assert led_to(settings(), "inner", path).mount.name == "inner"


def test_a_path_that_leads_nowhere_needs_a_name() -> None:
    assert led_to(settings(""), None, "/x/team-b/a").mount.name == "team-b"
    assert "which of them is meant?" in refused(led_to, settings(""), None, "/x/a")
    plain = load_text("server: {base_path: /x}", "c.yaml")
    assert led_to(plain, None, "/a") is plain


@pytest.mark.parametrize(("top", "mount", "owner"), [(PLACE, "elsewhere", "default"), ("", "elsewhere", "team-b")])
def test_access_control_that_several_share_is_that_of_the_first(top: str, mount: str, owner: str) -> None:
    found = settings(top)
    assert with_access_of(found, chosen(found, mount)).mount.name == owner
    assert with_access_of(found, chosen(found, "inner")).mount.name == "inner"


def test_access_control_of_its_own_is_not_shared_by_the_next() -> None:
    place = "storage: {bucket: b-b}"
    mounts = f"- {{name: own, path: /own, {place}, access: {{admins: [bob]}}}}\n- {{name: b, path: /b, {place}}}\n"
    virtual = "- {name: all, path: /all, members: [b]}\n"
    top = load_text(f"access: {{authenticators: ['package:Class']}}\nmounts:\n{virtual}{mounts}", "c.yaml")
    assert with_access_of(top, chosen(top, "b")).mount.name == "b"
