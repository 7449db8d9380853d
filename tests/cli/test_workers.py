"""Several workers under gunicorn, as one server."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.cli.workers import _take_slot
from tests.conftest import StartProcess
from tests.support.nightly import by_night
from tests.support.workers import children, eventually, free_port, get, started, two_workers


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return two_workers(tmp_path)


def test_two_workers_serve_and_count_as_one(start_process: StartProcess, settings: dict[str, str]) -> None:
    process = start_process(settings)
    url = started(process)
    for _ in range(20):
        assert get(url) == b"root page"
    pattern = r'gateway_requests_total\{method="GET",mount="default",route="index",status="200"\} (\S+)'

    def served() -> float:
        found = re.search(pattern, get(f"{url}/metrics").decode())
        return float(found[1]) if found is not None else 0

    eventually(lambda: served() == 20, "each worker tells the others within a second", process)
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()
    assert re.search(r"^\S+Z info gunicorn\.error: ", process.log.read_text(), re.MULTILINE)
    assert process.access_log.read_text().count(" path=/ ") == 20


def test_a_worker_that_dies_is_replaced(start_process: StartProcess, settings: dict[str, str]) -> None:
    process = start_process(settings)
    url = started(process)
    before = children(process.process.pid)
    os.kill(before[0], signal.SIGKILL)
    eventually(
        lambda: len(now := children(process.process.pid)) == 2 and before[0] not in now, "it is not replaced", process
    )
    eventually(lambda: process.log.read_text().count("listening on http") == 3, "the new one does not listen", process)
    assert get(url) == b"root page"
    assert process.stop() == 0


def test_a_worker_that_replaces_another_has_the_rules_of_now(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    config = tmp_path / "rules.yaml"
    config.write_text("access: {default_read: [everyone], authenticators: [tests.support.people:People]}")
    process = start_process(settings, {"GATEWAY_CONFIG": str(config)})
    url = started(process)
    assert get(url) == b"root page"
    config.write_text("access: {default_read: [authenticated], authenticators: [tests.support.people:People]}")
    changed = "The section access has changed"
    eventually(lambda: process.log.read_text().count(changed) == 2, "the rules have not changed", process)
    os.kill(children(process.process.pid)[0], signal.SIGKILL)
    eventually(lambda: process.log.read_text().count("listening on http") == 3, "the new one does not listen", process)
    for connection in connections_by_worker(url, process.process.pid).values():
        connection.request("GET", "/")
        assert connection.getresponse().status == 401
        connection.close()
    assert process.stop() == 0


def connections_by_worker(url: str, master: int, path: str = "/health") -> dict[int, http.client.HTTPConnection]:
    """A connection to each worker, by the worker's process id."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    found: dict[int, http.client.HTTPConnection] = {}
    deadline = time.monotonic() + 30
    while len(found) < 2:
        assert time.monotonic() < deadline, "one worker takes all connections"
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        assert ask(connection, path)
        owner = next(worker for worker in children(master) if accepted(connection.sock) in sockets(worker))
        if owner in found:
            connection.close()
        else:
            found[owner] = connection
    return found


def accepted(client: socket.socket) -> str:
    """The inode of the server's end (proc(5), /proc/net/tcp: 127.0.0.1 is 0100007F)."""
    ends = [f"0100007F:{port:04X}" for port in (client.getpeername()[1], client.getsockname()[1])]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ends:
            return fields[9]
    raise AssertionError("no such connection")


def sockets(pid: int) -> set[str]:
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    return {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}


def ask(connection: http.client.HTTPConnection, path: str, method: str = "GET", **headers: str) -> bytes:
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return body


@pytest.mark.parametrize("how", ["of one project", "SIGHUP", *by_night("POST")])
def test_a_refresh_reaches_all_workers_and_restarts_none(
    start_process: StartProcess, settings: dict[str, str], how: str
) -> None:
    project = Path(settings["storage.dir"]) / "arrow"
    project.mkdir()
    (project / "arrow-1.0.tar.gz").write_bytes(b"x")
    (Path(settings["storage.dir"]) / "index.html").unlink()
    process = start_process(settings | {"index.refresh": "3600", "ops.admin_token": "opensesame"})
    url, master = started(process), process.process.pid
    before = children(master)
    by_worker = connections_by_worker(url, master)
    downloading = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    downloading.request("GET", "/large.whl")
    download = downloading.getresponse()
    assert len(download.read(1000)) == 1000
    accept = {"Accept": "application/vnd.pypi.simple.v1+json"}
    for connection in by_worker.values():
        assert b"arrow-1.0" in ask(connection, "/arrow/", **accept)
    (project / "arrow-2.0.tar.gz").write_bytes(b"x")
    for connection in by_worker.values():
        assert b"arrow-2.0" not in ask(connection, "/arrow/", **accept)
    if how != "SIGHUP":
        query = "?project=Arrow" if how == "of one project" else ""
        for connection in [*by_worker.values()][:1]:
            ask(connection, f"/-/refresh{query}", "POST", Authorization="Bearer opensesame")
    else:
        process.process.send_signal(signal.SIGHUP)
        eventually(lambda: "all workers drop their listings" in process.log.read_text(), "it is not heard", process)
    for connection in by_worker.values():
        assert b"arrow-2.0" in ask(connection, "/arrow/", **accept), "at once"
        connection.close()
    assert len(download.read()) == 40_000_000 - 1000
    downloading.close()
    assert children(master) == before
    assert process.stop() == 0


def test_workers_outlive_hangups_and_gunicorn_s_word_to_reopen_logs(
    start_process: StartProcess, settings: dict[str, str]
) -> None:
    process = start_process(settings)
    url, master = started(process), process.process.pid
    before = children(master)
    for worker in before:
        os.kill(worker, signal.SIGHUP)
        os.kill(worker, signal.SIGUSR1)  # the arbiter passes its own on
    for connection in connections_by_worker(url, master).values():
        connection.close()
    assert children(master) == before


def test_counts_go_on_and_their_files_stay_few_when_workers_are_replaced(
    start_process: StartProcess, settings: dict[str, str]
) -> None:
    process = start_process(settings | {"server.workers": "4"})
    url, master = started(process, 4), process.process.pid
    pattern = r'gateway_requests_total\{method="GET",mount="default",route="index",status="200"\} (\S+)'
    [directory] = {
        line.split(maxsplit=5)[5].rpartition("/")[0]
        for line in Path(f"/proc/{children(master)[0]}/maps").read_text().splitlines()
        if "gateway-metrics-" in line
    }

    def served() -> float:
        found = re.search(pattern, get(f"{url}/metrics").decode())
        return float(found[1]) if found is not None else 0

    asking = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)  # one of them, or each would be busy

    def of_all(metric: str) -> bool:
        return f"\n{metric}\n".encode() in ask(asking, "/metrics")

    eventually(lambda: of_all("gateway_workers 4.0"), "not all tell", process)
    asking.close()
    for replaced in range(1, 4):
        for _ in range(5):
            assert get(url) == b"root page"
        eventually(lambda: served() == 5 * replaced, "not all are counted", process)  # noqa: B023
        os.kill(children(master)[0], signal.SIGKILL)
        eventually(
            lambda: process.log.read_text().count(", listening on ") == 4 + replaced,  # noqa: B023
            "it is not replaced",
            process,
        )
        assert served() == 5 * replaced
    eventually(lambda: of_all("gateway_requests_in_flight 1.0"), "requests of the dead count", process)
    eventually(lambda: of_all("gateway_workers 4.0"), "the dead count", process)
    asking.close()
    kinds = "counter", "histogram", "gauge_livesum", "gauge_livemin", "gauge_livemax", "gauge_livemostrecent"
    files = {path.stem for path in Path(directory).iterdir()}
    assert {f"gauge_livesum_{slot}" for slot in range(4)} <= files
    assert files <= {f"{kind}_{slot}" for kind in kinds for slot in range(4)}
    assert process.stop() == 0
    assert not Path(directory).exists()


def test_a_worker_can_start_though_the_files_of_the_metrics_have_been_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "gone"))
    worker = SimpleNamespace()
    _take_slot(SimpleNamespace(WORKERS={1: SimpleNamespace(slot=0)}), worker)
    assert worker.slot == 1
    assert (tmp_path / "gone").stat().st_mode & 0o777 == 0o700


def test_what_is_in_flight_at_sigterm_is_finished(start_process: StartProcess, settings: dict[str, str]) -> None:
    process = start_process(settings)
    url = started(process)
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/large.whl")
    answer = connection.getresponse()
    process.process.send_signal(signal.SIGTERM)
    eventually(lambda: "Handling signal: term" in process.log.read_text(), "it does not stop", process)
    assert len(answer.read()) == 40_000_000
    connection.close()
    assert process.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, *by_night(signal.SIGINT)])
def test_a_second_signal_ends_all_workers_at_once(
    start_process: StartProcess, settings: dict[str, str], number: signal.Signals
) -> None:
    process = start_process(settings)
    url, master = started(process), process.process.pid
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", "/large.whl")
    answer = connection.getresponse()
    process.process.send_signal(number)
    eventually(lambda: len(children(master)) == 1, "the idle worker does not end", process)
    assert process.stop(number) == 0
    assert "did not finish" not in process.log.read_text(), "server.shutdown_grace is 30 s"
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()


def test_a_unix_socket_and_a_port_for_operations_are_shared(
    start_process: StartProcess, settings: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    process = start_process(settings | {"server.unix_socket": str(path), "ops.port": str(free_port())})
    started(process)
    ops = re.search(r"operations endpoints are on (\S+)", process.log.read_text())
    assert ops is not None
    for _ in range(5):
        assert b"ready" in get(f"{ops[1]}/ready")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert client.recv(15) == b"HTTP/1.0 200 OK"
    assert process.stop() == 0
    assert not path.exists()


def test_without_gunicorn_it_is_said_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['gunicorn'] = None; sys.modules['gunicorn.app.base'] = None\n"
        "from gateway.cli.main import main; sys.exit(main(['serve', '--set', 'server.workers=2']))"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 2
    assert "pip install 's3-package-gateway[workers]'" in found.stderr
