"""What is quarantined at the command line can be installed through no gateway seconds later."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from tests.conftest import StartProcess
from tests.e2e.test_clients import python, uv
from tests.support.process import clean_environment, run_gateway
from tests.support.wheels import sdist, wheel

__all__ = ["python"]
SETTINGS = {"index.refresh": "3600", "publish.beacon": "true"}
FILE, CONTENT = wheel("teamlib", "1.2.0")
SOURCE_FILE, SOURCE = sdist("teamlib", "1.2.0")
_SEEN_SECONDS = 2.5  # the beacon's two, and what two cores that others use too may add


def status_of(url: str, path: str) -> int:
    try:
        with urllib.request.urlopen(url + path, timeout=20) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def mark(folder: Path, home: Path, *arguments: str) -> str:
    command = "status", "teamlib", *arguments, "--dir", str(folder), "--set", "publish.beacon=true"
    found = run_gateway(*command, cwd=home)
    assert found.returncode == 0, found.stderr
    return found.stdout


def installed(home: Path, *command: str) -> tuple[int, str]:
    """Exit code, and all output."""
    environment = clean_environment(home) | {"PIP_NO_CACHE_DIR": "1", "PIP_CONFIG_FILE": "/dev/null"}
    del environment["PYTHONWARNINGS"]
    found = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=120)
    return found.returncode, found.stdout + found.stderr


def test_pip_and_uv_install_nothing_of_what_is_quarantined(
    start_process: StartProcess, tmp_path: Path, python: str
) -> None:
    """Neither by name nor by a lock file's URL; and again when it is active. Slow, as the clients are."""
    folder, home = tmp_path / "packages", tmp_path / "home"
    (folder / "teamlib").mkdir(parents=True)
    home.mkdir()
    (folder / "teamlib" / FILE).write_bytes(CONTENT)
    (folder / "teamlib" / SOURCE_FILE).write_bytes(SOURCE)
    gateways = [start_process(SETTINGS | {"storage.dir": str(folder), "log.access": "false"}) for _ in range(2)]
    urls = [gateway.wait_until_it_listens() for gateway in gateways]
    paths = f"/teamlib/{FILE}", f"/teamlib/{FILE}.metadata"
    assert [status_of(url, path) for url in urls for path in paths] == [200] * 4

    assert mark(folder, home, "quarantined", "--reason", "stolen") == (
        "Project teamlib is quarantined: stolen\nGateways see it now\n"
    )
    since = time.monotonic()
    while [status_of(url, path) for url in urls for path in paths] != [403] * 4:
        assert time.monotonic() - since < _SEEN_SECONDS
        time.sleep(0.02)
    clients = {
        "pip": [python, "-m", "pip", "install", "--no-input", "--index-url", f"{urls[0]}/simple/"],
        "uv": [uv(), "pip", "install", "--no-cache", "--python", python, "--default-index", f"{urls[1]}/simple/"],
    }
    for name, command in clients.items():
        for number, wanted in enumerate(("teamlib", f"teamlib @ {urls[0]}/teamlib/{FILE}")):
            code, output = installed(home, *command, "--target", str(tmp_path / f"{name}{number}"), wanted)
            assert code != 0, output
            assert ("403" if number else "teamlib") in output
            assert not (tmp_path / f"{name}{number}" / "teamlib.py").exists()
    request = urllib.request.Request(
        f"{urls[0]}/simple/teamlib/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        page = json.loads(answer.read())
    assert (page["files"], page["project-status"]) == ([], {"status": "quarantined", "reason": "stolen"})

    mark(folder, home, "active")
    since = time.monotonic()
    while [status_of(url, path) for url in urls for path in paths] != [200] * 4:
        assert time.monotonic() - since < _SEEN_SECONDS
        time.sleep(0.02)
    code, output = installed(home, *clients["uv"], "--target", str(tmp_path / "again"), "teamlib")
    assert code == 0, output
    assert (tmp_path / "again" / "teamlib.py").exists()
