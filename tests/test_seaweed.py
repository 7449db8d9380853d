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
    # Whoever runs the tests in the background may have had SIGINT ignored.
    previous = {each: signal.signal(each, signal.default_int_handler) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        with pytest.raises(KeyboardInterrupt), Seaweed():
            pass
        assert [process.poll() is not None for process in started] == [True]
    finally:
        for each, handler in previous.items():
            signal.signal(each, handler)
        for process in started:
            process.kill()
            process.wait()
