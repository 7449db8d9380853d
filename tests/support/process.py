"""The real `gateway` command as a child process."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

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
        command = [sys.executable, "-m", "gateway", "serve"]
        for assignment in assignments:
            command += ["--set", assignment]
        if open_files is not None:
            command = ["/bin/sh", "-c", f'ulimit -n {open_files}; exec "$@"', "sh", *command]
        with self.access_log.open("wb") as stdout, self.log.open("wb") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                env=gateway_environment(directory) | dict(environment or {}),
                stdout=stdout,
                stderr=stderr,
            )

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
