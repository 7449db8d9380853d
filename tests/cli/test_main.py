import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from tests.support.nightly import by_night
from tests.support.process import gateway_environment
from tests.support.process import run_gateway as gateway


def test_version(tmp_path: Path) -> None:
    assert gateway("--version", cwd=tmp_path).stdout == f"gateway {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "unbuffered"),
    [
        (["--help"], 0, ""),
        (["check", "--port", "0"], 1, "1"),
        *by_night((["serve", "--help"], 0, "1"), (["check", "--port", "0"], 1, "")),
    ],
)
def test_an_output_that_can_t_be_written_is_no_traceback(
    tmp_path: Path, arguments: list[str], code: int, unbuffered: str
) -> None:
    """A pipe whose reader has what it wanted, a full disk, and none at all, which is nobody's mistake."""
    (tmp_path / "packages").mkdir()
    reader, closed_pipe = os.pipe()
    os.close(reader)
    full_disk = os.open("/dev/full", os.O_WRONLY)
    command = [sys.executable, "-m", "gateway", *arguments]
    outcomes = []
    for before, stdout in [([], closed_pipe), ([], full_disk), (["sh", "-c", 'exec "$@" >&-', "sh"], None)]:
        ran = subprocess.run(
            [*before, *command],
            cwd=tmp_path,
            env=gateway_environment(tmp_path) | {"PYTHONUNBUFFERED": unbuffered},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        outcomes.append((ran.returncode, ran.stderr))
    os.close(closed_pipe)
    os.close(full_disk)
    assert outcomes[0] == (code, "")
    said = "gateway: standard output can't be written: No space left on device\n"
    assert outcomes[1] == (code, said if arguments[0] == "check" else "")
    assert outcomes[2][0] == 0
    assert "Traceback" not in outcomes[2][1]


@pytest.mark.parametrize("command", ["serve", "check", "health", "url", "config"])
def test_a_broken_configuration_lists_every_mistake_and_ends_with_2(tmp_path: Path, command: str) -> None:
    (tmp_path / "config.yaml").write_text("server:\n  prot: 1\n")
    path = ["/k"] if command == "url" else []
    found = gateway(command, *path, "--set", "storage.bucket=s3://x", cwd=tmp_path, GATEWAY_LOG__LEVEL="loud")
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr == (
        "gateway: the configuration can't be used (mistakes: 3):\n"
        "  server.prot (config.yaml:2): is not a setting; did you mean server.port?\n"
        "  storage.bucket (command line): must be a bucket's name or ARN, without s3:// and without a path\n"
        "  log.level (environment GATEWAY_LOG__LEVEL): Input should be 'debug', 'info', 'warning' or 'error'\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve", "--backend", "x"], "unknown: --backend"),
        (["url", "/k", "--expires", "604801"], "is not a number of seconds from 1 to 604800 (7 days)"),
        (["url", "/k", "--method", "PUT"], "invalid choice: 'PUT'"),
        (["serve", "--set", "nonsense"], "must be SECTION.KEY=VALUE"),
        ([], "required: COMMAND"),
        (["serve", "--set", "storage.backend=no.such:Thing"], "storage.backend (no.such:Thing): can't be loaded"),
        (["serve", "--set", "storage.bucket=b--use1-az4--x-s3"], "needs signature version v4-s3express"),
    ],
)
def test_a_broken_command_line_ends_with_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    found = gateway(*arguments, cwd=tmp_path)
    assert (found.returncode, message in found.stderr) == (2, True), found.stderr
    assert "Traceback" not in found.stderr


def test_a_profile_that_is_missing_is_said_once(tmp_path: Path) -> None:
    ran = gateway("serve", "--bucket", "packages", cwd=tmp_path, AWS_PROFILE="typo", AWS_REGION="eu-west-1")
    assert ran.returncode == 2
    first, second = ran.stderr.splitlines()
    assert first == "gateway: the configuration can't be used (mistakes: 1):"
    assert second.startswith("  AWS_PROFILE (environment): AWS's shared configuration ")


def test_check_ends_with_1_where_something_fails(tmp_path: Path) -> None:
    found = gateway("check", "--dir", "typo", cwd=tmp_path)
    assert found.returncode == 1
    assert "create it, or set storage.dir" in found.stdout
    assert found.stderr == ""


def test_flags_are_shortcuts_for_settings(tmp_path: Path) -> None:
    (tmp_path / "packages").mkdir()
    found = gateway("check", "--dir", "packages", "--host", "::1", "--port", "0", cwd=tmp_path)
    assert found.returncode == 0
    assert re.search(r"ok +storage +directory .*/packages\n", found.stdout)


def test_dir_means_the_directory_whatever_bucket_is_configured(tmp_path: Path) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "config.yaml").write_text("storage: {bucket: of-the-file, backend: s3}\n")
    environment = {"GATEWAY_STORAGE__BUCKET": "of-the-environment", "AWS_S3_BUCKET": "of-nginx"}
    found = gateway("check", "--dir", "dist", "--port", "0", cwd=tmp_path, **environment)
    assert found.returncode == 0
    assert re.search(r"ok +storage +directory .*/dist\n", found.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bucket", "b"], "not allowed with argument"),
        (["--set", "storage.bucket=b"], "storage.bucket (command line): can't be set together with --dir"),
        (["--set", "storage.backend=s3"], "storage.backend (command line): can't be set together with --dir"),
    ],
)
def test_dir_and_a_bucket_on_one_command_line_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    found = gateway("serve", "--dir", ".", *arguments, cwd=tmp_path)
    assert (found.returncode, message in found.stderr) == (2, True), found.stderr


def test_a_variable_that_lacks_an_underscore_is_told(tmp_path: Path) -> None:
    found = gateway("check", "--dir", ".", "--port", "0", cwd=tmp_path, GATEWAY_STORAGE_BUCKET="packages")
    assert found.stdout.startswith(
        "note  the variable GATEWAY_STORAGE_BUCKET is ignored; to set storage.bucket, use two"
    )


def test_init_writes_a_file_and_config_tells_where_settings_are_from(tmp_path: Path) -> None:
    found = gateway("init", "--bucket", "my-pypi", cwd=tmp_path)
    assert (found.returncode, found.stdout) == (0, "Wrote config.yaml. Next: gateway check --config config.yaml\n")
    written = (tmp_path / "config.yaml").read_text()
    [number] = [number for number, line in enumerate(written.splitlines(), 1) if line == '  bucket: "my-pypi"']
    shown = gateway("config", "--port", "9000", cwd=tmp_path, GATEWAY_LOG__FORMAT="json").stdout.splitlines()
    assert f'  bucket: "my-pypi"  # config.yaml:{number}' in shown
    assert "  port: 9000  # command line" in shown
    assert '  format: "json"  # environment GATEWAY_LOG__FORMAT' in shown
    again = gateway("init", "--bucket", "other", cwd=tmp_path)
    assert (again.returncode, "already exists and was left unchanged" in again.stderr) == (1, True)
    assert (tmp_path / "config.yaml").read_text() == written
    assert "can't be written" in gateway("init", "no/such/config.yaml", cwd=tmp_path).stderr


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gateway che", {"check "}),
        ("gateway serve --b", {"--bucket "}),
        ("gateway serve --set storage.buc", {"storage.bucket="}),
        ("gateway url / --method ", {"GET", "HEAD"}),
        ("gateway verify --mount ", {"default", "team-b"}),
        ("gateway verify --config other.yaml --mount ", {"c "}),
        ("gateway verify --config no.yaml --mount ", {""}),
        ("gateway verify --set mounts.team-b.storage.buc", {"mounts.team-b.storage.bucket="}),
    ],
)
def test_the_shell_is_told_how_a_line_may_go_on(tmp_path: Path, line: str, offered: set[str]) -> None:
    for file, name in (("config.yaml", "team-b"), ("other.yaml", "c")):
        top = "storage: {bucket: my-pypi}\n" if name == "team-b" else ""
        (tmp_path / file).write_text(f"{top}mounts: [{{name: {name}, path: /b, storage: {{bucket: b-b}}}}]")
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "|"}
    found = gateway(cwd=tmp_path, _ARGCOMPLETE_STDOUT_FILENAME=str(answer), **asked)
    assert (found.returncode, found.stdout) == (0, "")
    assert set(answer.read_text().split("|")) == offered


def test_health_ends_with_1_where_nothing_answers(tmp_path: Path) -> None:
    found = gateway("health", "http://127.0.0.1:1", cwd=tmp_path)
    assert found.returncode == 1
    assert "gateway health: ConnectionRefusedError" in found.stderr
