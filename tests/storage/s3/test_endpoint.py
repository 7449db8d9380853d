import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gateway.config.storage_settings import StorageSettings
from gateway.errors import ConfigError
from gateway.messages import Endpoint
from gateway.storage.s3 import endpoint
from gateway.storage.s3.endpoint import resolve


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """botocore reads the process's own environment; and nothing may be sent."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))

    def refuse(*args: object, **options: object) -> None:
        raise AssertionError("something was sent")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    ("settings", "url", "region"),
    [
        ({"bucket": "packages"}, "https://packages.s3.amazonaws.com", "us-east-1"),
        (
            {"bucket": "packages", "region_name": "eu-central-1"},
            "https://packages.s3.eu-central-1.amazonaws.com",
            "eu-central-1",
        ),
        (
            {"bucket": "my.packages", "region_name": "eu-west-1"},
            "https://s3.eu-west-1.amazonaws.com/my.packages",
            "eu-west-1",
        ),
        (
            {"bucket": "packages", "region_name": "eu-west-1", "addressing_style": "path"},
            "https://s3.eu-west-1.amazonaws.com/packages",
            "eu-west-1",
        ),
        (
            {"bucket": "packages", "region_name": "eu-west-1", "use_accelerate_endpoint": True},
            "https://packages.s3-accelerate.amazonaws.com",
            "eu-west-1",
        ),
        (
            {"bucket": "packages", "region_name": "eu-west-1", "use_dualstack_endpoint": True},
            "https://packages.s3.dualstack.eu-west-1.amazonaws.com",
            "eu-west-1",
        ),
        (
            {"bucket": "packages", "region_name": "us-east-1", "use_fips_endpoint": True},
            "https://packages.s3-fips.us-east-1.amazonaws.com",
            "us-east-1",
        ),
        (
            {"bucket": "packages", "region_name": "cn-north-1"},
            "https://packages.s3.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
        ),
        (
            {"bucket": "packages", "region_name": "us-gov-west-1"},
            "https://packages.s3.us-gov-west-1.amazonaws.com",
            "us-gov-west-1",
        ),
        (
            {"bucket": "packages", "endpoint_url": "http://127.0.0.1:9000"},
            "http://127.0.0.1:9000/packages",
            "us-east-1",
        ),
        (
            {"bucket": "packages", "endpoint_url": "https://s3.example:443/base"},
            "https://s3.example/base/packages",
            "us-east-1",
        ),
        (
            {"bucket": "packages", "endpoint_url": "https://s3.example", "addressing_style": "virtual"},
            "https://packages.s3.example",
            "us-east-1",
        ),
        (
            {"bucket": "arn:aws:s3:us-west-2:123456789012:accesspoint/packages"},
            "https://packages-123456789012.s3-accesspoint.us-west-2.amazonaws.com",
            "us-west-2",
        ),
    ],
)
def test_botocore_s_rules_say_where_a_bucket_is(settings: dict[str, Any], url: str, region: str) -> None:
    found = resolve(StorageSettings(**settings))
    assert (found.origin + found.base_path, found.region, found.service) == (url, region, "s3")


def test_a_learnt_region_beats_the_setting() -> None:
    settings = StorageSettings(bucket="packages", region_name="us-east-1")
    assert resolve(settings, "eu-west-1") == Endpoint("https", "packages.s3.eu-west-1.amazonaws.com", "", "eu-west-1")


def test_those_who_ask_at_the_same_time_share_a_client_and_keep_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload may begin a hundred mounts: each client would take a tenth of a second of the processor."""
    build, built, asks = endpoint._build_client, list[object](), threading.Barrier(4)

    def counted(*way: Any) -> Any:
        built.append(way)
        return build(*way)

    def ask(number: int) -> str:
        asks.wait(30)
        return resolve(StorageSettings(bucket=f"bucket-{number}", region_name="eu-west-1")).origin

    class Patient(endpoint.Resolver):
        def resolve(self, settings: StorageSettings, region: str | None = None) -> Endpoint:
            asks.wait(30)
            return super().resolve(settings, region)

    monkeypatch.setattr(endpoint, "_build_client", counted)
    monkeypatch.setattr(endpoint, "Resolver", Patient)
    with ThreadPoolExecutor(4) as pool:
        found = [*pool.map(ask, range(4))]
    assert found == [f"https://bucket-{number}.s3.eu-west-1.amazonaws.com" for number in range(4)]
    assert len(built) == 1
    assert endpoint._at_work == []


def test_the_environment_may_name_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    found = resolve(StorageSettings(bucket="packages"))
    assert found == Endpoint("http", "127.0.0.1:9000", "/packages", "eu-west-1")


@pytest.mark.parametrize(
    ("settings", "key", "reason"),
    [
        ({"bucket": "packages--use1-az4--x-s3", "region_name": "us-east-1"}, "storage.bucket", "v4-s3express"),
        ({"bucket": "packages", "region_name": "not a region"}, "storage.region_name", "not a region"),
        ({"bucket": "packages", "profile_name": "typo"}, "storage.profile_name", "typo"),
        ({"bucket": "in_valid:", "region_name": "us-east-1"}, "storage.bucket", "in_valid:"),
    ],
)
def test_what_fits_no_endpoint_names_the_setting(settings: dict[str, Any], key: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        resolve(StorageSettings.model_construct(**StorageSettings().model_dump() | settings))
    assert refused.value.problems[0].key == key
