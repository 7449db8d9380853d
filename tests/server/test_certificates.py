"""The certificate follows its files; what can't be used leaves the former in force."""

import asyncio
import logging
import ssl
from pathlib import Path

import aiohttp
import pytest

from gateway.access import file_watch
from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support.certificates import self_signed
from tests.support.eventually import eventually
from tests.support.reloadable import Reloadable


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_watch, "_SECONDS", 0.02)


def pair(directory: Path, name: str) -> tuple[Path, Path]:
    (directory / name).mkdir()
    return self_signed(directory / name)


def shown(gateway: Gateway) -> str:
    """The certificate that a new connection gets."""
    return ssl.get_server_certificate(("127.0.0.1", int(gateway.url.rpartition(":")[2])))


async def test_a_renewed_certificate_is_for_new_connections(
    start_gateway: StartGateway, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = pair(tmp_path, "in-use")
    former, renewed = pair(tmp_path, "former"), pair(tmp_path, "renewed")
    for path, source in zip((certificate, key), former, strict=True):
        path.write_bytes(source.read_bytes())
    gateway = await start_gateway({"server.tls_cert": str(certificate), "server.tls_key": str(key)})
    context = ssl.create_default_context(cafile=former[0])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=1)) as session:
        async with session.get(f"{gateway.url}/health") as answer:
            assert answer.status == 200
        with caplog.at_level(logging.ERROR):
            certificate.write_bytes(renewed[0].read_bytes())  # its key does not come yet
            await eventually(lambda: "can't be used, the former stays" in caplog.text)
        assert await asyncio.to_thread(shown, gateway) == former[0].read_text()
        key.write_bytes(renewed[1].read_bytes())
        while await asyncio.to_thread(shown, gateway) != renewed[0].read_text():
            pass
        async with session.get(f"{gateway.url}/health") as answer:
            assert answer.status == 200, "a connection that is open keeps its certificate"
    assert caplog.text.count("can't be used") == 1


async def test_a_reload_names_other_files(reloadable: Reloadable, tmp_path: Path) -> None:
    first, second = pair(tmp_path, "first"), pair(tmp_path, "second")

    def server(files: tuple[Path, Path]) -> dict[str, str]:
        return {"tls_cert": str(files[0]), "tls_key": str(files[1])}

    reloadable.write(server=server(first), storage={"dir": str(tmp_path)})
    await reloadable.start()
    reloadable.http._connector = aiohttp.TCPConnector(ssl=False)
    assert await asyncio.to_thread(shown, reloadable.gateway) == first[0].read_text()
    reloadable.write(server=server((first[0], second[1])), storage={"dir": str(tmp_path)})
    status, told = await reloadable.reload()
    assert (status, "belonging together" in told["mistakes"][0]) == (422, True)
    assert await asyncio.to_thread(shown, reloadable.gateway) == first[0].read_text()
    reloadable.write(server=server(second), storage={"dir": str(tmp_path)})
    assert (await reloadable.reload())[0] == 200
    assert await asyncio.to_thread(shown, reloadable.gateway) == second[0].read_text()
    reloadable.write(storage={"dir": str(tmp_path)})
    assert (await reloadable.reload())[1]["restart"] == ["server.tls_cert", "server.tls_key"]
    assert await asyncio.to_thread(shown, reloadable.gateway) == second[0].read_text()
