"""The real command, whose standard output and error can't be written: it serves all the same."""

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.nightly import by_night
from tests.support.process import gateway_environment

BODY = bytes(range(256)) * 8192
# Its line in the log is long, so that a few hundred are more than is kept for a reader.
LONG_PATH = "/" + "long/" * 1500


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def full_pipe(stack: ExitStack) -> int:
    """The end of a pipe that takes nothing more, and that nobody reads."""
    reader, writer = os.pipe()
    for descriptor in (reader, writer):
        stack.callback(os.close, descriptor)
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    return writer


def pipe_without_reader(stack: ExitStack) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    stack.callback(os.close, writer)
    return writer


def full_disk(stack: ExitStack) -> int:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    stack.callback(os.close, descriptor)
    return descriptor


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Running:
    """`gateway serve` with `output` as its standard output and error; None closes both."""

    def __init__(self, directory: Path, output: int | None, *settings: str) -> None:
        root = directory / "packages"
        root.mkdir()
        (root / "large.whl").write_bytes(BODY)
        self.port = free_port()
        command = [sys.executable, "-m", "gateway", "serve"]
        for setting in (f"storage.dir={root}", f"server.port={self.port}", *settings):
            command += ["--set", setting]
        if output is None:
            command = ["sh", "-c", 'exec "$@" >&- 2>&-', "sh", *command]
        self.process = subprocess.Popen(
            command, cwd=directory, env=gateway_environment(directory), stdout=output, stderr=output
        )

    def connect(self) -> http.client.HTTPConnection:
        deadline = time.monotonic() + 30
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.connect()
            except OSError:
                assert self.process.poll() is None
                assert time.monotonic() < deadline, "it does not listen"
                time.sleep(0.02)
            else:
                return connection

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait()


def get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


@pytest.mark.parametrize(
    ("output", "workers"),
    [(full_disk, 1), (pipe_without_reader, 1), (full_pipe, 2), (None, 1), *by_night((full_pipe, 1), (None, 2))],
)
def test_it_serves_whole_answers(stack: ExitStack, tmp_path: Path, output: object, workers: int) -> None:
    running = Running(tmp_path, output(stack) if callable(output) else None, f"server.workers={workers}")
    try:
        connection = running.connect()
        stack.callback(connection.close)
        for _ in range(200 if output is full_pipe else 5):
            get(connection, LONG_PATH)
        assert get(connection, "/health") == b'{"status": "ok"}\n'
        assert get(connection, "/large.whl") == BODY
        metrics = get(connection, "/metrics").decode()
        found = re.search(r"^gateway_log_lines_dropped_total (\S+)$", metrics, re.MULTILINE)
        assert found is not None
        if output is not None:
            assert float(found[1]) > 0
    finally:
        assert running.stop() == 0


_DESTRUCTOR = """
import gateway.ops.output

class Broken:
    def __del__(self):
        raise ValueError("x" * 5000)

broken = Broken()
"""


def test_what_the_interpreter_says_at_its_end_keeps_no_process(stack: ExitStack, tmp_path: Path) -> None:
    pipe = full_pipe(stack)
    command = [sys.executable, "-c", _DESTRUCTOR]
    ended = subprocess.run(command, env=gateway_environment(tmp_path), stdout=pipe, stderr=pipe, timeout=20)
    assert ended.returncode == 0


def test_without_standard_descriptors_their_numbers_are_no_sockets(tmp_path: Path) -> None:
    running = Running(tmp_path, None)
    try:
        running.connect().close()
        assert [os.readlink(f"/proc/{running.process.pid}/fd/{number}") for number in (1, 2)] == ["/dev/null"] * 2
    finally:
        assert running.stop() == 0


@pytest.mark.parametrize("command", ["config", "check"])
def test_what_the_locale_has_no_characters_for_is_escaped(tmp_path: Path, command: str) -> None:
    directory = tmp_path / "łódź"
    directory.mkdir()
    (directory / "…").touch()
    done = subprocess.run(
        [sys.executable, "-m", "gateway", command, "--set", f"storage.dir={directory}", "--set", "server.port=0"],
        cwd=tmp_path,
        env=gateway_environment(tmp_path) | {"PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/\\u0142\xf3d\\u017a" in done.stdout
