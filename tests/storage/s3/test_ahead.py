"""What another process has asked botocore, this one does not ask."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.config.storage_settings import StorageSettings
from gateway.errors import CredentialsError
from gateway.messages import Credentials
from gateway.storage.s3 import ahead, endpoint
from tests.support.process import gateway_environment


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ahead, "_asked", [])
    for name, value in {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": str(tmp_path / "none")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_PROFILE", raising=False)


def settings(**more: Any) -> StorageSettings:
    return StorageSettings.model_validate({"bucket": "packages", "region_name": "eu-west-1"} | more)


def credentials_of(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def test_the_endpoint_is_that_of_the_other_process() -> None:
    ours = settings()
    ahead.ask(ours)()
    known = ahead.endpoint(ours)
    assert known.origin == "https://packages.s3.eu-west-1.amazonaws.com"
    assert ahead.endpoint(ours) is known
    assert ahead.endpoint(ours, "eu-north-1").region == "eu-north-1", "a learnt region is another question"
    assert ahead.endpoint(settings(bucket="others")).origin.startswith("https://others.")


def test_only_the_first_credentials_are_those_of_the_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials_of(monkeypatch, "AKIDFIRST")
    ours = settings()
    ahead.ask(ours)()
    credentials_of(monkeypatch, "AKIDROTATED")
    load = ahead.loader(ours)
    assert [load().access_key for _ in range(3)] == ["AKIDFIRST", "AKIDROTATED", "AKIDROTATED"]
    assert ahead.loader(settings())().access_key == "AKIDROTATED"


def test_a_worker_that_starts_later_loads_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials_of(monkeypatch, "AKIDFIRST")
    ours = settings()
    ahead.ask(ours)()
    credentials_of(monkeypatch, "AKIDROTATED")
    later = time.monotonic() + 61
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert ahead.loader(ours)().access_key == "AKIDROTATED"


def test_credentials_that_took_long_are_not_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start would take twice as long."""
    credentials_of(monkeypatch, "AKIDFIRST")
    clock = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: clock[-1])
    monkeypatch.setattr(endpoint.Resolver, "resolve", lambda self, settings: clock.append(clock[0] + 61))
    ours = settings()
    ahead.ask(ours)()
    clock.append(clock[0] + 61)  # that of this process
    credentials_of(monkeypatch, "AKIDROTATED")
    assert ahead.loader(ours)().access_key == "AKIDFIRST"


def test_credentials_of_several_mounts_are_loaded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that waits for its own would hold up the start of all."""
    both = threading.Barrier(2, timeout=5)

    def loaded(settings: StorageSettings) -> Credentials:
        both.wait()
        return Credentials(settings.assume_role_external_id or "", "secret")

    monkeypatch.setattr(ahead, "_loaded", loaded)
    role = "arn:aws:iam::123456789012:role/a"
    ours = [settings(assume_role_arn=role, assume_role_external_id=one) for one in ("a", "b")]
    ahead.ask(*ours)()
    assert [ahead.loader(one)().access_key for one in ours] == ["a", "b"]


def test_missing_credentials_are_no_news_until_the_next_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    ours = settings()
    ahead.ask(ours)()
    credentials_of(monkeypatch, "AKIDLATER")
    load = ahead.loader(ours)
    with pytest.raises(CredentialsError, match="no AWS credentials found"):
        load()
    assert load().access_key == "AKIDLATER"


@pytest.mark.parametrize(
    "more",
    [
        {"aws_access_key_id": "AKIDSETTINGS", "aws_secret_access_key": "secret"},
        {"signature_version": "unsigned"},
    ],
)
def test_credentials_that_are_given_or_not_needed_are_not_looked_for(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, str]
) -> None:
    def chain(**_: Any) -> Any:
        return lambda: pytest.fail("looked for")

    monkeypatch.setattr(ahead, "chain", chain)
    assert ahead._find_out([settings(**more)])[0].credentials is None


def test_a_gateway_whose_credentials_do_not_expire_never_imports_botocore(tmp_path: Path) -> None:
    script = """
import asyncio, sys
from gateway.config.load import load
from gateway.storage.s3 import ahead, endpoint

settings = load({"storage.bucket": "packages", "storage.region_name": "eu-west-1", "server.port": "0"}, cwd="/")
ahead.ask(settings.storage)

from gateway.app import Gateway

async def run():
    gateway = Gateway(settings)
    await gateway.start()
    await gateway.stop()

asyncio.run(run())
print("botocore" in sys.modules)
"""
    environment = gateway_environment(tmp_path) | {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": "secret"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
