"""/ready of several workers, which a load balancer takes for one gateway."""

import http.client
import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.cli.test_workers import ask, connections_by_worker
from tests.conftest import StartProcess
from tests.support.workers import children, eventually, free_port, started, two_workers


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    return two_workers(tmp_path) | {"ops.port": str(free_port()), "ops.ready_ttl": "0"}


def test_a_worker_that_ends_alone_makes_the_gateway_no_less_ready(
    start_process: StartProcess, settings: dict[str, str]
) -> None:
    """The port for operations is shared: a probe may reach it while it finishes what is in flight."""
    process = start_process(settings)
    url, master, ops = started(process), process.process.pid, f"http://127.0.0.1:{settings['ops.port']}"
    idle, downloading = (connections_by_worker(url, master, "/") for _ in range(2))
    worker = next(iter(downloading))
    downloading[worker].request("GET", "/large.whl")
    download = downloading[worker].getresponse()
    os.kill(worker, signal.SIGTERM)
    assert idle[worker].sock.recv(1) == b"", "it closes its idle connections, and takes no others"
    for connection in connections_by_worker(ops, master).values():
        assert json.loads(ask(connection, "/ready"))["status"] == "ready"
        connection.close()
    process.process.send_signal(signal.SIGTERM)
    eventually(lambda: status(f"{ops}/ready") == 503, "it does not stop", process)
    # One of the workers has ended: a probe that waited at its door finds nobody.
    assert {status(f"{ops}/ready") for _ in range(5)} <= {503, 0}
    eventually(lambda: status(f"{ops}/ready") == 503, "the one that still serves says nothing", process)
    assert len(download.read()) == 40_000_000
    for connection in (*idle.values(), *downloading.values()):
        connection.close()
    assert process.process.wait(20) == 0


def test_a_worker_that_begins_during_an_outage_says_what_the_others_say(
    start_process: StartProcess, settings: dict[str, str]
) -> None:
    process = start_process(settings)
    url, master, ops = started(process), process.process.pid, f"http://127.0.0.1:{settings['ops.port']}"
    eventually(lambda: status(f"{ops}/ready") == 200, "it is not ready", process)
    packages = Path(settings["storage.dir"])
    packages.rename(packages.with_name("away"))
    os.kill(children(master)[0], signal.SIGKILL)
    eventually(lambda: process.log.read_text().count(f", listening on {url}") == 3, "it is not replaced", process)
    for connection in connections_by_worker(ops, master).values():
        assert json.loads(ask(connection, "/ready"))["status"] == "degraded"
        connection.close()
    assert process.stop() == 0


def status(url: str) -> int:
    """0 if it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except (OSError, http.client.HTTPException):
        return 0
