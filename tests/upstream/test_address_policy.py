"""Where another index may lead, and that it is the address that was looked at which is connected to."""

import asyncio
import socket
import threading
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.executors import name_resolvers
from gateway.upstream.address_policy import AddressPolicy, is_public
from gateway.upstream.circuits import Circuits
from gateway.upstream.client import Client
from gateway.upstream.connector import REFUSED, Connector
from gateway.upstream.proxy import Proxy

POLICY = AddressPolicy("http://index.corp:3141/root/", ["files.corp", "10.0.0.7:8081", "[fd00::7]:80"])


@pytest.mark.parametrize(
    "address",
    ["151.101.0.223", "8.8.8.8", "2a04:4e42::223", "::ffff:8.8.8.8", "64:ff9b::808:808", "172.32.0.1", "100.128.0.1"],
)
def test_public_addresses(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *(
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "192.0.0.192",
            "224.0.0.1",
            "239.255.255.250",
        ),
        *("240.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "fe80::1%2", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1"),
        *(
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "2002:7f00:1::",
            "2002:a00:1::",
            "2001:0:1::1",
        ),
    ],
)
def test_other_addresses(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    ("name", "port", "expected"),
    [
        ("index.corp", 3141, True),
        ("INDEX.corp.", 3141, True),
        ("index.corp", 6379, False),
        ("files.corp", 1, True),
        ("10.0.0.7", 8081, True),
        ("10.0.0.7", 80, False),
        ("fd00::7", 80, True),
        ("evil.corp", 3141, False),
    ],
)
def test_its_own_server_is_trusted_at_its_port_and_those_that_are_named(name: str, port: int, expected: bool) -> None:
    assert POLICY.trusts(name, port) is expected


def test_the_port_may_be_the_scheme_s() -> None:
    assert AddressPolicy("https://index.corp/", []).trusts("index.corp", 443)
    assert not AddressPolicy("https://index.corp/", []).trusts("index.corp", 80)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("files.example", True),
        ("8.8.8.8", True),
        ("134744072", True),
        *((name, False) for name in ("localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "::1", "fd00::1")),
        *((name, False) for name in ("127.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0")),
    ],
)
def test_names_that_a_proxy_resolves(name: str, expected: bool) -> None:
    assert POLICY.permits_name(name) is expected


class Only(AddressPolicy):
    """Permits one address, as if it were public, and remembers what it was asked."""

    def __init__(self, address: str) -> None:
        super().__init__("http://index.corp/", [])
        self._address = address
        self.asked: list[str] = []

    def permits(self, address: str) -> bool:
        self.asked.append(address)
        return address == self._address


def connector(policy: AddressPolicy, proxies: dict[str, Proxy] | None = None) -> Connector:
    return Connector(connect_timeout=5, read_timeout=5, policy=policy, proxies=proxies or {})


async def listening(stack: AsyncExitStack, addresses: list[str]) -> tuple[int, list[str]]:
    """On one port of all addresses; and to which of them clients come."""
    came: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(writer.get_extra_info("sockname")[0])
        writer.close()

    port = 0
    for address in addresses:
        server = await asyncio.start_server(serve, address, port)
        stack.callback(server.close)
        port = server.sockets[0].getsockname()[1]
    return port, came


async def test_a_connection_goes_to_an_address_that_was_permitted_and_to_no_other() -> None:
    """A name that has two addresses, one of them internal; or another address each time that it is resolved."""
    found = await asyncio.get_running_loop().getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    async with AsyncExitStack() as stack:
        port, came = await listening(stack, addresses)
        for address in addresses:
            policy = Only(address)
            connection = await connector(policy).connect("http", f"localhost:{port}")
            assert connection._transport is not None
            assert connection._transport.get_extra_info("peername")[0] == address
            connection.close()
            assert policy.asked == addresses
        for host in ("localhost", *(f"[{address}]" if ":" in address else address for address in addresses)):
            with pytest.raises(UpstreamError, match=r"fallback\.allow_hosts") as refused:
                await connector(POLICY).connect("http", f"{host}:{port}")
            assert refused.value.code == REFUSED
    assert len(came) <= len(addresses), "who is refused is not even connected to"


async def test_a_server_that_is_refused_is_not_taken_for_one_that_is_down() -> None:
    """Its breaker would tell /ready and the metrics a name that a stranger has made up."""
    circuits = Circuits()
    client = Client(connector(POLICY), max_connections=2, circuits=circuits)
    for _ in range(20):
        with pytest.raises(UpstreamError) as refused:
            await client.send("GET", "http", "127.0.0.1:1", "/", {})
        assert refused.value.code == REFUSED
    assert circuits.down() == {}


async def test_another_address_is_tried_where_one_does_not_answer() -> None:
    class Both(Only):
        def permits(self, address: str) -> bool:
            return True

    async with AsyncExitStack() as stack:
        port, _ = await listening(stack, ["127.0.0.1"])
        (await connector(Both("")).connect("http", f"localhost:{port}")).close()
    with pytest.raises(UpstreamError, match="can't connect"):
        await connector(Both("")).connect("http", f"localhost:{port}")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_is_not_asked_for_an_address_that_is_not_public(scheme: str) -> None:
    async with AsyncExitStack() as stack:
        port, came = await listening(stack, ["127.0.0.1"])
        proxies = {scheme: Proxy(False, "127.0.0.1", port)}
        with pytest.raises(UpstreamError, match=r"fallback\.allow_hosts"):
            await connector(POLICY, proxies).connect(scheme, "169.254.169.254")
        assert came == []


async def test_names_that_strangers_made_up_hold_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their servers may take as long as they want, and a thread that resolves a name can't be told to give up."""
    resolve, answered = socket.getaddrinfo, threading.Event()

    def slowly(host: str, *rest: Any, **more: Any) -> Any:
        if host.endswith(".evil.example"):
            answered.wait(20)
            host = "127.0.0.1"
        return resolve(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    name_resolvers()
    many = [asyncio.ensure_future(connector(POLICY).connect("http", f"{n}.evil.example")) for n in range(40)]
    try:
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
            assert await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
    finally:
        answered.set()
        refused = await asyncio.gather(*many, return_exceptions=True)
    assert {getattr(error, "code", None) for error in refused} == {REFUSED}
