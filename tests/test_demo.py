"""The demo, as someone tries it."""

import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import clean_environment


def left_behind() -> set[str]:
    directory = Path(tempfile.gettempdir())
    return {path.name for pattern in ("gateway-s3-*", "seaweedfs-*") for path in directory.glob(pattern)}


def weeds(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in children.read_text().split()] if children.exists() else []


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    (tmp_path / "home").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "gateway", "demo", "--port", "0"],
        cwd=tmp_path / "home",
        env=clean_environment(tmp_path / "home"),
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_invites_to_works_and_nothing_stays(
    demo: subprocess.Popen[str], tmp_path: Path, number: signal.Signals
) -> None:
    before = left_behind()
    text = said(demo, "Ctrl-C")
    [pip_line] = re.findall(r"^ +pip (install .*)$", text, re.MULTILINE)
    curls = re.findall(r"^ +curl (.*)$", text, re.MULTILINE)
    target = tmp_path / "target"
    arguments = pip_line.replace("/tmp/gateway-demo", str(target)).split()
    environment = clean_environment(tmp_path / "home") | {"PIP_CONFIG_FILE": "/dev/null"}
    environment.pop("PYTHONWARNINGS")
    subprocess.run([sys.executable, "-m", "pip", *arguments, "--no-cache-dir"], env=environment, check=True)
    assert (target / "hello_gateway.py").read_text() == 'version = "1.0.0"\n'
    assert len(curls) == 3
    for arguments_of_curl in curls:
        subprocess.run(["curl", "-sSf", *arguments_of_curl.split()], check=True, stdout=subprocess.DEVNULL)
    weed = weeds(demo.pid)
    assert len(weed) == 1
    demo.send_signal(number)
    assert demo.wait(30) == 0
    assert not Path(f"/proc/{weed[0]}").exists()
    assert left_behind() <= before


def test_an_impatient_ctrl_c_leaves_nothing_either(demo: subprocess.Popen[str]) -> None:
    before = left_behind()
    deadline = time.monotonic() + 20
    while not weeds(demo.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    weed = weeds(demo.pid)
    assert weed, "it starts the server"
    demo.send_signal(signal.SIGINT)
    assert demo.wait(30) == 130
    assert not Path(f"/proc/{weed[0]}").exists()
    assert left_behind() <= before


def test_without_seaweedfs_it_says_what_to_install() -> None:
    script = (
        "import shutil; shutil.which = lambda *a, **k: None\n"
        "from gateway.cli import main; raise SystemExit(main(['demo']))"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (found.returncode, "pip install 'gateway[demo]'" in found.stdout) == (1, True)
