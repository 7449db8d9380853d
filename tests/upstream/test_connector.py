"""The way to the storage: proxies, certificates, and what can't be used."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.config.load import load
from gateway.errors import ConfigError, UpstreamError
from gateway.upstream.connector import Connector
from gateway.upstream.proxy import Proxy as UpstreamProxy
from tests.conftest import StartGateway
from tests.support import faults
from tests.support.certificates import self_signed
from tests.support.faults import FaultyBucket
from tests.support.http import fetch


@dataclass
class Proxy:
    """An HTTP proxy on loopback that sends everything to one port, and remembers what it was asked."""

    target: int
    tls: ssl.SSLContext | None = None
    answer: str = "200 Connection established"
    heads: list[str] = field(default_factory=list)
    port: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head.decode())
        behind, ahead = await asyncio.open_connection("127.0.0.1", self.target)
        if head.startswith(b"CONNECT"):
            writer.write(f"HTTP/1.1 {self.answer}\r\n\r\n".encode())
            if not self.answer.startswith("200"):
                writer.close()
                ahead.close()
                return
        else:
            ahead.write(head.replace(f"http://127.0.0.1:{self.target}".encode(), b"", 1))
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(pump(reader, ahead), pump(behind, writer))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    return self_signed(tmp_path)


@pytest.fixture
async def encrypted(faulty: FaultyBucket, certificate: tuple[Path, Path]) -> AsyncIterator[int]:
    """The port of the faulty bucket in TLS, which asks for a client's certificate but does not insist."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    context.load_verify_locations(certificate[0])
    context.verify_mode = ssl.CERT_OPTIONAL

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peercert"))
        await faulty._serve(reader, writer)

    peers.clear()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


peers: list[object] = []


async def get(gateway: Gateway, target: str = "/k") -> tuple[int, bytes]:
    answer = await fetch(int(gateway.url.rpartition(":")[2]), target)
    return answer.status, answer.body


@pytest.fixture(autouse=True)
def _content(faulty: FaultyBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty.objects["k"] = b"content"
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


async def test_http_goes_to_the_proxy_in_absolute_form(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str]
) -> None:
    async with Proxy(faulty.port).running() as proxy:
        address = f"http://us%40er:pass@127.0.0.1:{proxy.port}"
        gateway = await start_gateway(faulty_settings | {"storage.proxies": address})
        assert await get(gateway) == (200, b"content")
        [head] = proxy.heads
        assert head.startswith(f"GET http://127.0.0.1:{faulty.port}/teams-bucket/k HTTP/1.1\r\n")
        assert f"Proxy-Authorization: Basic {base64.b64encode(b'us@er:pass').decode()}\r\n" in head


@pytest.mark.parametrize("proxy_in_tls", [False, True])
async def test_https_goes_through_a_tunnel(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    encrypted: int,
    certificate: tuple[Path, Path],
    proxy_in_tls: bool,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if proxy_in_tls else None
    if context is not None:
        context.load_cert_chain(*certificate)
    faulty.objects["large"] = bytes(3_000_000)
    async with Proxy(encrypted, context).running() as proxy:
        address = f"{'https' if proxy_in_tls else 'http'}://user:secret@127.0.0.1:{proxy.port}"
        changes = {
            "storage.endpoint_url": f"https://127.0.0.1:{encrypted}",
            "storage.verify": str(certificate[0]),
            "storage.proxies": f"https={address}",
        }
        gateway = await start_gateway(faulty_settings | changes)
        assert await get(gateway) == (200, b"content")
        assert (await get(gateway, "/large"))[1] == faulty.objects["large"]
        [head] = proxy.heads
        assert head.startswith(f"CONNECT 127.0.0.1:{encrypted} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic " in head
        assert "Authorization: AWS4" not in head, "the proxy sees no signature"
        assert "proxy-authorization" not in faulty.requests[0].headers, "the bucket sees no proxy's password"


async def test_a_proxy_that_refuses_is_a_502_that_the_log_explains(
    start_gateway: StartGateway, faulty_settings: dict[str, str], encrypted: int, certificate: tuple[Path, Path]
) -> None:
    async with Proxy(encrypted, answer="407 Proxy Authentication Required").running() as proxy:
        changes = {
            "storage.endpoint_url": f"https://127.0.0.1:{encrypted}",
            "storage.verify": str(certificate[0]),
            "storage.proxies": f"http://127.0.0.1:{proxy.port}",
            "storage.max_attempts": "1",
        }
        gateway = await start_gateway(faulty_settings | changes)
        assert (await get(gateway))[0] == 502
        ready = await get(gateway, "/ready")
        assert b"refused a tunnel" in ready[1]
        assert b"407" in ready[1]


async def test_a_connection_to_a_proxy_that_refuses_is_closed() -> None:
    """Even if the proxy would keep it."""
    ended = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    connector = Connector(connect_timeout=5, read_timeout=5, proxies={"https": UpstreamProxy.parse(address)})
    with pytest.raises(UpstreamError, match="refused a tunnel"):
        await connector.connect("https", "bucket.example")
    async with asyncio.timeout(5):
        await ended.wait()
    server.close()


async def test_proxies_of_the_environment_are_used_unless_others_are_set(
    start_gateway: StartGateway,
    faulty: FaultyBucket,
    faulty_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Proxy(faulty.port).running() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        assert await get(await start_gateway(faulty_settings)) == (200, b"content")
        assert len(proxy.heads) == 1
        assert await get(await start_gateway(faulty_settings | {"storage.proxies": "{}"})) == (200, b"content")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert await get(await start_gateway(faulty_settings)) == (200, b"content")
        assert len(proxy.heads) == 1


@pytest.mark.parametrize("in_one_file", [False, True])
async def test_the_bucket_sees_our_certificate(
    start_gateway: StartGateway,
    faulty_settings: dict[str, str],
    encrypted: int,
    certificate: tuple[Path, Path],
    in_one_file: bool,
    tmp_path: Path,
) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(certificate[0].read_bytes() + certificate[1].read_bytes())
    changes = {"storage.endpoint_url": f"https://127.0.0.1:{encrypted}", "storage.verify": str(certificate[0])}
    assert await get(await start_gateway(faulty_settings | changes)) == (200, b"content")
    assert peers == [{}] or peers == [None]
    peers.clear()
    given = str(both) if in_one_file else ",".join(map(str, certificate))
    assert await get(await start_gateway(faulty_settings | changes | {"storage.client_cert": given})) == (
        200,
        b"content",
    )
    [peer] = peers
    assert peer


@pytest.mark.parametrize("key", ["storage.verify", "storage.client_cert"])
async def test_a_file_that_is_no_certificate_is_an_error_at_start(
    faulty_settings: dict[str, str], tmp_path: Path, key: str
) -> None:
    (tmp_path / "nonsense.pem").write_text("nonsense")
    changes = {key: str(tmp_path / "nonsense.pem"), "server.port": "0"}
    gateway = Gateway(load(faulty_settings | changes, environ={}, cwd=tmp_path))
    with pytest.raises(ConfigError) as refused:
        await gateway.start()
    assert [problem.key for problem in refused.value.problems] == [key]


@pytest.mark.parametrize("given", ["ftp://proxy", "https=proxy:3128", "socks=http://proxy:3128", "http://proxy:port"])
def test_proxies_that_can_t_be_are_refused(given: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load({"storage.proxies": given}, environ={}, cwd=Path("/"))
    assert [problem.key for problem in refused.value.problems] == ["storage.proxies"]


async def test_a_proxy_s_password_is_not_told(faulty_settings: dict[str, str]) -> None:
    settings = load(faulty_settings | {"storage.proxies": "http://user:secret@proxy:3128"}, environ={})
    assert "secret@" not in repr(settings)
    assert faults.BUCKET in repr(settings)
    with pytest.raises(ConfigError) as refused:
        load({"storage.proxies": "http://user:secret@proxy:port"}, environ={})
    assert "secret" not in str(refused.value)
