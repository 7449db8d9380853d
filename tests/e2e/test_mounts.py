"""Two S3 servers and a directory behind one gateway, and real clients at an index over all of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from tests.conftest import StartProcess
from tests.e2e.test_clients import python, uv
from tests.e2e.test_status import installed
from tests.support.bucket import Bucket
from tests.support.moto import Moto
from tests.support.wheels import wheel

__all__ = ["python"]


@pytest.fixture
def moto_bucket() -> Iterator[Bucket]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield Bucket(Moto(f"http://{host}:{port}"))
    server.stop()


def storage_of(bucket: Bucket) -> dict[str, str]:
    return {name.removeprefix("storage."): value for name, value in bucket.settings().items()}


@pytest.mark.parametrize("client", ["pip", "uv"])
def test_a_release_and_what_it_requires_come_from_several_buckets(
    start_process: StartProcess, bucket: Bucket, moto_bucket: Bucket, tmp_path: Path, python: str, client: str
) -> None:
    files = [
        (bucket, wheel("teamapp", "1.0", requires=("teamlib>=1", "shared"))),
        (moto_bucket, wheel("teamlib", "1.5")),
    ]
    for place, (name, content) in files:
        place.put(f"{name.partition('-')[0]}/{name}", content)
    newer, older = wheel("shared", "9.0"), wheel("shared", "1.0")
    moto_bucket.put(f"shared/{newer[0]}", newer[1])
    folder = tmp_path / "files" / "shared"
    folder.mkdir(parents=True)
    (folder / older[0]).write_bytes(older[1])
    mounts = [
        {"name": "moto", "path": "/moto", "storage": storage_of(moto_bucket)},
        {"name": "files", "path": "/files", "storage": {"dir": str(folder.parent)}},
        {"name": "all", "path": "/all", "members": ["files", "default", "moto"]},
    ]
    config = tmp_path / "c.yaml"
    config.write_text(json.dumps({"storage": storage_of(bucket), "mounts": mounts}))
    url = start_process({}, {"GATEWAY_CONFIG": str(config)}).wait_until_it_listens()
    target = tmp_path / "target"
    command = {
        "pip": [python, "-m", "pip", "install", "--no-input", "--index-url", f"{url}/all/simple/"],
        "uv": [uv(), "pip", "install", "--no-cache", "--python", python, "--default-index", f"{url}/all/simple/"],
    }[client]
    code, output = installed(tmp_path, *command, "--target", str(target), "teamapp")
    assert code == 0, output
    found = {path.name.partition(".dist-info")[0] for path in target.glob("*.dist-info")}
    assert found == {"teamapp-1.0", "teamlib-1.5", "shared-1.0"}, "the first that has a project serves all of it"
