"""The composition root: which storage the settings name, and what happens when it can't be had."""

import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError, UpstreamError
from gateway.messages import ObjectRequest, Stream
from gateway.storage.budgets import Budgets
from gateway.storage.local.storage import LocalStorage
from gateway.storage.s3.storage import S3Storage
from gateway.storage.stack import build_backend, build_storage
from tests.conftest import StartGateway
from tests.support.http import fetch
from tests.support.layers import layer


class Custom(LocalStorage):
    """A backend of somebody else's: made from the storage settings."""

    def __init__(self, settings: object) -> None:
        super().__init__(settings.dir)  # type: ignore[attr-defined]


class Breaking(Custom):
    """One that is far away: its first body breaks off half-way."""

    local = False

    def __init__(self, settings: object) -> None:
        super().__init__(settings)
        self.asked: list[tuple[str, str, str | None]] = []

    async def fetch(self, request: ObjectRequest) -> Stream:
        self.asked.append((request.method, request.key, request.headers.get("range")))
        stream = await super().fetch(request)
        stream = replace(stream, parts=None, content=None)
        if len(self.asked) == 1 and stream.body is not None:
            stream.body = half(stream.body)
        return stream


async def half(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    chunk = await anext(body)
    yield chunk[: len(chunk) // 2]
    raise UpstreamError("the connection broke", code="ConnectionBroken")


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, LocalStorage),
        ({"storage.bucket": "packages"}, S3Storage),
        ({"storage.bucket": "packages", "storage.backend": "file"}, LocalStorage),
        ({"storage.backend": "tests.test_app:Custom"}, LocalStorage),
    ],
)
def test_the_backend_that_is_named(settings: dict[str, str], kind: type) -> None:
    assert isinstance(build_backend(load(settings, environ={}, cwd=Path("/"))), kind)


async def test_a_backend_of_somebody_else_s_serves(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"content")
    gateway = await start_gateway({"storage.backend": "tests.test_app:Custom", "storage.dir": str(tmp_path)})
    assert (await fetch(int(gateway.url.rpartition(":")[2]), "/k")).body == b"content"


async def test_a_backend_of_somebody_else_s_is_resumed_and_cached(start_gateway: StartGateway, tmp_path: Path) -> None:
    (tmp_path / "k.whl").write_bytes(body := bytes(range(256)) * 16)
    settings = {"storage.backend": "tests.test_app:Breaking", "storage.dir": str(tmp_path)}
    gateway = await start_gateway(settings | {"cache.memory_bytes": "1000000"})
    port = int(gateway.url.rpartition(":")[2])
    first, second = await fetch(port, "/k.whl"), await fetch(port, "/k.whl", headers={"X-Other": "1"})
    assert first.body == second.body == body
    assert layer(gateway.storage, Breaking).asked == [("GET", "k.whl", None), ("GET", "k.whl", "bytes=2048-4095")]
    assert second.headers["cache-status"].startswith("gateway; hit")


@pytest.mark.parametrize("backend", ["no.such.module:Thing", "gateway.app:NoSuchClass"])
def test_a_backend_that_can_t_be_loaded_is_named(backend: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build_storage(load({"storage.backend": backend}, environ={}, cwd=Path("/")))
    assert [problem.key for problem in refused.value.problems] == ["storage.backend"]


async def test_given_credentials_are_used_as_they_are() -> None:
    given = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret", "aws_session_token": "token"}
    settings = load({f"storage.{name}": value for name, value in given.items()}, environ={}, cwd=Path("/"))
    found = await Budgets().credentials(settings.storage).get()
    assert (found.access_key, found.secret_key, found.token, found.provider) == ("AKID", "secret", "token", "settings")


async def test_an_address_that_is_taken_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = Gateway(load({"server.port": str(port)}, environ={}, cwd=tmp_path))
        with pytest.raises(OSError, match="in use"):
            await gateway.start()
