"""The real command: signals, sockets, TLS, logs, time to start."""

import http.client
import json
import os
import re
import signal
import socket
import ssl
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import StartProcess
from tests.support.bucket import Bucket
from tests.support.certificates import self_signed
from tests.support.nightly import by_night


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, str]:
    root = tmp_path / "packages"
    root.mkdir()
    (root / "index.html").write_text("root page")
    (root / "large.whl").write_bytes(b"x" * 40_000_000)
    return {"storage.dir": str(root)}


def get(url: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.status, answer.read()


def connect(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(start_process: StartProcess, packages: dict[str, str], number: signal.Signals) -> None:
    process = start_process(packages)
    assert get(process.wait_until_it_listens()) == (200, b"root page")
    assert process.stop(number) == 0
    assert "Traceback" not in process.log.read_text()


def wait_until_refused(url: str) -> None:
    host, _, port = url.removeprefix("http://").rpartition(":")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:  # it was in the queue of the socket that closed
            continue
    raise AssertionError("it still accepts")


def test_what_is_in_flight_at_sigterm_is_finished(start_process: StartProcess, packages: dict[str, str]) -> None:
    process = start_process(packages | {"ops.port": "0"})
    url = process.wait_until_it_listens()
    ops = re.search(r"operations endpoints are on (\S+)", process.log.read_text())
    assert ops is not None
    assert get(f"{ops[1]}/ready")[0] == 200
    connection = connect(url)
    connection.request("GET", "/large.whl")
    answer = connection.getresponse()
    got = len(answer.read(1000))
    process.process.send_signal(signal.SIGTERM)
    wait_until_refused(url)
    with pytest.raises(urllib.error.HTTPError) as not_ready:
        get(f"{ops[1]}/ready")
    with not_ready.value as refused:
        assert (refused.code, json.loads(refused.read())) == (503, {"status": "draining"})
    assert process.process.poll() is None
    got += len(answer.read())
    assert got == 40_000_000
    connection.close()
    assert process.process.wait(20) == 0


@pytest.mark.parametrize("targets", [[], ["/health"], ["/large.whl", "/health"]])
def test_an_idle_connection_does_not_hold_up_the_end(
    start_process: StartProcess, packages: dict[str, str], targets: list[str]
) -> None:
    process = start_process(packages)
    connection = connect(process.wait_until_it_listens())
    connection.connect()
    for target in targets:
        connection.request("GET", target)
        connection.getresponse().read()
    started = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - started < 10, "server.shutdown_grace is 30 s"
    assert "did not finish" not in process.log.read_text()
    connection.close()


def test_an_idle_connection_of_a_probe_has_nothing_to_finish(
    start_process: StartProcess, packages: dict[str, str]
) -> None:
    process = start_process(packages | {"ops.port": "0"})
    process.wait_until_it_listens()
    ops = re.search(r"operations endpoints are on http://(\S+)", process.log.read_text())
    assert ops is not None
    connection = http.client.HTTPConnection(ops[1], timeout=20)
    connection.request("GET", "/health")
    connection.getresponse().read()
    assert process.stop() == 0
    assert "did not finish" not in process.log.read_text()
    connection.close()


def test_what_does_not_finish_in_the_grace_is_ended(start_process: StartProcess, packages: dict[str, str]) -> None:
    process = start_process(packages | {"server.shutdown_grace": "0.3"})
    connection = connect(process.wait_until_it_listens())
    connection.request("GET", "/large.whl")
    answer = connection.getresponse()
    assert process.stop() == 0
    assert "1 connections did not finish in 0.3 s" in process.log.read_text()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        answer.read()
    connection.close()


_LOAD = """#!/bin/sh
if [ -p hang ]; then touch hangs; read line < hang; exit 1; fi
expiry=$(date -u -d '+30 seconds' +%Y-%m-%dT%H:%M:%SZ)
echo '{"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "'$expiry'"}'
"""


@pytest.mark.parametrize("workers", ["2", *by_night("1")])
def test_a_thread_that_hangs_does_not_hold_up_the_end(
    start_process: StartProcess, tmp_path: Path, workers: str
) -> None:
    """Slow: a process that ends waits for its threads for a second."""
    program = tmp_path / "load"
    program.write_text(_LOAD)
    program.chmod(0o700)
    (tmp_path / "aws").write_text(f"[default]\ncredential_process = {program}\n")
    process = start_process(
        {
            "storage.bucket": "teams-bucket",
            "storage.endpoint_url": "http://127.0.0.1:1",
            "server.shutdown_grace": "0.1",
            "server.workers": workers,
        },
        {"AWS_CONFIG_FILE": str(tmp_path / "aws")},
    )
    url, directory = process.wait_until_it_listens(), process.log.parent
    os.mkfifo(directory / "hang")
    connection = connect(url)
    connection.request("GET", "/simple/")  # the credentials are about to expire, so they are loaded again
    wait_until_exists(directory / "hangs")
    try:
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 7, "the program hangs for ever, and gunicorn ends workers after 8 s"
        assert "does not wait for its threads that hang: gateway-aws_" in process.log.read_text()
    finally:
        os.close(os.open(directory / "hang", os.O_RDWR))  # ends the program
        connection.close()


def wait_until_exists(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)


def test_idle_connections_make_room_where_the_system_allows_fewer_than_the_settings(
    start_process: StartProcess, packages: dict[str, str]
) -> None:
    process = start_process(packages, open_files=256)
    url = process.wait_until_it_listens()
    address = urllib.parse.urlsplit(url)
    idle = [socket.create_connection((address.hostname, address.port), timeout=20) for _ in range(300)]
    assert get(url) == (200, b"root page")
    for connection in idle:
        connection.close()
    process.stop()
    log = process.log.read_text()
    assert "the limit of 256 open files (ulimit -n) allows 64 client connections, not 1024" in log
    assert "Traceback" not in log


def test_a_taken_port_is_said_and_ends_with_1(start_process: StartProcess, packages: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start_process(packages | {"server.port": str(taken.getsockname()[1])})
        assert process.process.wait(30) == 1
    log = process.log.read_text()
    assert "can't listen" in log
    assert "choose another server.port" in log
    assert "Traceback" not in log


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_that_is_not_this_machine_s_is_explained(
    start_process: StartProcess, packages: dict[str, str], workers: str
) -> None:
    process = start_process(packages | {"server.host": "192.0.2.1", "server.workers": workers})
    assert process.process.wait(30) == 1
    assert "this machine has no such address: set server.host" in process.log.read_text()


def test_the_access_log_has_a_line_for_each_request(start_process: StartProcess, packages: dict[str, str]) -> None:
    process = start_process(packages | {"log.format": "json"}, {"GATEWAY_STORAGE_BUCKET": "packages"})
    url = process.wait_until_it_listens()
    get(f"{url}/?X-Amz-Signature=secret")
    assert process.stop() == 0
    [line] = process.access_log.read_text().splitlines()
    found = json.loads(line)
    assert (found["method"], found["path"], found["status"], found["bytes"]) == ("GET", "/", 200, 9)
    said = [json.loads(line)["message"] for line in process.log.read_text().splitlines()]
    assert said[0].startswith("the variable GATEWAY_STORAGE_BUCKET is ignored")


def test_the_access_log_can_be_off(start_process: StartProcess, packages: dict[str, str]) -> None:
    process = start_process(packages | {"log.access": "false"})
    get(process.wait_until_it_listens())
    process.stop()
    assert process.access_log.read_text() == ""


def test_a_unix_socket_is_served_and_removed(
    start_process: StartProcess, packages: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))  # as a process that was killed leaves it
    process = start_process(packages | {"server.unix_socket": str(path)})
    assert process.wait_until_it_listens() == f"unix:{path}"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"GET / HTTP/1.0\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n")
        received = b""
        while chunk := client.recv(65536):
            received += chunk
    assert received.endswith(b"root page")
    second = start_process(packages | {"server.unix_socket": str(path)})
    assert second.process.wait(30) == 1, "a living one is not replaced"
    assert process.stop() == 0
    assert not path.exists()
    assert "client=192.0.2.9 " in process.access_log.read_text()


def test_tls_is_served_directly(start_process: StartProcess, packages: dict[str, str], tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    process = start_process(packages | {"server.tls_cert": str(certificate), "server.tls_key": str(key)})
    url = process.wait_until_it_listens()
    assert url.startswith("https://")
    context = ssl.create_default_context(cafile=str(certificate))
    with urllib.request.urlopen(f"{url}/large.whl", context=context, timeout=20) as answer:
        assert len(answer.read()) == 40_000_000
    # Plain HTTP on the TLS port: a hint, closed, and nothing stuck.
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.settimeout(20)
        received = b""
        while chunk := client.recv(1000):
            received += chunk
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.endswith(b"400 This port speaks TLS: use https://\n")
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


def test_a_certificate_without_its_key_stops_the_start(
    start_process: StartProcess, packages: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    certificate, _ = self_signed(tmp_path)
    _, other_key = self_signed(tmp_path / "other")
    process = start_process(packages | {"server.tls_cert": str(certificate), "server.tls_key": str(other_key)})
    assert process.process.wait(30) == 2
    assert "no usable certificate and key" in process.log.read_text()


def test_it_starts_though_the_bucket_can_t_be_reached(start_process: StartProcess) -> None:
    process = start_process(
        {
            "storage.bucket": "packages",
            "storage.endpoint_url": "http://127.0.0.1:1",
            "storage.region_name": "us-east-1",
            "storage.max_attempts": "1",
        }
    )
    url = process.wait_until_it_listens()
    assert get(f"{url}/health")[0] == 200
    with pytest.raises(urllib.error.HTTPError) as not_ready:
        get(f"{url}/ready")
    with not_ready.value as refused:
        assert "no AWS credentials found" in json.loads(refused.read())["reason"]
    assert process.stop() == 0


_NO_BUCKET = {"storage.bucket": "no-such-bucket"}, "NoSuchBucket", "There is no such bucket here"
_WRONG_SECRET = {"storage.aws_secret_access_key": "wrong"}, "SignatureDoesNotMatch", "copy both again"
_NOBODY = {"storage.endpoint_url": "http://127.0.0.1:1"}, "can't connect to 127.0.0.1:1", "check storage.endpoint_url"


@pytest.mark.parametrize(
    ("workers", "change", "cause", "hint"),
    [("2", *_NO_BUCKET), ("1", *_WRONG_SECRET), *by_night(("1", *_NO_BUCKET), ("1", *_NOBODY))],
)
def test_what_is_wrong_with_the_storage_is_told_at_start_in_one_line(
    start_process: StartProcess, bucket: Bucket, workers: str, change: dict[str, str], cause: str, hint: str
) -> None:
    process = start_process(
        bucket.settings() | change | {"storage.max_attempts": "1", "server.workers": workers, "server.port": "0"}
    )
    deadline = time.monotonic() + 20
    while "can't be used" not in process.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.stop()
    [line] = [line for line in process.log.read_text().splitlines() if "the storage can't be used" in line]
    assert cause in line
    assert hint in line
    assert line.endswith("`gateway check` tells more")


def test_nothing_of_a_session_shows_in_the_logs(start_process: StartProcess, bucket: Bucket) -> None:
    bucket.put("index.html", b"root page")
    process = start_process(bucket.settings(log__level="debug"))
    url = process.wait_until_it_listens()
    get(url)
    with pytest.raises(urllib.error.HTTPError) as absent:
        get(f"{url}/nope")
    absent.value.close()
    process.stop()
    written = process.log.read_text() + process.access_log.read_text()
    assert bucket.server.secret_key not in written
    assert bucket.server.access_key not in written
    assert "AWS4-HMAC-SHA256" not in written
    assert "s3_code=NoSuchKey" in written


def test_sighup_drops_what_is_known_of_the_storage(start_process: StartProcess, tmp_path: Path) -> None:
    directory = tmp_path / "team" / "arrow"
    directory.mkdir(parents=True)
    (directory / "arrow-1.0.tar.gz").write_bytes(b"x")
    process = start_process({"storage.dir": str(tmp_path / "team"), "index.refresh": "3600"})
    url = process.wait_until_it_listens()
    assert b"arrow-1.0.tar.gz" in get(f"{url}/arrow/")[1]
    (directory / "arrow-2.0.tar.gz").write_bytes(b"x")
    assert b"arrow-2.0" not in get(f"{url}/arrow/")[1]
    process.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while "Dropped all listings" not in process.log.read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert b"arrow-2.0" in get(f"{url}/arrow/")[1]


def test_a_directory_that_is_missing_is_told_at_start_and_served_when_it_comes(
    start_process: StartProcess, tmp_path: Path
) -> None:
    directory = tmp_path / "comes-later"
    process = start_process({"storage.dir": str(directory)})
    url = process.wait_until_it_listens()
    before, _, _ = process.log.read_text().partition("listening on")
    assert f"error gateway.storage: directory {directory} can't be opened" in before
    assert "create it, or set storage.dir; `gateway check` tells more" in before
    assert process.log.read_text().count("can't be opened") == 1
    directory.mkdir()
    (directory / "index.html").write_text("root page")
    assert get(url) == (200, b"root page")
