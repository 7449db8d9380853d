"""A process that has imported the gateway, and becomes `gateway` commands by forks: most of what their starts take is
to import. Benchmarks and `make nightly` start an interpreter for each.

It is asked over a socket: a message has the arguments, the directory and the environment, and carries descriptors for
the standard output and error. Between it and each command stands a process that tells the pid, waits, and tells how the
command ended.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

_MAX_MESSAGE_BYTES = 256 * 1024


class ForkServer:
    """Begins with the first command, and ends with this process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """What an interpreter heeds when it starts has to be in this environment."""
        self._environment = environment
        self._socket: socket.socket | None = None

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether the interpreter of a command with this environment would be the same."""
        return _of_interpreter(environment) == _of_interpreter(self._environment)

    def start(
        self,
        arguments: Sequence[str],
        directory: Path,
        environment: Mapping[str, str],
        output: tuple[IO[bytes], IO[bytes]],
    ) -> "Command":
        ours, theirs = socket.socketpair()
        message = json.dumps([list(arguments), str(directory), dict(environment)]).encode()
        with theirs:
            socket.send_fds(self._begun(), [message], [theirs.fileno(), *(file.fileno() for file in output)])
        return Command(ours)

    def _begun(self) -> socket.socket:
        if self._socket is None:
            self._socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with other:
                command = [sys.executable, "-m", "tests.support.forkserver", str(other.fileno())]
                process = subprocess.Popen(command, env=self._environment, cwd="/", pass_fds=[other.fileno()])
            atexit.register(process.wait)
            atexit.register(self._socket.close)  # which ends it, so that this comes first
        return self._socket


class Command:
    """A `gateway` command. Like subprocess.Popen."""

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self.pid: int = self._read()
        self.returncode: int | None = None

    def _read(self) -> int:
        data = self._told.recv(4, socket.MSG_WAITALL)
        assert len(data) == 4, "the process between has ended"
        return int.from_bytes(data, "little", signed=True)

    def poll(self) -> int | None:
        if self.returncode is None:
            self._told.settimeout(0)
            try:
                self.returncode = self._read()
            except BlockingIOError:
                return None
            self._told.close()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = self._read()
            except TimeoutError:
                raise subprocess.TimeoutExpired("gateway", timeout or 0) from None
            self._told.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _of_interpreter(environment: Mapping[str, str]) -> Mapping[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LC_", "LANG", "LD_"))}


def _serve(descriptor: int) -> None:
    """Returns in the process of a command; what is left to do is to be it."""
    asked = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those between need nobody who waits for them
    while True:
        message, descriptors, _, _ = socket.recv_fds(asked, _MAX_MESSAGE_BYTES, 3)
        if not message:
            os._exit(0)
        if os.fork() == 0:
            asked.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return _stand_between(message, *descriptors)
        for one in descriptors:
            os.close(one)


def _stand_between(message: bytes, told: int, stdout: int, stderr: int) -> None:
    pid = os.fork()
    if pid == 0:
        os.close(told)
        return _become(message, stdout, stderr)
    for one in (stdout, stderr):
        os.close(one)
    os.write(told, pid.to_bytes(4, "little"))
    _, status = os.waitpid(pid, 0)
    os.write(told, os.waitstatus_to_exitcode(status).to_bytes(4, "little", signed=True))
    os._exit(0)


def _become(message: bytes, stdout: int, stderr: int) -> None:
    arguments, directory, environment = json.loads(message)
    for descriptor, number in ((stdout, 1), (stderr, 2)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(directory)
    sys.path[0] = directory
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = [sys.argv[0], *arguments]


if __name__ == "__main__":
    import runpy

    import gateway.app
    import gateway.cli.serve  # noqa: F401

    _serve(int(sys.argv[1]))
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)
