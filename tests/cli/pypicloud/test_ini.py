"""pypicloud's .ini file is read as PasteDeploy reads it."""

import warnings
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.cli.pypicloud.ini import read_ini
from gateway.cli.pypicloud.source import SourceError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from paste.deploy import appconfig

SECRET = "hunter2S3cr3t"
KEYS = ["user.Al", "user.al", "group.x", "pypi.default_read", "x y", "package.P.user.u", "a.b"]
GOOD = ["a", "", " a  b ", "a\n  b\n\tc", "a\n\n  b", "%(here)s/x", "%%40", "%(base)s", "a ; b", "a # b", "= x", "é"]
BAD = ["%(odd)s", "5%"]


def test_paste_reads_the_same_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("ini") / "server.ini"
    refused = [0, 0]

    @given(
        st.dictionaries(st.sampled_from(KEYS), st.sampled_from(GOOD + BAD), max_size=4),
        st.sampled_from(["= ", ": ", " = "]),
    )
    @example({"user.al": "%(base)s", "pypi.default_read": "%(here)s"}, " = ")
    def same(values: dict[str, str], equals: str) -> None:
        lines = [f"{key}{equals}{value}" for key, value in {**values, "pypi.db": "sql"}.items()]
        text = "\n".join(["[DEFAULT]", "base = B", "[app:main]", "paste.app_factory = builtins:dict", *lines, ""])
        file.write_text(text)
        try:
            theirs = appconfig(f"config:{file}").local_conf
        except Exception:  # whatever it raises for a bad %
            theirs = None
        try:
            settings = read_ini(text, file).settings
            ours = {key: settings.get(key) for key in settings.keys if key != "paste.app_factory"}
        except SourceError:
            ours = None
        assert ours == theirs
        refused[ours is None] += 1

    for key in KEYS:  # those that are found at random may be few
        for bad in BAD:
            same = example({key: bad}, "= ")(same)
    same()
    assert refused[0] > 5
    assert refused[1] > 5


def read(text: str) -> dict[str, str | None]:
    settings = read_ini(text, Path("/etc/server.ini")).settings
    return {key: settings.get(key) for key in settings.keys}


def test_what_defaults_have_is_for_expansion_only() -> None:
    text = "[DEFAULT]\npypi.auth = sql\nx = 1\n[app:main]\npypi.auth = ldap\npypi.realm = %(x)s\n"
    source = read_ini(text, Path("server.ini"))
    assert source.settings.get("pypi.auth") is None
    assert source.settings.get("pypi.realm") == "1"
    assert [about for about, _ in source.complaints] == ["pypi.auth"]


def test_the_directory_of_the_file_may_have_a_percent_sign() -> None:
    source = read_ini("[app:main]\npypi.realm = %(here)s\n", Path("/etc/100%/server.ini"))
    assert source.settings.get("pypi.realm") == "/etc/100%"


@pytest.mark.parametrize(
    "text",
    [
        "[app:main]\nuse = egg:pypicloud\npypi.realm = x\n[server:main]\nuse = egg:waitress\n",
        "[app:pypicloud]\nuse = egg:pypicloud\npypi.realm = x\n[composite:main]\nuse = egg:Paste#urlmap\n",
        "[app:other]\npypi.realm = y\n[app:main]\npypi.realm = x\n",
        "[pypicloud]\npypi.realm = x\n",
    ],
)
def test_the_section_is_found(text: str) -> None:
    assert read(text)["pypi.realm"] == "x"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no settings of pypicloud"),
        ("[app:main]\nuse = egg:pypicloud\n", "has no settings of pypicloud"),
        ("[app:a]\npypi.db = sql\n[app:b]\npypi.db = sql\n", "has settings of pypicloud in 2 sections"),
        (f"pypi.realm = {SECRET}\n", "is no .ini file: line 1 is in no section"),
        (f"[app:main]\npypi.realm = x\npypi.realm = {SECRET}\n", "line 3: pypi.realm is given twice"),
        (f"[app:main]\n{SECRET}@! = a\n{SECRET}@! = b\n", "line 3: … is given twice"),
        ("[app:main]\nuser.a = x\n[app:main]\nuser.b = y\n", "line 3: a section is there twice"),
        (f"[app:main]\nuser.a = x\n{SECRET}\n", "is no .ini file: line 3 is no KEY = VALUE"),
        (f"[app:main]\nuser.a = %({SECRET}!)s\n", "user.a: there is no … for %(…)s; put it into [DEFAULT]"),
        ("[app:main]\nuser.a = %(pw)s\n", "user.a: there is no pw for %(pw)s; put it into [DEFAULT]"),
        (f"[app:main]\nuser.a = {SECRET}%x\n", "user.a: has a % that starts no %(name)s; a plain one is written %%"),
        ("[DEFAULT]\na = %(b)s\nb = %(a)s\n[app:main]\nuser.a = %(a)s\n", "user.a: has a % that starts no"),
        ("[app:main]\nuse = config:base.ini\nuser.a = x\n", "use: the section inherits settings, which are not read"),
        ("[app:main]\nuse = other\nuser.a = x\n[app:other]\na = b\n", "use: the section inherits settings"),
        ("[app:main]\nget user.a = x\nuser.b = x\n", "has keys that start with set or get"),
    ],
)
def test_what_can_not_be_read(text: str, why: str) -> None:
    with pytest.raises(SourceError) as refused:
        read(text)
    assert str(refused.value).startswith(why)
    assert SECRET not in str(refused.value)


def test_entries_are_those_that_pypicloud_sees() -> None:
    source = read_ini(
        "[app:main]\npackage.a.user.b.c = rw\npackage.a.group.everyone = r\npackage.a.group.system.Everyone = w\n"
        "package.a.users.b = r\npackage.x.y.user.u = reader\npackage.b.user.c.user.d = r\n",
        Path("server.ini"),
    )
    found = {name: {str(who): sorted(rights) for who, rights in one.items()} for name, one in source.packages.items()}
    assert found == {
        "a": {"user:b.c": ["read", "write"], "everyone": ["write"]},
        "x.y": {"user:u": ["read"]},
        "b": {"user:c.user.d": ["read"]},
    }
    assert source.settings.unused() == ["package.a.users.b"]
