"""Signals while the gateway starts."""

import os
import signal
from pathlib import Path

import pytest

from tests.conftest import StartProcess
from tests.support.nightly import by_night
from tests.support.process import GatewayProcess
from tests.support.workers import eventually, free_port


class SlowCredentials:
    """A program that finds out credentials, for as long as the test wants."""

    def __init__(self, directory: Path) -> None:
        self._begun, self._go_on, program = directory / "begun", directory / "go-on", directory / "source.sh"
        os.mkfifo(self._go_on)
        answer = '{"Version": 1, "AccessKeyId": "AKIDPROGRAM", "SecretAccessKey": "secret"}'
        begin = f"echo $$ > {self._begun}.new && mv {self._begun}.new {self._begun}"
        program.write_text(f"#!/bin/sh\n{begin}\nread line < {self._go_on}\necho '{answer}'\n")
        program.chmod(0o755)
        config = directory / "config"
        config.write_text(f"[default]\nregion = eu-west-1\ncredential_process = {program}\n")
        # A signal may end an import that has a file open.
        self.environment = {"AWS_CONFIG_FILE": str(config), "PYTHONWARNINGS": "error,ignore::ResourceWarning"}

    def wait_until_asked(self, process: GatewayProcess) -> None:
        eventually(self._begun.exists, "it does not ask for credentials", process)

    def give(self) -> None:
        self._go_on.write_text("\n")

    def end(self) -> None:
        os.kill(int(self._begun.read_text()), signal.SIGKILL)


@pytest.fixture
def credentials(tmp_path: Path) -> SlowCredentials:
    return SlowCredentials(tmp_path)


def settings(workers: int) -> dict[str, str]:
    return {"storage.bucket": "packages", "server.workers": str(workers), "server.port": str(free_port())}


@pytest.mark.parametrize(
    ("workers", "number"),
    [(1, signal.SIGTERM), (2, signal.SIGINT), *by_night((1, signal.SIGINT), (2, signal.SIGTERM))],
)
def test_a_signal_ends_the_start_while_credentials_take_long(
    credentials: SlowCredentials, start_process: StartProcess, number: signal.Signals, workers: int
) -> None:
    process = start_process(settings(workers), credentials.environment)
    credentials.wait_until_asked(process)
    try:
        process.process.send_signal(number)
        assert process.process.wait(20) == 0
        assert process.log.read_text() == ""
    finally:
        credentials.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_hangup_does_not_end_the_start_and_is_heard_after_it(
    credentials: SlowCredentials, start_process: StartProcess, workers: int
) -> None:
    """The configuration may have changed since it was read."""
    process = start_process(settings(workers), credentials.environment)
    credentials.wait_until_asked(process)
    process.process.send_signal(signal.SIGHUP)
    credentials.give()
    process.wait_until_it_listens()
    assert "using credentials" in process.log.read_text()
    done = "The configuration has been reloaded. Mounts: kept default."
    eventually(lambda: done in process.log.read_text(), "it is not heard", process)
    assert process.stop() == 0
