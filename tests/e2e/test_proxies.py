"""Behind a proxy, many clients share a few connections to the gateway: no answer may reach the wrong one."""

import asyncio
import contextlib
import re
from pathlib import Path

import pytest

from gateway.app import Gateway
from tests.conftest import StartGateway
from tests.support import proxies
from tests.support.eventually import eventually
from tests.support.faults import FaultyBucket

CLIENTS = 8
ATTACKERS = 4
ROUNDS = 60


class Client:
    """One connection to the proxy, made anew where the proxy has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, data: bytes) -> None:
        if self._writer is None:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(30):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\nContent-Length: *(\d+)", head)
            body = await self._reader.readexactly(int(length[1])) if length else b""
        if re.search(rb"(?i)\r\nConnection: *close", head):
            await self.close()
        return int(head.split(b" ")[1]), body

    async def ask(self, target: str) -> tuple[int, bytes]:
        await self.send(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        return await self.answer()

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(ConnectionError):
                await self._writer.wait_closed()
            self._writer = None


class Heads:
    """What arrives at the gateway, piece by piece, and which of it has a hot reply."""

    def __init__(self, gateway: Gateway) -> None:
        assert gateway._main is not None
        server = gateway._main.server
        again = server.lookup
        self.seen: set[bytes] = set()
        self.hits = 0
        self._awaited: dict[bytes, asyncio.Event] = {}

        def spy(head: bytes, peer: str) -> bytes | None:
            self.seen.add(head)
            for text, arrived in self._awaited.items():
                if text in head:
                    arrived.set()
            reply = again(head, peer)
            self.hits += reply is not None
            return reply

        server.lookup = spy

    def of(self, text: bytes) -> list[bytes]:
        return [head for head in self.seen if text in head]

    async def until(self, text: bytes) -> None:
        """Until one has arrived in which there is `text`."""
        self._awaited[text] = arrived = asyncio.Event()
        try:
            if not self.of(text):
                await arrived.wait()
        finally:
            del self._awaited[text]


@pytest.mark.parametrize("proxy", proxies.PROXIES)
async def test_no_answer_reaches_another_client(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, proxy: str
) -> None:
    if (reason := proxies.unavailable(proxy)) is not None:
        pytest.skip(reason)
    faulty.objects = {f"{number}.txt": b"content of %d" % number for number in range(CLIENTS)}
    faulty.objects["evil.txt"] = b"the attacker's"
    trusting = {"server.trusted_proxies": "127.0.0.0/8", "cache.memory_bytes": "1000000"}
    gateway = await start_gateway(faulty_settings | trusting)
    heads = Heads(gateway)
    upstream = int(gateway.url.rpartition(":")[2])
    done = asyncio.Event()

    async def client(port: int, number: int) -> None:
        own = Client(port)
        for _ in range(ROUNDS):
            assert await own.ask(f"/{number}.txt") == (200, b"content of %d" % number)
            assert (await own.ask(f"/absent-{number}"))[0] == 404
            status, body = await own.ask("/health")
            assert (status, body.startswith(b'{"status":')) == (200, True), body
        await own.close()

    async def keep_hot(request: bytes) -> None:
        """Straight to the gateway, byte for byte as the proxy asks."""
        direct = Client(upstream)
        while not done.is_set():
            await direct.send(request)
            assert (await direct.answer())[1] == b"the attacker's"
            await asyncio.sleep(0.02)
        await direct.close()

    async def attack(port: int, number: int, request: bytes) -> None:
        """A body that is a request with a hot reply, sent when its head has arrived at the gateway."""
        turn = 0
        while not done.is_set():
            turn += 1
            method, expect = ("GET", "") if turn % 2 else ("PUT", "Expect: 100-continue\r\n" if turn % 4 else "")
            mark = f"/health?{number}-{turn}"
            own = Client(port)
            await own.send(
                f"{method} {mark} HTTP/1.1\r\nHost: h\r\n{expect}Content-Length: {len(request)}\r\n\r\n".encode()
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):  # a proxy may wait for the body
                    await heads.until(f"{mark} ".encode())
            for _ in range(turn % 7):
                await asyncio.sleep(0)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await own.send(request)
                while (await own.answer())[0] == 100:
                    pass
            await own.close()

    async with proxies.running(proxy, tmp_path, upstream) as port:
        first = Client(port)
        assert await first.ask("/evil.txt") == (200, b"the attacker's")
        await first.close()
        await eventually(lambda: bool(heads.of(b" /evil.txt ")))
        (request,) = heads.of(b" /evil.txt ")
        others = [asyncio.ensure_future(keep_hot(request))]
        others += [asyncio.ensure_future(attack(port, number, request)) for number in range(ATTACKERS)]
        try:
            await asyncio.gather(*(client(port, number) for number in range(CLIENTS)))
        finally:
            done.set()
            await asyncio.gather(*others)
    assert heads.hits > 0
