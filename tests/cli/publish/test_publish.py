"""`gateway publish`, into a directory, and to a gateway."""

import asyncio
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.app import Gateway
from gateway.cli.main import main
from gateway.cli.publish.run import Wish, publish
from gateway.config.load import load
from gateway.publish.attestations.field import IGNORED
from gateway.publish.static_pages import static_pages
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


def test_gateways_are_told_of_what_is_there_and_was(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    """Of what was there too: whoever wrote it may have been killed before telling them."""
    beacon, before = tmp_path / "packages" / ".gateway" / "epoch", b""
    for outcome in ("published", "there already"):
        assert run("--set", "publish.beacon=true") == 0
        said = capsys.readouterr()
        assert (said.out, said.err) == (f"{FILE}: {outcome}\n{SDIST}: {outcome}\n", "acme-web: Gateways see it now\n")
        assert before != beacon.read_bytes()
        before = beacon.read_bytes()
        assert b'"acme-web"' in before


async def test_gateways_are_told_of_what_was_published_before_the_command_was_ended(dist: Path, tmp_path: Path) -> None:
    """As by Ctrl-C."""
    settings = load({"storage.dir": str(tmp_path / "packages"), "publish.beacon": "true"}, environ={})
    written = list[str]()

    def write(line: str) -> None:
        written.append(line)
        command.cancel()

    command = asyncio.ensure_future(publish(settings, Wish([dist / FILE, dist / SDIST]), write))
    with pytest.raises(asyncio.CancelledError):
        await command
    assert written == [f"{FILE}: published"]
    assert there(tmp_path) == {FILE: CONTENT}
    assert b'"acme-web"' in (tmp_path / "packages" / ".gateway" / "epoch").read_bytes()


def test_gateways_are_told_of_a_file_that_is_there_though_its_page_is_not(
    dist: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_pages, "_SECONDS", 0.0)
    (tmp_path / "packages/acme-web/index.html").mkdir(parents=True)
    assert run("--set", "publish.beacon=true", "--set", "publish.write_pages=true") == 1
    assert FILE in {path.name for path in (tmp_path / "packages/acme-web").iterdir()}
    said = capsys.readouterr()
    assert f"{FILE}: failed: " in said.out
    assert said.err == "acme-web: Gateways see it now\n"


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


def test_an_sdist_waits_until_all_wheels_of_its_release_are_there(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "packages/acme-web" / FILE).mkdir(parents=True)  # so that the wheel can't be written
    other, content = sdist("acme_web", "2.0")
    (dist / other).write_bytes(content)
    assert run(f"dist/{other}") == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"{FILE}: failed: ")
    assert told[1:] == [f"{SDIST}: not sent: a wheel of the release is not there", f"{other}: published"]
    (tmp_path / "packages/acme-web" / FILE).rmdir()
    assert run() == 0
    assert there(tmp_path) == {FILE: CONTENT, SDIST: SOURCE, other: content}


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


@pytest.mark.parametrize("version", ["1.0+cu124", "1!2.0"])
async def test_a_gateway_gets_names_as_they_are(
    start_gateway: StartGateway, dist: Path, tmp_path: Path, version: str
) -> None:
    (tmp_path / "served").mkdir()
    gateway: Gateway = await start_gateway(
        {"storage.dir": str(tmp_path / "served"), "publish.enabled": "true", "publish.allow_anonymous": "true"}
    )
    name, content = wheel("acme_web", version)
    (dist / name).write_bytes(content)
    command = ["publish", "--to", f"{gateway.url}/legacy/", f"dist/{name}"]
    assert await in_thread(lambda: main(command)) == 0
    assert (tmp_path / "served" / "acme-web" / name).read_bytes() == content


@pytest.mark.parametrize("page", ["<h1>Log in, before anything is published</h1>", ""])
async def test_another_page_is_no_success(dist: Path, capsys: Captured, page: str) -> None:
    async def answer(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text=page)

    application = web.Application()
    application.router.add_post("/", answer)
    async with TestServer(application) as server:
        assert await asyncio.to_thread(main, ["publish", "--to", str(server.make_url("/")), f"dist/{FILE}"]) == 1
    assert f"{FILE}: failed: the answer is 200, but not that of a gateway" in capsys.readouterr().out


def test_a_user_is_named_once(dist: Path, capsys: Captured) -> None:
    assert run("--to", "http://ci:secret@127.0.0.1:1/legacy/", "--user", "ci") == 2
    said = capsys.readouterr()
    assert said.err == "gateway publish: --to names a user already: give one, there or by --user\n"
    assert not said.out


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
    assert capsys.readouterr().out.splitlines()[0] == f"{FILE}: {why}"
    assert main(["publish", f"dist/{SDIST}", "--dir", "packages"]) == 1
    assert capsys.readouterr().out == f"{SDIST}: {why}\n"
    assert there(tmp_path) == {}


def project(tmp_path: Path, fails: bool = False) -> Path:
    """A project with a build backend of its own, which needs no network."""
    folder = tmp_path / "project"
    folder.mkdir()
    backend = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(backend)
    (folder / FILE).write_bytes(CONTENT)
    (folder / SDIST).write_bytes(SOURCE)
    copied = "raise SystemExit('no luck')" if fails else "shutil.copy(name, directory)\n    return name"
    hooks = [
        "import pathlib, shutil",
        *(
            f"def {hook}({first}, settings=None, *more):\n    directory, name = {first}, {name!r}\n    {copied}"
            for hook, first, name in (
                ("build_wheel", "target", FILE),
                ("build_sdist", "target", SDIST),
            )
        ),
    ]
    (folder / "backend.py").write_text("\n".join(hooks))
    return folder


def test_a_project_is_built_and_published(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "made").mkdir()
    source = io.BytesIO()
    folder = project(tmp_path)
    with tarfile.open(fileobj=source, mode="w:gz") as archive:
        for path in folder.iterdir():
            archive.add(path, f"acme_web-1.0/{path.name}")
        info = tarfile.TarInfo("acme_web-1.0/PKG-INFO")
        fields = b"Metadata-Version: 2.1\nName: acme-web\nVersion: 1.0\n"
        info.size = len(fields)
        archive.addfile(info, io.BytesIO(fields))
    (folder / SDIST).write_bytes(source.getvalue())
    assert main(["publish", "--build", str(folder), "--dir", "packages"]) == 0
    assert there(tmp_path) == {FILE: CONTENT, SDIST: source.getvalue()}
    assert capsys.readouterr().out == f"{FILE}: published\n{SDIST}: published\n"


def test_a_build_that_fails_sends_nothing(dist: Path, tmp_path: Path, capsys: Captured) -> None:
    folder = project(tmp_path, fails=True)
    assert main(["publish", "--build", str(folder), f"dist/{FILE}", "--dir", "packages"]) == 1
    assert "python -m build has failed with exit code 1; nothing was sent" in capsys.readouterr().err
    assert there(tmp_path) == {}


def test_a_build_sees_no_settings_and_no_password(dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_PASSWORD", "pw")
    monkeypatch.setenv("GATEWAY_OPS__TOKEN", "t" * 32)
    folder, seen = project(tmp_path, fails=True), tmp_path / "seen"
    backend = folder / "backend.py"
    backend.write_text(
        f"{backend.read_text()}\nimport os\npathlib.Path({str(seen)!r}).write_text(str([*os.environ]))\n"
    )
    assert main(["publish", "--build", str(folder), "--dir", "packages"]) == 1
    assert "PATH" in seen.read_text()
    assert "GATEWAY_" not in seen.read_text()


def test_without_files_it_says_what_it_takes(dist: Path, capsys: Captured) -> None:
    assert main(["publish", "--dir", "packages"]) == 2
    assert capsys.readouterr().err == "gateway publish: give files, or --build\n"
    assert run("--attestations") == 2
    assert "--attestations needs --to" in capsys.readouterr().err
    assert main(["publish", "--attestations", "--build", "absent", "--dir", "packages"]) == 2  # before it is built
    assert "--attestations needs --to" in capsys.readouterr().err


async def test_attestations_go_along_to_a_gateway(dist: Path, capsys: Captured) -> None:
    forms: list[dict[str, str]] = []

    async def take(request: web.Request) -> web.Response:
        said = await request.post()
        forms.append({name: value for name, value in said.items() if isinstance(value, str)})
        file = said["content"]
        assert isinstance(file, web.FileField)
        return web.Response(text=f"{file.filename} is published\n{IGNORED}\n")

    app = web.Application()
    app.router.add_post("/", take)
    server = TestServer(app)
    await server.start_server()
    try:
        (dist / f"{FILE}.publish.attestation").write_text('{"version": 1}')
        (dist / f"{FILE}.slsa.provenance.attestation").write_text('{"version": 1, "x": "é"}')
        to = "--to", str(server.make_url("/"))
        assert await in_thread(lambda: run(*to, "--attestations")) == 0
        assert json.loads(forms[0]["attestations"]) == [{"version": 1}, {"version": 1, "x": "é"}]
        assert "attestations" not in forms[1]
        assert capsys.readouterr().err == f"{FILE}: the gateway has ignored its attestations\n"
        (dist / f"{FILE}.publish.attestation").write_text("[" * 100_000)
        assert await in_thread(lambda: run(*to, "--attestations")) == 1
        assert "publish.attestation is not an attestation" in capsys.readouterr().out
        assert await in_thread(lambda: run(*to)) == 0
        assert "attestations" not in forms[2]
    finally:
        await server.close()


def test_a_terminal_shows_how_far_the_files_have_got(
    dist: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run() == 0
    shown = capsys.readouterr()
    assert FILE in shown.err
    assert f"{len(CONTENT)}/{len(CONTENT)} bytes" in shown.err
    assert shown.out == f"{FILE}: published\n{SDIST}: published\n"
    assert run("--json") == 0
    assert capsys.readouterr().err.startswith("acme-web: Gateways see it")  # and nothing else
