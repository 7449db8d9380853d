"""A reload of several workers: all of them have the same configuration, or keep the former."""

import http.client
import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_workers import ask, connections_by_worker
from tests.conftest import StartProcess
from tests.support.process import GatewayProcess
from tests.support.workers import children, eventually, free_port, get, started

TOKEN = "opensesame"

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration that serves the directory of that name."""
    port = free_port()
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name.txt").write_text(name)

    def write(name: str, **more: Any) -> None:
        settings = {
            "server": {"port": port, "workers": 2},
            "ops": {"admin_token": TOKEN},
            "storage": {"dir": str(tmp_path / name)},
        }
        text = json.dumps(settings | more)
        new = tmp_path / "config.new"
        new.write_text(text)
        new.replace(tmp_path / "shared.yaml")

    write("one")
    return write


@pytest.fixture
def process(start_process: StartProcess, write: Write, tmp_path: Path) -> GatewayProcess:
    """The port in the settings is for all: what `start_process` sets by itself is the same."""
    port = json.loads((tmp_path / "shared.yaml").read_text())["server"]["port"]
    return start_process({"server.port": str(port)}, {"GATEWAY_CONFIG": str(tmp_path / "shared.yaml")})


def reload(url: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    asked = urllib.request.Request(f"{url}/-/reload", method="POST", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def names(connections: dict[int, http.client.HTTPConnection]) -> set[str]:
    """What each worker serves."""
    found = set()
    for connection in connections.values():
        connection.request("GET", "/name.txt")
        found.add(connection.getresponse().read().decode())
    return found


def test_all_workers_follow_the_one_that_is_asked(process: GatewayProcess, write: Write, tmp_path: Path) -> None:
    url = started(process)
    connections = connections_by_worker(url, process.process.pid)
    assert names(connections) == {"one"}
    write("two", ops={"admin_token": TOKEN, "port": free_port()}, log={"format": "json"})
    assert reload(url) == (
        200,
        {
            "status": "reloaded",
            "mounts": {"kept": [], "changed": ["default"], "added": [], "removed": []},
            "restart": ["ops.port"],
            "workers": "2 of 2",
        },
    )
    assert names(connections) == {"two"}
    write("three", nonsense={"a": 1})
    status, told = reload(url)
    assert (status, told["status"]) == (422, "refused")
    assert "nonsense" in told["mistakes"][0]
    assert names(connections) == {"two"}
    # A worker that takes another one's place has what the others have, whatever the file has by now, and without what
    # waits for a restart.
    os.kill(children(process.process.pid)[0], signal.SIGKILL)
    eventually(lambda: process.log.read_text().count("listening on http") == 3, "no worker takes its place", process)
    for connection in connections.values():
        connection.close()
    connections = connections_by_worker(url, process.process.pid)
    assert names(connections) == {"two"}
    assert [json.loads(ask(connection, "/health")) for connection in connections.values()] == [{"status": "ok"}] * 2
    last = [line for line in process.log.read_text().splitlines() if "listening on http" in line][-1]
    assert json.loads(last)["level"] == "info"
    write("three")
    assert reload(url)[1]["workers"] == "2 of 2"
    assert names(connections) == {"three"}
    for connection in connections.values():
        connection.close()
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


def test_sighup_to_the_first_process_reloads_them_all_once(process: GatewayProcess, write: Write) -> None:
    url = started(process)
    connections = connections_by_worker(url, process.process.pid)
    write("two")
    process.process.send_signal(signal.SIGHUP)
    done = "The configuration has been reloaded"
    eventually(lambda: process.log.read_text().count(done) == 2, "idle workers don't reload", process)
    assert names(connections) == {"two"}
    write("three", nonsense={"a": 1})
    process.process.send_signal(signal.SIGHUP)
    refused = "The configuration is not reloaded"
    eventually(lambda: refused in process.log.read_text(), "the mistake is not told", process)
    write("three")
    os.kill(children(process.process.pid)[0], signal.SIGHUP)
    eventually(lambda: process.log.read_text().count(done) == 4, "a worker does not hear it", process)
    assert names(connections) == {"three"}
    assert process.log.read_text().count(refused) == 1, "one worker tells it for all"
    for connection in connections.values():
        connection.close()
    assert process.stop() == 0


def test_a_worker_that_can_t_follow_tries_again(process: GatewayProcess, write: Write, tmp_path: Path) -> None:
    """The leader's file is taken away as soon as it has read it: a module that only the first can load."""
    url = started(process)
    gate = tmp_path / "gate"
    gate.write_text("0")
    write(
        "two",
        storage={"backend": "tests.support.once:Once", "dir": str(tmp_path / "two"), "options": {"gate": str(gate)}},
    )
    status, told = reload(url)
    assert (status, told["workers"]) == (200, "1 of 2")
    assert "this worker can't follow the others" in process.log.read_text()
    gate.write_text("-9")
    done = "The configuration has been reloaded"
    eventually(lambda: process.log.read_text().count(done) == 2, "it does not try again", process)
    connections = connections_by_worker(url, process.process.pid)
    assert names(connections) == {"two"}
    assert process.log.read_text().count("this worker can't follow") == 1
    for connection in connections.values():
        connection.close()
    assert process.stop() == 0


def test_a_process_alone_reloads_after_sighup(start_process: StartProcess, write: Write, tmp_path: Path) -> None:
    write("one", server={"port": 0})
    found = tmp_path / "process-0" / "config.yaml"  # where it is looked for
    found.parent.mkdir()
    found.symlink_to(tmp_path / "shared.yaml")
    process = start_process({})
    url = process.wait_until_it_listens()
    write("two", server={"port": 0})
    process.process.send_signal(signal.SIGHUP)
    done = "The configuration has been reloaded. Mounts: changed default."
    eventually(lambda: done in process.log.read_text(), "it is not heard", process)
    assert get(f"{url}/name.txt") == b"two"
    write("one", server={"port": 0}, nonsense={"a": 1})
    process.process.send_signal(signal.SIGHUP)
    eventually(lambda: "(mistakes: 1)" in process.log.read_text(), "the mistake is not told", process)
    assert get(f"{url}/name.txt") == b"two"
    found.unlink()  # without it, the settings would be the defaults
    process.process.send_signal(signal.SIGHUP)
    eventually(lambda: process.log.read_text().count("not reloaded") == 2, "another one takes its place", process)
    assert "can't be read: No such file" in process.log.read_text()
    assert get(f"{url}/name.txt") == b"two"
    assert process.stop() == 0
