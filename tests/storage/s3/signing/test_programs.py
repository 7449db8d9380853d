"""Programs that hang are ended, so that whoever waits for them goes on."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from gateway.errors import CredentialsError
from gateway.storage.s3.signing import credentials as module
from gateway.storage.s3.signing.credentials import chain
from gateway.storage.s3.signing.programs import programs_within

# The second shell is what would keep the first one's standard output open.
_HANGS = "#!/bin/sh\necho $$ >> pids; sh -c 'echo $$ >> pids; read line < pipe'; exit 1\n"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    path = tmp_path / "program"
    path.write_text(_HANGS)
    path.chmod(0o700)
    return path


def test_a_program_is_ended_with_those_that_it_has_started(program: Path) -> None:
    with programs_within(0.2) as too_long:
        assert subprocess.run([program], capture_output=True, check=False, timeout=20).returncode == -9
        assert too_long.is_set()
    assert len(Path("pids").read_text().split()) == 2


def test_those_that_were_started_before_go_on(program: Path) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        test_a_program_is_ended_with_those_that_it_has_started(program)
        assert other.communicate(b"still here", timeout=20)[0] == b"still here"


def test_those_of_other_threads_go_on(program: Path) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        thread = threading.Thread(target=test_a_program_is_ended_with_those_that_it_has_started, args=[program])
        thread.start()
        thread.join(20)
        assert other.communicate(b"still here", timeout=20)[0] == b"still here"


def test_whoever_is_in_time_ends_nothing() -> None:
    with programs_within(1000.0) as too_long:
        assert subprocess.run(["/bin/true"], check=False).returncode == 0
    assert not too_long.is_set()
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def test_a_system_without_more_threads_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    with programs_within(1000.0) as too_long:
        pass
    assert not too_long.is_set()


def test_credentials_that_a_program_does_not_find_out_are_a_failure(
    program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise each load would take a thread for ever, and after four there would be none left."""
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {program}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setattr(module, "_PROGRAM_SECONDS", 0.2)
    with pytest.raises(CredentialsError, match=r"took over 0\.2 s, and any program .* was ended"):
        chain()()
    assert len(Path("pids").read_text().split()) == 2
