"""Uploads through the gateway, beside the same bytes sent straight to the bucket."""

import asyncio
import mmap
import random
import subprocess
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b, md5, sha256
from pathlib import Path

import aiohttp

from tests.bench.measure import cpu_seconds, peak_rss_megabytes, process_tree, rss_megabytes
from tests.support.process import GatewayProcess
from tests.support.uploads import BOUNDARY, FORM, fields
from tests.support.wheels import wheel
from tests.support.workers import free_port

# What one connection to AWS takes.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-design-patterns.html
BYTES_A_SECOND = 90e6
_PIECE_BYTES = 256 * 1024
_SETTINGS = {
    "storage.bucket": "sink",
    "storage.addressing_style": "path",
    "storage.region_name": "us-east-1",
    "storage.aws_access_key_id": "AKIDBENCH",
    "storage.aws_secret_access_key": "secret-of-bench",
    "publish.enabled": "true",
    "publish.allow_anonymous": "true",
    "log.access": "false",
    "server.shutdown_grace": "1",
}


@dataclass(frozen=True)
class Upload:
    """What one upload cost: seconds, straight and through the gateway; CPU of the gateway in ms for each MB; and by how
    many MB its memory grew over what it was before."""

    straight: float
    through: float
    cpu_ms: float
    grown: float


@contextmanager
def sink(pace: float) -> Iterator[str]:
    """The URL of a bucket that takes `pace` bytes a second from each connection."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.sink", str(port), str(pace)])
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def measure(run: Path, megabytes: int, rounds: int, pace: float = BYTES_A_SECOND) -> Upload:
    """The best of some rounds, in each of which the bytes go both ways. Memory is that of the first, in a gateway that
    has taken one small file."""
    path = _large_wheel(run, megabytes)
    with sink(pace) as url, path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        gateway = GatewayProcess(run / f"uploads-{megabytes}", _SETTINGS | {"storage.endpoint_url": url})
        try:
            gateway_url, pid = gateway.wait_until_it_listens(), gateway.process.pid
            small, data = wheel("warm", "1.0")
            asyncio.run(_publish(gateway_url, small, data, _digests(data)))
            digests = _digests(content)
            before, best = rss_megabytes(pid), Upload(1e9, 1e9, 1e9, 0)
            grown = 0.0
            for _ in range(rounds):
                straight = _seconds(_send(f"{url}/sink/straight", content, b"", b"", "PUT"))
                pids = process_tree(pid)
                cpu = cpu_seconds(pids)
                through = _seconds(_publish(gateway_url, path.name, content, digests))
                cpu = (cpu_seconds(pids) - cpu) * 1000 / megabytes
                grown = grown or peak_rss_megabytes(pid) - before
                best = Upload(min(best.straight, straight), min(best.through, through), min(best.cpu_ms, cpu), grown)
            return best
        finally:
            gateway.stop()


def _large_wheel(run: Path, megabytes: int) -> Path:
    name, small = wheel("large", "1.0")
    path = run / name
    block = random.Random(1).randbytes(1 << 20)
    (run / "small.whl").write_bytes(small)
    with zipfile.ZipFile(run / "small.whl") as source, zipfile.ZipFile(path, "w") as archive:
        with archive.open("large/data.bin", "w", force_zip64=True) as member:
            for _ in range(megabytes):
                member.write(block)
        for entry in source.namelist():
            archive.writestr(entry, source.read(entry))
    return path


def _digests(content: "bytes | mmap.mmap") -> dict[str, str]:
    return {
        "sha256_digest": sha256(content).hexdigest(),
        "blake2_256_digest": blake2b(content, digest_size=32).hexdigest(),
        "md5_digest": md5(content, usedforsecurity=False).hexdigest(),
    }


async def _publish(url: str, name: str, content: "bytes | mmap.mmap", digests: dict[str, str]) -> None:
    def part(disposition: str, value: bytes) -> bytes:
        return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode() + value

    said = fields(name, b"") | digests
    before = b"".join(part(f'name="{key}"', value.encode() + b"\r\n") for key, value in said.items())
    before += part(f'name="content"; filename="{name}"', b"")
    await _send(f"{url}/legacy/", content, before, f"\r\n--{BOUNDARY}--\r\n".encode(), "POST")


async def _send(url: str, content: "bytes | mmap.mmap", before: bytes, after: bytes, method: str) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield before
        for start in range(0, len(content), _PIECE_BYTES):
            yield content[start : start + _PIECE_BYTES]
        yield after

    headers = FORM | {"Content-Length": str(len(before) + len(content) + len(after))}
    timeout = aiohttp.ClientTimeout(total=900)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, url, data=pieces(), headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()


def _seconds(sending: Coroutine[None, None, None]) -> float:
    started = time.monotonic()
    asyncio.run(sending)
    return time.monotonic() - started
