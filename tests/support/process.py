"""The real `gateway` command as a child process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.support.forkserver import Command, ForkServer

_ROOT = Path(__file__).parents[2]
_START_TIMEOUT_SECONDS = 30.0


def clean_environment(home: Path) -> dict[str, str]:
    """Without the settings, credentials and caches of whoever runs the tests."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONWARNINGS": "error",
    }


def gateway_environment(home: Path) -> dict[str, str]:
    """The same, for a `gateway` of the checkout that is tested, whichever one the interpreter's environment has."""
    return clean_environment(home) | {"PYTHONPATH": str(_ROOT)}


def fork_commands() -> None:
    """Has commands forked from now on, instead of an interpreter started for each."""
    global _fork_server
    _fork_server = ForkServer(gateway_environment(Path("/nonexistent")))


_fork_server: ForkServer | None = None


def start_gateway_command(
    arguments: Sequence[str], directory: Path, environment: Mapping[str, str], output: tuple[IO[bytes], IO[bytes]]
) -> Command | subprocess.Popen[bytes]:
    if _fork_server is not None and _fork_server.fits(environment):
        return _fork_server.start(arguments, directory, environment, output)
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.Popen(command, cwd=directory, env=environment, stdout=output[0], stderr=output[1])


def run_gateway(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A `gateway` command that ends by itself."""
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        output = stdout, stderr
        code = start_gateway_command(arguments, cwd, gateway_environment(cwd) | environment, output).wait(60)
        said = []
        for file in output:
            file.seek(0)
            said.append(file.read().decode())
    return subprocess.CompletedProcess(["gateway", *arguments], code, *said)


class GatewayProcess:
    """`gateway serve` on a free port, with its output in files."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
        open_files: int | None = None,
    ) -> None:
        """`open_files` is the most that the process may have, if that is limited further."""
        directory.mkdir(exist_ok=True)
        self.access_log = directory / "stdout"
        self.log = directory / "stderr"
        assignments = [f"{name}={value}" for name, value in ({"server.port": "0"} | dict(settings)).items()]
        arguments = ["serve"]
        for assignment in assignments:
            arguments += ["--set", assignment]
        given = gateway_environment(directory) | dict(environment or {})
        with self.access_log.open("wb") as stdout, self.log.open("wb") as stderr:
            if open_files is None:
                self.process = start_gateway_command(arguments, directory, given, (stdout, stderr))
            else:
                command = ["/bin/sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", sys.executable, "-m", "gateway"]
                command += arguments
                self.process = subprocess.Popen(command, cwd=directory, env=given, stdout=stdout, stderr=stderr)

    def wait_until_it_listens(self) -> str:
        """Its URL."""
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if found := re.search(r'listening on ([^\s"]+)', self.log.read_text()):
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"it does not listen:\n{self.log.read_text()}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(40)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
