"""What nobody catches, in a process of its own: it becomes lines of the log, and holds nothing up."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.support.process import clean_environment
from tests.test_broken_output import full_pipe

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import sys, threading, warnings
from pathlib import Path
from gateway.config.settings import LogSettings
from gateway.ops import log, uncaught

class Broken:
    def __del__(self):
        raise ValueError("dropped")

def fail():
    raise ValueError("in a thread")

log.configure(LogSettings.model_validate({"format": "json"}))
uncaught.send_to_log()
for _ in range(int(sys.argv[1])):
    warnings.warn("look out", RuntimeWarning)
    Broken()
    thread = threading.Thread(target=fail, name="worker-7")
    thread.start()
    thread.join()
Path("done").touch()
raise ValueError("at last")
"""


def command(times: int) -> list[str]:
    return [sys.executable, "-W", "always", "-c", _PROGRAM, str(times)]


def environment(home: Path) -> dict[str, str]:
    environment = clean_environment(home) | {"PYTHONPATH": str(_ROOT)}
    del environment["PYTHONWARNINGS"]
    return environment


def test_it_is_logged_in_the_log_s_form(tmp_path: Path) -> None:
    ended = subprocess.run(command(1), cwd=tmp_path, env=environment(tmp_path), capture_output=True, timeout=60)
    lines = [json.loads(line) for line in ended.stderr.decode().splitlines()]
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "py.warnings"),
        ("error", "gateway"),
        ("error", "gateway"),
        ("critical", "gateway"),
    ]
    warned, dropped, thread, last = (json.dumps(line) for line in lines)
    assert "RuntimeWarning: look out" in warned
    assert "ValueError: dropped" in dropped
    assert "Broken.__del__" in dropped
    assert "ValueError: in a thread" in thread
    assert "thread worker-7 ended" in thread
    assert "ValueError: at last" in last
    assert "the process ends" in last
    assert ended.returncode == 1


def test_it_holds_nothing_up_while_nobody_reads(tmp_path: Path) -> None:
    with ExitStack() as stack:
        pipe = full_pipe(stack)
        ended = subprocess.run(
            command(100), cwd=tmp_path, env=environment(tmp_path), stdout=pipe, stderr=pipe, timeout=60
        )
    assert ended.returncode == 1
    assert (tmp_path / "done").exists()
