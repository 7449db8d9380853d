"""Releases promoted on real servers: within a bucket, to another one, and to another server."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from packaging.version import Version

from gateway.cli.promote.run import Wish, run
from gateway.cli.publish.report import CONFLICT
from gateway.cli.publish.run import Wish as Publish
from gateway.cli.publish.run import publish
from gateway.config.load import load
from gateway.config.settings import Settings
from tests.support.bucket import Bucket
from tests.support.moto import Moto
from tests.support.wheels import wheel

FILE, CONTENT = wheel("acme_web", "1.0+cu1")
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def moto_server() -> Iterator[Moto]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Moto(f"http://{host}:{port}")
    server.stop()


@pytest.fixture
def moto(moto_server: Moto) -> Bucket:
    return Bucket(moto_server)


@pytest.fixture(params=["seaweed", "moto"])
def either(request: pytest.FixtureRequest) -> Bucket:
    found = request.getfixturevalue("bucket" if request.param == "seaweed" else "moto")
    assert isinstance(found, Bucket)
    return found


def settings(bucket: Bucket, tmp_path: Path, prefix: str = "dev/") -> Settings:
    return load(bucket.settings(storage__prefix=prefix, publish__beacon="true"), environ={}, cwd=tmp_path)


async def published(bucket: Bucket, tmp_path: Path) -> Settings:
    (tmp_path / FILE).write_bytes(CONTENT)
    source = settings(bucket, tmp_path)
    assert await publish(source, Publish([tmp_path / FILE]), lambda line: None) == 0
    return source


async def promoted(source: Settings, to: str) -> tuple[int, list[str]]:
    said: list[str] = []
    return await run(source, Wish("acme-web", Version("1.0+cu1"), to), said.append), said


def found(bucket: Bucket, key: str) -> Any:
    return bucket.client.get_object(Bucket=bucket.name, Key=key)


async def test_within_a_server_no_bytes_pass_through(either: Bucket, tmp_path: Path) -> None:
    source, other = await published(either, tmp_path), Bucket(either.server)
    for bucket, prefix in ((either, "prod/"), (other, "")):
        to = f"s3://{bucket.name}/{prefix}"
        assert await promoted(source, to) == (0, [f"{FILE}: promoted"])
        copy = found(bucket, f"{prefix}acme-web/{FILE}")
        assert copy["Body"].read() == CONTENT
        assert copy["Metadata"]["sha256"] == SHA256
        assert copy["Metadata"]["upload-time"] == found(either, f"dev/acme-web/{FILE}")["Metadata"]["upload-time"]
        assert copy["ETag"].endswith('-1"') == isinstance(either.server, Moto)  # whose copies heed no condition
        assert json.load(found(bucket, f"{prefix}.gateway/epoch")["Body"])["changes"][0][1] == "acme-web"
        assert await promoted(source, to) == (0, [f"{FILE}: there already"])
        keys = [item["Key"] for item in bucket.client.list_objects_v2(Bucket=bucket.name, Prefix=prefix)["Contents"]]
        assert [key for key in keys if "probe" in key] == []
    other.put(f"acme-web/{FILE}", b"other")
    assert (await promoted(source, f"s3://{other.name}"))[0] == CONFLICT


async def test_to_another_server_the_bytes_pass_through(bucket: Bucket, moto: Bucket, tmp_path: Path) -> None:
    source = await published(bucket, tmp_path)
    said = {name.removeprefix("storage."): value for name, value in moto.settings().items()}
    (tmp_path / "prod.yaml").write_text(json.dumps({"storage": said}))
    assert await promoted(source, str(tmp_path / "prod.yaml")) == (0, [f"{FILE}: promoted"])
    copy = found(moto, f"acme-web/{FILE}")
    assert (copy["Body"].read(), copy["ContentType"]) == (CONTENT, "application/zip")
    assert copy["Metadata"]["sha256"] == SHA256
