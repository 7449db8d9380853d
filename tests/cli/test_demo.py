"""The demo, as someone tries it."""

import json
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from tests.support import environments
from tests.support.nightly import by_night
from tests.support.process import clean_environment, gateway_environment


def command_of(weed: int) -> str:
    return Path(f"/proc/{weed}/cmdline").read_text().replace("\0", " ")


def left_behind(command: str) -> list[Path]:
    """What is in the place of temporary files of the weed that was started so; others have theirs there too."""
    directory = Path(tempfile.gettempdir())
    [data] = re.findall(r"-dir=(\S+)", command)
    sockets = [directory.glob(f"seaweedfs-*-{port}.sock") for port in re.findall(r"port(?:\.grpc)?=(\d{4,})", command)]
    assert len(sockets) == 8
    return [path for path in [Path(data), *chain(*sockets)] if path.exists()]


def weeds(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "home").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "gateway", "demo", "--port", "0"],
        cwd=tmp_path / "home",
        env=gateway_environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Ignored in whatever a shell runs in the background, and so in the tests perhaps.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    yield process
    if process.poll() is None:
        process.terminate()
    process.communicate(timeout=30)


def said(process: subprocess.Popen[str], end: str) -> str:
    assert process.stdout is not None
    lines = ""
    for line in process.stdout:
        lines += line
        if end in line:
            return lines
    raise AssertionError(f"it ended:\n{lines}")


def page(url: str, path: str, accept: str = "text/html,application/xhtml+xml") -> str:
    request = urllib.request.Request(url + path, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def shown(url: str, path: str) -> set[str]:
    """The names of the projects, once the file of the other index has been kept."""
    wanted, deadline = "application/vnd.pypi.simple.v1+json", time.monotonic() + 40
    while "sunny-greeting" not in (found := page(url, path, wanted)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return {project["name"] for project in json.loads(found)["projects"]}


@pytest.mark.parametrize("number", [signal.SIGINT, *by_night(signal.SIGTERM)])
def test_what_it_invites_to_works_and_nothing_stays(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    text = said(demo, "Ctrl-C")
    [pip_line] = re.findall(r"^ +pip (install .*)$", text, re.MULTILINE)
    curls = re.findall(r"^ +curl (.*)$", text, re.MULTILINE)
    target = tmp_path / "target"
    arguments = pip_line.replace("/tmp/gateway-demo", str(target)).split()
    environment = clean_environment(tmp_path / "home") | {"PIP_CONFIG_FILE": "/dev/null"}
    environment.pop("PYTHONWARNINGS")
    python = environments.environment(tmp_path / "environment", ["pip"])
    subprocess.run([python, "-m", "pip", *arguments, "--no-cache-dir"], env=environment, check=True)
    assert (target / "hello_gateway.py").read_text() == 'version = "2.0.0"\n'
    assert (target / "sunny_greeting.py").exists(), "which comes from the other index"
    assert len(curls) == 4
    for arguments_of_curl in curls:
        subprocess.run(["curl", "-sSf", *arguments_of_curl.split()], check=True, stdout=subprocess.DEVNULL)
    [url] = re.findall(r"^Open (http://127\.0\.0\.1:\d+)/ in a browser", text, re.MULTILINE)
    demo.send_signal(signal.SIGHUP)  # or the root would be listed again only after index.refresh seconds
    assert shown(url, "/") == {"acme-billing", "acme-colors", "acme-legacy", "hello-gateway", "sunny-greeting"}
    billing = page(url, "/acme-billing/")
    assert "rounds totals twice" in billing
    assert "Invoices and reminders. It is a sample" in billing
    assert page(url, "/acme-legacy/").startswith("<!DOCTYPE html>\n<html><body>\n<a href=")
    weed = [child for child in weeds(demo.pid) if "-dir=" in command_of(child)]  # READMEs have a process of their own
    assert len(weed) == 1
    command = command_of(weed[0])
    assert left_behind(command)
    demo.send_signal(number)
    assert demo.wait(30) == 0
    assert not Path(f"/proc/{weed[0]}").exists()
    assert not left_behind(command)


def test_an_impatient_ctrl_c_leaves_nothing_either(demo: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while not any("-dir=" in command_of(weed) for weed in weeds(demo.pid)):  # until then it is a copy of its parent
        assert time.monotonic() < deadline, "it starts no server"
        time.sleep(0.01)
    [weed] = weeds(demo.pid)
    command = command_of(weed)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 130
    assert not Path(f"/proc/{weed}").exists()
    assert not left_behind(command)


def test_without_seaweedfs_it_says_what_to_install() -> None:
    script = (
        "import shutil; shutil.which = lambda *a, **k: None\n"
        "from gateway.cli.main import main; raise SystemExit(main(['demo']))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.returncode, "pip install 's3-package-gateway[demo]'" in found.stdout) == (1, True)
