"""Workers that hang, end or can't start, and addresses that another gateway has."""

import os
import signal
import socket
from pathlib import Path

import pytest

from gateway.cli.health import health
from gateway.config.settings import Settings
from tests.conftest import StartProcess
from tests.support.certificates import self_signed
from tests.support.workers import children, eventually, free_port, get, started, two_workers


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return two_workers(tmp_path)


def test_a_worker_that_ends_alone_leaves_the_unix_socket_to_the_others(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    process = start_process(settings | {"server.unix_socket": str(path)})
    started(process)
    os.kill(children(process.process.pid)[0], signal.SIGTERM)
    eventually(lambda: process.log.read_text().count(", listening on ") == 3, "it is not replaced", process)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert process.stop() == 0
    assert not path.exists()


# A new process that is told to stop before it has done anything. Only one worker is: the others replace it.
_STOPPED_AT_BIRTH = """
import os, signal

def stop_the_first():
    if getattr(signal.getsignal(signal.SIGTERM), "__name__", "") == "signal":  # the master's: this is a worker
        try:
            os.close(os.open("first", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        with open("first", "w") as file:
            file.write(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGTERM)

os.register_at_fork(after_in_child=stop_the_first)
"""


def test_a_worker_heeds_a_signal_that_comes_before_it_has_started(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    """A master that was told to stop while it forked waited for that worker as long as it could."""
    (tmp_path / "sitecustomize.py").write_text(_STOPPED_AT_BIRTH)
    process = start_process(settings, {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"})
    process.wait_until_it_listens()
    first = int((process.log.parent / "first").read_text())
    eventually(
        lambda: len(now := children(process.process.pid)) == 2 and first not in now, "it serves all the same", process
    )
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
    assert "Warning" not in process.log.read_text()


def test_the_unix_socket_of_another_gateway_can_t_be_had(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    started(start_process(settings | {"server.unix_socket": str(path)}))
    process = start_process(settings | {"server.unix_socket": str(path)})
    assert process.process.wait(30) == 1
    assert "can't listen" in process.log.read_text()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_worker_that_hangs_answers_no_probe_in_place_of_another(
    start_process: StartProcess, settings: dict[str, str]
) -> None:
    process = start_process(settings | {"ops.port": (port := str(free_port()))})
    started(process)
    hung = children(process.process.pid)[0]
    os.kill(hung, signal.SIGSTOP)
    try:
        for _ in range(20):
            assert b"ok" in get(f"http://127.0.0.1:{port}/health")
    finally:
        os.kill(hung, signal.SIGCONT)
    assert process.stop() == 0


def test_the_port_for_operations_of_another_gateway_can_t_be_had(
    start_process: StartProcess, settings: dict[str, str]
) -> None:
    own = settings | {"ops.port": str(free_port())}
    started(start_process(own))
    process = start_process(own | {"server.port": str(free_port())})
    assert process.process.wait(30) == 1
    assert "can't listen" in process.log.read_text()
    assert "ops.port" in process.log.read_text()


def test_workers_that_can_t_start_end_the_whole(start_process: StartProcess, settings: dict[str, str]) -> None:
    process = start_process(settings | {"storage.bucket": "packages--use1-az4--x-s3"})
    assert process.process.wait(30) != 0
    assert "needs signature version v4-s3express" in process.log.read_text()


def test_workers_with_a_key_that_can_t_be_used_end_the_whole(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    key.write_text("none")
    process = start_process(settings | {"server.tls_cert": str(certificate), "server.tls_key": str(key)})
    assert process.process.wait(30) != 0
    assert "worker can't start: server.tls_cert" in process.log.read_text()
    assert "Exception in worker process" not in process.log.read_text()


def test_a_worker_that_can_t_be_replaced_yet_does_not_end_the_others(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    certificate, key = self_signed(tmp_path)
    process = start_process(settings | {"server.tls_cert": str(certificate), "server.tls_key": str(key)})
    url = started(process)
    away = key.rename(tmp_path / "away.pem")
    os.kill(children(process.process.pid)[0], signal.SIGKILL)
    eventually(lambda: process.log.read_text().count("can't start") == 2, "it is not tried again", process)
    assert health(f"{url}/health", Settings) == 0
    away.rename(key)
    eventually(lambda: process.log.read_text().count(", listening on ") == 3, "it is not replaced", process)
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


_BACKEND = """
from pathlib import Path
from gateway.storage.local.storage import LocalStorage

class Backend(LocalStorage):
    def __init__(self, settings):
        super().__init__(settings.dir)
        if Path(settings.options["fault"]).exists():
            raise RuntimeError("can't start new thread")
"""


def test_a_worker_that_can_t_be_replaced_for_whatever_reason_does_not_end_the_others(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    """Where the system has no more threads or files for it, say."""
    (tmp_path / "exhausted.py").write_text(_BACKEND)
    fault = tmp_path / "fault"
    settings |= {"storage.backend": "exhausted:Backend", "storage.options": f"{{fault: {fault}}}"}
    process = start_process(settings, {"PYTHONPATH": f"{Path(__file__).parents[2]}:{tmp_path}"})
    url = started(process)
    fault.touch()
    os.kill(children(process.process.pid)[0], signal.SIGKILL)
    eventually(lambda: process.log.read_text().count("worker can't start") == 2, "it is not tried again", process)
    assert health(f"{url}/health", Settings) == 0
    fault.unlink()
    eventually(lambda: process.log.read_text().count(", listening on ") == 3, "it is not replaced", process)
    assert process.stop() == 0
