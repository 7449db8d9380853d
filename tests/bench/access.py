"""What it costs to know who asks, and what somebody who guesses passwords costs the others."""

import asyncio
import http.client
import json
import multiprocessing
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import mean
from typing import cast
from urllib.parse import urlsplit

import bcrypt
from multidict import CIMultiDict

from gateway.access.build import build_gate
from gateway.access.familiar import FamiliarCredentials
from gateway.config.load import load
from gateway.messages import RequestRecord
from gateway.rights.policy import Resource
from gateway.storage.base import Storage
from tests.bench.measure import each

PASSWORD = "correct horse battery staple"
AUTHORIZATION = "Basic " + b64encode(f"alice:{PASSWORD}".encode()).decode()
GUESSES_A_SECOND = 1000
_CONNECTIONS = 500
_RULES = 50


def settings() -> dict[str, str]:
    """Of a gateway that alice may read, by the last of many rules."""
    rules = [{"projects": [f"team-{number}-*"], "read": ["group:data"], "only": True} for number in range(_RULES)]
    return {
        "access.users": json.dumps({"alice": bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()}),
        "access.default_read": "authenticated",
        "access.rules": json.dumps(rules),
        "log.audit": "false",  # as the other logs
    }


def costs() -> Iterator[tuple[str, float, float | None]]:
    """What, microseconds for one, and how many it may take; in this process."""
    access = load(settings(), environ={}, cwd=Path("/")).access
    assert access is not None
    gate = build_gate(access, cast(Storage, None), lambda: None, Counter(), FamiliarCredentials(), 0)
    record = RequestRecord("id", "GET", "/acme/", "127.0.0.1", "pip", 0.0)
    headers = CIMultiDict({"Host": "gateway", "Authorization": AUTHORIZATION})

    def admit() -> None:
        with suppress(StopIteration):  # it waits for nothing
            gate.admit(record, headers, Resource(("acme",), ("/acme/",)), trusted=False).send(None)
            raise AssertionError("the credential is not remembered")

    asyncio.run(gate.authentication.identify(AUTHORIZATION, "127.0.0.1"))
    yield "credential that is remembered", each(lambda: gate.authentication.known(AUTHORIZATION), 20_000), 10
    yield f"whole decision about a request, {_RULES} rules", each(admit, 20_000), None


@contextmanager
def guessing(url: str) -> Iterator[None]:
    """Somebody at another address tries 1,000 wrong passwords a second, with as many connections as one may have."""
    process = multiprocessing.get_context("spawn").Process(target=_guess, args=(url,), daemon=True)
    process.start()
    try:
        time.sleep(2)
        yield
    finally:
        process.kill()
        process.join()


def _guess(url: str) -> None:
    asyncio.run(_guess_at_once(url))


async def _guess_at_once(url: str) -> None:
    await asyncio.gather(*[_guess_again_and_again(url, number) for number in range(_CONNECTIONS)])


async def _guess_again_and_again(url: str, number: int) -> None:
    """On one of the connections. It sends as often as all together should, if the answers let it."""
    parts, loop = urlsplit(url), asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, local_addr=("127.0.0.2", 0))
    pause, tries = _CONNECTIONS / GUESSES_A_SECOND, 0
    due = loop.time() + pause * number / _CONNECTIONS
    while True:
        await asyncio.sleep(max(due - loop.time(), 0))
        wrong = b64encode(f"alice:{number} {tries}".encode()).decode()
        writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {wrong}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        await reader.readexactly(int(head.lower().partition("content-length: ")[2].split("\r")[0]))
        tries += 1
        due = max(due + pause, loop.time())


def milliseconds(url: str, headers: Mapping[str, str], seconds: float) -> float:
    """What one client waits for an answer, on average."""
    connection = _connection(url, "127.0.0.1")
    path, end, waits = urlsplit(url).path, time.monotonic() + seconds, list[float]()
    while (began := time.monotonic()) < end:
        connection.request("GET", path, headers=dict(headers))
        assert connection.getresponse().read()
        waits.append(time.monotonic() - began)
        time.sleep(0.002)
    connection.close()
    return mean(waits) * 1000


def _connection(url: str, source: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30, source_address=(source, 0))
