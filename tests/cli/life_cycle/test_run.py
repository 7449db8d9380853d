"""`gateway yank`, `unyank` and `delete`, in a directory."""

from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.wheels import sdist, wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

FILE, CONTENT = wheel("acme_web", "1.0")
SDIST, SOURCE = sdist("acme_web", "1.0")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "packages" / "acme-web"
    folder.mkdir(parents=True)
    (folder / FILE).write_bytes(CONTENT)
    (folder / SDIST).write_bytes(SOURCE)
    return folder


def run(*arguments: str) -> int:
    return main([*arguments, "--dir", "packages"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_yank_and_unyank(folder: Path, capsys: Captured) -> None:
    assert run("yank", "Acme.Web", "1.0.0", "--reason", "breaks") == 0
    assert (folder / f"{FILE}.yanked").read_text() == "breaks"
    assert names(folder) == [FILE, f"{FILE}.yanked", SDIST, f"{SDIST}.yanked"]
    assert f"acme-web/{FILE} is yanked\n" in capsys.readouterr().out
    assert run("unyank", "acme-web", "1.0", "--file", FILE) == 0
    assert names(folder) == [FILE, SDIST, f"{SDIST}.yanked"]


def test_a_reason_that_is_no_text_is_kept_as_far_as_it_is(folder: Path) -> None:
    assert run("yank", "acme-web", "1.0", "--file", FILE, "--reason", "f\udcfcr") == 0  # in Latin-1
    assert (folder / f"{FILE}.yanked").read_text() == "f?r"


def test_gateways_are_told(folder: Path, capsys: Captured) -> None:
    assert run("yank", "acme-web", "1.0") == 0
    assert "POST /-/refresh?project=acme-web" in capsys.readouterr().out
    assert run("yank", "acme-web", "1.0", "--set", "publish.beacon=true") == 0
    assert "Gateways see it now" in capsys.readouterr().out
    assert b'"acme-web"' in (folder.parent / ".gateway" / "epoch").read_bytes()


def test_gateways_are_told_of_a_change_that_was_made_in_part(folder: Path, capsys: Captured) -> None:
    (folder / f"{SDIST}.yanked").mkdir()
    assert run("yank", "acme-web", "1.0", "--set", "publish.beacon=true") == 1
    said = capsys.readouterr()
    assert f"{FILE} is yanked\nGateways see it now\n" in said.out
    assert "can't be written" in said.err
    assert b'"acme-web"' in (folder.parent / ".gateway" / "epoch").read_bytes()


def test_delete_asks_first(folder: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("delete", "acme-web", "1.0") == 1
    assert "Give --yes to delete them." in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, code in (("n\n", 1), ("\n", 1), ("y\n", 0)):
        assert names(folder) == [FILE, SDIST]
        monkeypatch.setattr("sys.stdin.readline", lambda answer=answer: answer, raising=False)
        assert run("delete", "acme-web", "1.0") == code
    assert names(folder) == []
    tombstones = folder.parent / ".gateway" / "deleted"
    assert names(tombstones) == [f"{FILE}.json", f"{SDIST}.json"]


def test_delete_one_file_and_forget_it(folder: Path) -> None:
    assert run("delete", "acme-web", "1.0", "--file", FILE, "--forget", "--yes") == 0
    assert names(folder) == [SDIST]
    assert not (folder.parent / ".gateway" / "deleted" / f"{FILE}.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("acme-web", "2.0"), "there is no file of acme-web 2.0"),
        (("acme-web", "1.0", "--file", "x.whl"), "acme-web 1.0 has no file x.whl"),
        (("acme-web", "1.0", "--set", "index.mode=static"), "needs index.mode auto or generated"),
    ],
)
def test_what_is_not_there_is_said(folder: Path, capsys: Captured, arguments: tuple[str, ...], words: str) -> None:
    assert run("yank", *arguments) == 1
    assert capsys.readouterr().err == f"gateway yank: {words}\n"


def test_a_version_that_is_none(folder: Path, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        run("yank", "acme-web", "one")
    assert caught.value.code == 2
    assert "'one' is not a version (PEP 440)" in capsys.readouterr().err


def test_a_terminal_obeys_no_name_of_a_file(folder: Path, capsys: Captured) -> None:
    hostile = "acme_web-1.0-1\x1b[2Jx-py3-none-any.whl"
    (folder / hostile).write_bytes(CONTENT)
    assert run("delete", "acme-web", "1.0") == 1
    (folder / f"{hostile}.yanked").mkdir()
    assert run("yank", "acme-web", "1.0", "--file", hostile) == 1
    said = capsys.readouterr().err
    assert said.count("acme-web/acme_web-1.0-1\\x1b[2Jx-py3") == 2
    assert "\x1b" not in said
