"""The S3 server for trying things: nothing of it may outlive its context."""

import signal
import subprocess
from typing import Any

import pytest

from gateway.seaweed import Seaweed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_starting_it_leaves_no_process(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def interrupted(command: list[str], **options: Any) -> "subprocess.Popen[bytes]":
        process = start(command, **options)
        started.append(process)
        signal.raise_signal(number)  # after the fork, before anyone holds the process
        return process

    monkeypatch.setattr("gateway.seaweed.subprocess.Popen", interrupted)
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Seaweed():
            pass
        assert [process.poll() is not None for process in started] == [True]
    finally:
        signal.signal(signal.SIGTERM, previous)
        for process in started:
            process.kill()
            process.wait()
