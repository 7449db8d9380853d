"""`gateway policy`, over a directory and an index on loopback."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.cli.main import main
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

pytestmark = pytest.mark.usefixtures("logging_stays")
NEW, NEW_CONTENT = wheel("public_lib", "2.0")
OLD, OLD_CONTENT = wheel("public_lib", "1.0")
Captured = pytest.CaptureFixture[str]


class Commands:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.rules: list[str] = ["--set", "policy.min_age=7d"]
        self._settings = ["--dir", str(folder), "--set", f"fallback.base_url={url}", "--set", "fallback.mode=mirror"]

    async def __call__(self, *arguments: str) -> int:
        line = ["policy", arguments[0], *self._settings, *self.rules, *arguments[1:]]
        return await asyncio.to_thread(main, line)


@pytest.fixture
async def commands(tmp_path: Path) -> AsyncIterator[Commands]:
    index = PublicIndex()
    index.projects = {"public-lib": {NEW: NEW_CONTENT, OLD: OLD_CONTENT}}
    index.fields = {NEW: {"upload-time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))}}
    folder = tmp_path / "packages"
    (folder / "ours").mkdir(parents=True)
    (folder / "ours" / "ours-1.0.tar.gz").write_bytes(b"x")
    async with index.running():
        yield Commands(folder, index.url)


async def test_an_exception_is_made_listed_and_taken_back(commands: Commands, capsys: Captured) -> None:
    stored = commands.folder / ".gateway" / "policy.json"
    assert (
        await commands("allow", "Public.Lib==2.0", "--until", "2100-01-01", "--reason", "SEC-12", "--author", "ann")
        == 0
    )
    said = "public-lib==2.0 is let in until 2100-01-01 00:00 UTC, by ann: SEC-12"
    assert capsys.readouterr() == (f"{said}. Gateways heed it within some 5 seconds\n", "")
    found = json.loads(stored.read_bytes())["exceptions"][0]
    assert time.time() - found.pop("made") < 60
    assert found == {
        "project": "public-lib",
        "versions": "==2.0",
        "until": 4102444800.0,
        "reason": "SEC-12",
        "author": "ann",
    }
    assert await commands("list") == 0
    assert capsys.readouterr().out == f"{said}\n"
    assert await commands("revoke", "public-lib") == 1
    assert "there is no exception for public-lib in the storage" in capsys.readouterr().err
    assert await commands("revoke", "public-lib==2") == 1, "it is about 2.0, as it was written"
    assert await commands("revoke", "public-lib==2.0") == 0
    assert json.loads(stored.read_bytes())["exceptions"] == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--until", "2020-01-01", "--reason", "r"], "is over"),
        (["--until", "soon", "--reason", "r"], "must be a date"),
        (["--until", "14d", "--reason", " "], "must be a line of text"),
        (["--until", "14d"], "--reason"),
        (["--reason", "r"], "--until"),
    ],
)
async def test_an_exception_needs_a_reason_and_an_end(
    commands: Commands, capsys: Captured, arguments: list[str], why: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        await commands("allow", "public-lib", *arguments)
    assert ended.value.code == 2
    assert why in capsys.readouterr().err
    assert not (commands.folder / ".gateway").exists()


async def test_exceptions_of_the_settings_are_listed(commands: Commands, capsys: Captured) -> None:
    commands.rules += ["--set", "policy.exceptions=[{project: x, until: 2100-01-01, reason: r, author: bob}]"]
    assert await commands("list") == 0
    assert capsys.readouterr().out == "x is let in until 2100-01-01 00:00 UTC, by bob: r (in the settings)\n"


async def test_explain(commands: Commands, capsys: Captured) -> None:
    assert await commands("explain", "Public_Lib") == 0
    new, old = capsys.readouterr().out.splitlines()
    assert new.startswith(f"hold  {NEW}, uploaded ")
    assert ", held until " in new
    assert new.endswith(": it has not been out for 7 days yet (policy.min_age)")
    assert old == f"allow {OLD}, uploaded 2024-01-02 03:05 UTC"
    await commands("allow", "public-lib==2.0", "--until", "2d", "--reason", "SEC-12", "--author", "ann")
    capsys.readouterr()
    for release in (["public-lib", "2.0"], ["public-lib==2"]):
        assert await commands("explain", *release) == 0
        [said] = capsys.readouterr().out.splitlines()
        assert said.endswith(": SEC-12 (the exception for public-lib==2.0 by ann)")
    assert await commands("explain", "public-lib", "3") == 0
    assert capsys.readouterr().out.endswith(" has no public-lib 3\n")
    assert await commands("explain", "ours") == 0
    assert "it is yours" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "code", "said"),
    [
        ("requirements.txt", "public-lib==1.0\nours==7\n", 0, ["2 releases: all may come in"]),
        ("requirements.txt", "public-lib>=1\n", 0, ["1 release: all may come in"]),
        (
            "requirements.txt",
            "public-lib==2.0\n",
            1,
            ["public-lib==2.0 is held until", "1 release: 1 may not come in"],
        ),
        ("requirements.txt", "public-lib==3\nnobody\n", 1, ["not in the other index"] * 2 + ["2 may not come in"]),
        (
            "uv.lock",
            f'[[package]]\nname="public-lib"\nversion="2.0"\nwheels=[{{url="https://x/{NEW}"}}]\n',
            1,
            [f"{NEW} is held until", "1 may not come in"],
        ),
        (
            "poetry.lock",
            '[[package]]\nname="public-lib"\nversion="1.0"\nfiles=[{file="public_lib-1.0.tar.gz"}]\n',
            1,
            ["public_lib-1.0.tar.gz is not in the other index", "1 may not come in"],
        ),
    ],
)
async def test_check(
    commands: Commands, capsys: Captured, tmp_path: Path, name: str, content: str, code: int, said: list[str]
) -> None:
    (tmp_path / name).write_text(content)
    assert await commands("check", str(tmp_path / name)) == code
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(said)
    for line, part in zip(lines, said, strict=True):
        assert part in line


async def test_what_can_t_be_checked(commands: Commands, capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("x = 1")
    assert await commands("check", str(tmp_path / "uv.lock")) == 2
    assert await commands("check", str(tmp_path / "none.lock")) == 2
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "requirements.txt").write_text("x")
    commands.rules = []
    assert await commands("check", str(tmp_path / "requirements.txt")) == 1
    assert "no policy for another index" in capsys.readouterr().err


async def test_a_user_without_a_name(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exceptions with a name that is no line can be read by nobody."""
    monkeypatch.setenv("LOGNAME", "a\nb")
    assert await commands("allow", "public-lib==2.0", "--until", "2100-01-01", "--reason", "SEC-12") == 0
    stored = json.loads((commands.folder / ".gateway" / "policy.json").read_bytes())
    assert stored["exceptions"][0]["author"].startswith("uid ")


@pytest.mark.parametrize("mode", ["mirror", "none"])
async def test_own_files_that_are_not_trusted_are_judged(
    commands: Commands, capsys: Captured, tmp_path: Path, mode: str
) -> None:
    old = commands.folder / "ours" / "ours-0.9.tar.gz"
    old.write_bytes(b"x")
    os.utime(old, (1_600_000_000, 1_600_000_000))
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("ours==1.0\n")
    commands.rules += ["--set", f"fallback.mode={mode}", "--set", "index.mode=generated"]
    if mode == "mirror":
        assert await commands("explain", "ours") == 0
        assert "ours is not looked up in" in capsys.readouterr().out
        assert await commands("check", str(requirements)) == 0
    capsys.readouterr()
    commands.rules += ["--set", "policy.untrusted=true"]
    assert await commands("explain", "ours") == 0
    lines = sorted(capsys.readouterr().out.splitlines())
    assert [line.split(",")[0] for line in lines] == ["allow ours-0.9.tar.gz", "hold  ours-1.0.tar.gz"]
    assert "it has not been out for 7 days yet (policy.min_age)" in lines[1]
    assert await commands("check", str(requirements)) == 1
    assert "ours==1.0 is held until" in capsys.readouterr().out
    requirements.write_text("ours<1\n")
    assert await commands("check", str(requirements)) == 0
    requirements.write_text("ours>1\n")
    assert await commands("check", str(requirements)) == 1


async def test_own_files_are_judged_beside_those_of_the_other_index(commands: Commands, capsys: Captured) -> None:
    own = commands.folder / "public-lib"
    own.mkdir()
    (own / "public_lib-3.0.tar.gz").write_bytes(b"x")
    commands.rules += [
        "--set",
        "policy.untrusted=true",
        "--set",
        "index.mode=generated",
        "--set",
        "fallback.always_show_upstream=true",
    ]
    assert await commands("explain", "public-lib") == 0
    found = [line.split(",")[0] for line in capsys.readouterr().out.splitlines()]
    assert sorted(found) == [f"allow {OLD}", f"hold  {NEW}", "hold  public_lib-3.0.tar.gz"]
