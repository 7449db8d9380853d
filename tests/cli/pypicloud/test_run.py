"""`gateway import pypicloud`: what goes where, and which files are refused."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.main import main
from gateway.config.load import load
from tests.cli.pypicloud.test_rights import HASH

Captured = pytest.CaptureFixture[str]
SECRET = "hunter2S3cr3t"
INI = f"""\
[app:main]
use = egg:pypicloud
pypi.storage = s3
storage.bucket = packages
storage.aws_access_key_id = AKID
storage.aws_secret_access_key = {SECRET}
pypi.fallback = none
pypi.db = sql
user.alice = {HASH}
group.data =
    alice
package.acme.group.data = rw
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "server.ini"


def test_the_output_is_a_configuration(file: Path, tmp_path: Path, capsys: Captured) -> None:
    file.write_text("\ufeff" + INI)
    assert main(["import", "pypicloud", str(file)]) == 0
    printed = capsys.readouterr()
    (tmp_path / "config.yaml").write_text(printed.out)
    settings = load(config_file=tmp_path / "config.yaml", environ={})
    assert settings.storage.aws_secret_access_key is not None
    assert settings.storage.aws_secret_access_key.get_secret_value() == SECRET
    assert settings.access is not None
    assert settings.access.users["alice"].get_secret_value() == HASH
    assert printed.out.splitlines()[:6] == [
        "# Made by gateway import pypicloud, which told on standard error what means something else here.",
        "access:",
        "  users:",
        f'    alice: "{HASH}"',
        "  groups:",
        "    data: [alice]",
    ]
    assert (
        '  - {projects: [acme], read: ["group:data"], write: ["group:data"], delete: ["group:data"], only: true}'
        in (printed.out.splitlines())
    )
    told = printed.err.splitlines()
    assert told[0] == "gateway import pypicloud: what is different, or is left to do:"
    assert "  ignored: pypi.db: there is no cache to set up: the gateway reads the bucket's listing" in told
    assert SECRET not in printed.err
    assert file.read_text() == "\ufeff" + INI
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.yaml", "server.ini"]


def test_a_terminal_sees_no_secret(file: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file.write_text(INI)
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    assert main(["import", "pypicloud", str(file)]) == 0
    assert '  aws_secret_access_key: "(hidden)"' in terminal.getvalue().splitlines()
    told = "  secrets: are hidden on a terminal; to have them, write the output to a file that only you may read"
    assert told in capsys.readouterr().err.splitlines()
    file.write_text(INI.replace("storage.aws_", "#"))
    assert main(["import", "pypicloud", str(file)]) == 0
    assert "secrets: " not in capsys.readouterr().err


def test_an_export_is_read_too(file: Path, capsys: Captured) -> None:
    user = {"username": "alice", "password": HASH, "admin": True}
    rights = {"users": {}, "groups": {"acme": {"data": ["read"]}}}
    file.write_text("\n " + json.dumps({"users": [user], "groups": {"data": ["alice"]}, "packages": rights}))
    assert main(["import", "pypicloud", str(file)]) == 0
    printed = capsys.readouterr()
    assert "  admins: [alice]" in printed.out.splitlines()
    assert '  - {projects: [acme], read: ["group:data"], only: true}' in printed.out.splitlines()
    assert "storage:" not in printed.out
    assert "  packages: ppc-export may leave out what everyone and authenticated were granted" in printed.err


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "has no settings of pypicloud"),
        (b"\xff\xfe[\0a\0", "is not UTF-8 text"),
        (b"[app:main]\nuser.a = \xe9\n", "is not UTF-8 text"),
        (b"[app:main]\nuser.a = \0\n", "is no text: it has a NUL"),
        (b"#" * 10_000_000, "has over 2,000,000 bytes"),
        (b"{" * 1_000_000, "is no JSON"),
        (b"[" * 1_000_000, "is no .ini file"),
        (b"[app:main]\npypi.db = sql\n", "nobody could log in"),
        (b"[app:main]\npypi.default_write = " + b"a " * 1001, "pypi.default_write: has over 1,000 names"),
        (
            b"[app:main]\npypi.auth = sql\nauth.db.url = mysql://u:" + SECRET.encode() + b"@h\n",
            "access.sql url: must be",
        ),
    ],
)
def test_what_can_not_be_used_is_refused(data: bytes, why: str, file: Path, capsys: Captured) -> None:
    file.write_bytes(data)
    assert main(["import", "pypicloud", str(file)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"gateway import pypicloud: {file}: {why}")
    assert SECRET not in printed.err


def test_what_can_not_be_opened_is_refused(file: Path, tmp_path: Path, capsys: Captured) -> None:
    assert main(["import", "pypicloud", str(file)]) == 2
    assert capsys.readouterr().err == f"gateway import pypicloud: {file}: can't be read: No such file or directory\n"
    assert main(["import", "pypicloud", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"gateway import pypicloud: {tmp_path}: can't be read: Is a directory\n"


PIECES = [*INI.splitlines(keepends=True), *'[]{}%=:.#; \t\n"\\\0\u00e9\ufeff', "%(here)s", "%(x)s"]
PIECES += ["[app:b]\n", "[DEFAULT]\n"]
PIECES += ['"users"', '"packages"', "null", "pypi.auth = ldap\n", "auth.ldap.url = ldaps://h\n", "user.\x85 = x\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_no_file_breaks_it(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever becomes of it, nothing but a code is returned."""
    file, printed = tmp_path_factory.getbasetemp() / "odd.ini", io.StringIO()
    file.write_text(text, encoding="utf-8")
    with redirect_stdout(printed), redirect_stderr(io.StringIO()):
        code = main(["import", "pypicloud", str(file)])
    assert code in (0, 2)
    assert bool(printed.getvalue()) is (code == 0)


def test_many_rules_take_little_time(file: Path, capsys: Captured) -> None:
    lines = [f"package.project-{number}.user.user-{number} = r" for number in range(1000)]
    file.write_text("\n".join([INI, *lines]))
    assert main(["import", "pypicloud", str(file)]) == 0
    assert capsys.readouterr().out.count("- {projects:") == 1001
