"""Raw HTTP/1.1 for tests: what no well-behaved client would send, and every byte of what comes back."""

import asyncio
from dataclasses import dataclass


@dataclass
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes
    head: bytes


async def exchange(port: int, request: bytes, *, end: bool = False) -> bytes:
    """Sends `request`, returns all that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        if end:
            writer.write_eof()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def fetch(port: int, target: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> RawAnswer:
    """One request with `target` byte for byte, on a connection of its own."""
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    data = await exchange(port, "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    parsed = {name.lower(): value for name, _, value in (line.partition(": ") for line in fields)}
    return RawAnswer(int(first.split(" ")[1]), parsed, body, head)
