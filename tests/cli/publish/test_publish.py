"""`gateway publish`, into a directory, and to a gateway."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cli.main import main
from tests.conftest import StartGateway
from tests.support.uploads import sdist, wheel

pytestmark = pytest.mark.usefixtures("logging_stays")

FILE, CONTENT = wheel("acme_web", "1.0")
SDIST, SOURCE = sdist("acme_web", "1.0")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "packages").mkdir()
    dist = tmp_path / "dist"
    dist.mkdir()
    (dist / FILE).write_bytes(CONTENT)
    (dist / SDIST).write_bytes(SOURCE)
    return dist


def run(*arguments: str) -> int:
    return main(["publish", *arguments, f"dist/{SDIST}", f"dist/{FILE}", "--dir", "packages"])


def there(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "packages" / "acme-web"
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_wheels_come_before_sdists_and_twice_is_no_error(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run() == 0
    assert there(tmp_path) == {FILE: CONTENT, SDIST: SOURCE}
    assert capsys.readouterr().out == f"{FILE}: published\n{SDIST}: published\n"
    assert run() == 0
    assert capsys.readouterr().out == f"{FILE}: there already\n{SDIST}: there already\n"


def test_gateways_are_told_of_what_is_new(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run("--set", "publish.beacon=true") == 0
    assert capsys.readouterr().err == "acme-web: Gateways see it now\n"
    beacon = tmp_path / "packages" / ".gateway" / "epoch"
    before = beacon.read_bytes()
    assert b'"acme-web"' in before
    assert run("--set", "publish.beacon=true") == 0
    assert (capsys.readouterr().err, beacon.read_bytes()) == ("", before)


def test_a_conflict_has_a_code_of_its_own(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run() == 0
    (dist / FILE).write_bytes(wheel("acme_web", "1.0", summary="another")[1])
    capsys.readouterr()
    assert run("--json") == 4
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["file"], line["outcome"]) for line in told] == [(FILE, "conflict"), (SDIST, "there already")]
    assert "File already exists" in told[0]["reason"]
    assert run("--skip-existing") == 0
    assert there(tmp_path) == {FILE: CONTENT, SDIST: SOURCE}


def test_nothing_is_sent_if_one_file_is_not_in_order(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    (dist / SDIST).write_bytes(SOURCE[:-20])
    assert run() == 1
    out = capsys.readouterr().out
    assert f"{SDIST}: refused: Invalid file: " in out
    assert f"{FILE}: not sent\n" in out
    assert there(tmp_path) == {}
    (dist / SDIST).unlink()
    assert run() == 1
    assert f"{SDIST}: refused: it can't be read: No such file" in capsys.readouterr().out


def test_a_dry_run_sends_nothing(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run("--dry-run") == 0
    assert capsys.readouterr().out == f"{FILE}: in order\n{SDIST}: in order\n"
    assert there(tmp_path) == {}


async def in_thread(work: Callable[[], int]) -> int:
    """The command has an event loop of its own."""
    return await asyncio.to_thread(work)


async def test_it_publishes_to_a_gateway(
    start_gateway: StartGateway, dist: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    settings = {
        "storage.dir": str(served),
        "publish.enabled": "true",
        "access.authenticators": "tests.support.people:People",
        "access.rules": '[{projects: "acme-*", write: [group:release]}]',
    }
    gateway: Gateway = await start_gateway(settings)
    monkeypatch.setenv("GATEWAY_PASSWORD", "pw-bob")
    to = "--to", f"{gateway.url}/legacy/"
    assert await in_thread(lambda: run(*to)) == 1
    assert f"{FILE}: failed: 401 Credentials are needed here" in capsys.readouterr().out
    assert await in_thread(lambda: run(*to, "--user", "bob")) == 0
    assert capsys.readouterr().out == f"{FILE}: published\n{SDIST}: published\n"
    assert {path.name for path in (served / "acme-web").iterdir()} == {FILE, SDIST}
    assert await in_thread(lambda: run(*to, "--user", "bob")) == 0
    assert f"{FILE}: there already\n" in capsys.readouterr().out
    (dist / FILE).write_bytes(wheel("acme_web", "1.0", summary="another")[1])
    assert await in_thread(lambda: run(*to, "--user", "bob")) == 4


async def test_a_gateway_that_is_away(dist: Path, capsys: Captured) -> None:
    assert await in_thread(lambda: run("--to", "http://127.0.0.1:1/")) == 1
    assert f"{FILE}: failed: ClientConnectorError" in capsys.readouterr().out


def test_a_closed_project_takes_no_file_straight_into_the_storage_either(
    dist: Path, tmp_path: Path, capsys: Captured
) -> None:
    """Though these settings have no gateway obey what is said of it."""
    document = tmp_path / "packages" / ".gateway" / "status.json"
    document.parent.mkdir()
    document.write_text('{"format": 1, "projects": {"acme-web": {"status": "archived", "reason": "use acme-site"}}}')
    assert run() == 1
    why = "failed: Project acme-web is archived: use acme-site"
    assert capsys.readouterr().out == f"{FILE}: {why}\n{SDIST}: {why}\n"
    assert there(tmp_path) == {}
