"""How much memory a worker takes at most while clients of all kinds ask for all kinds of things at once.

Run as a module, it is what stands behind the gateway in the storm: a bucket with thousands of projects, and another
index with thousands more, both made up as they are asked for.
"""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from email.utils import formatdate
from functools import lru_cache
from hashlib import md5
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

from tests.bench.measure import process_tree, rss_megabytes
from tests.support.process import GatewayProcess
from tests.support.wheels import wheel

PROJECTS = 2000
_FILES = 60
_THEIRS = 300
_FILES_OF_THEIRS = 400
_MB = bytes(1 << 20)
_WATCH_SECONDS = 0.1


@lru_cache(maxsize=256)
def _wheel(project: str) -> bytes:
    return wheel(project, "1.0")[1]


class Far:
    """A bucket at `/bucket/` and another index at `/simple/`."""

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        with suppress(ConnectionError):  # the gateway gave up a transfer
            return await self._answer(request)
        return web.Response(status=500)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = unquote(request.path)
        if path.startswith("/simple/"):
            return self._their_page(request, path.split("/")[2])
        if "list-type" in request.query:
            return self._listing(request.query.get("prefix", ""))
        return await self._object(request, path.removeprefix("/bucket/"))

    def _their_page(self, request: web.BaseRequest, name: str) -> web.Response:
        if not name.startswith("theirs"):
            return web.Response(status=404)
        files = [
            {
                "filename": f"{name}-{number}.0-py3-none-any.whl",
                "url": f"http://{request.host}/files/{name}-{number}.0-py3-none-any.whl",
                "hashes": {"sha256": f"{number:064x}"},
                "requires-python": ">=3.9",
                "size": 1000 + number,
                "upload-time": "2026-01-01T00:00:00Z",
                "core-metadata": {"sha256": f"{number:064x}"},
            }
            for number in range(_FILES_OF_THEIRS)
        ]
        page = {"meta": {"api-version": "1.1"}, "name": name, "versions": [], "files": files}
        return web.Response(text=json.dumps(page), content_type="application/vnd.pypi.simple.v1+json")

    def _listing(self, prefix: str) -> web.Response:
        if not prefix:
            names = "".join(f"<CommonPrefixes><Prefix>p{number}/</Prefix></CommonPrefixes>" for number in range(1000))
            return _xml(names)
        keys = [f"{prefix}{prefix[:-1]}-{number}.0-py3-none-any.whl" for number in range(_FILES)]
        return _xml(
            "".join(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                f'<ETag>"{md5(key.encode()).hexdigest()}"</ETag><Size>{len(_wheel(prefix[:-1]))}</Size></Contents>'
                for key in keys
            )
        )

    async def _object(self, request: web.BaseRequest, key: str) -> web.StreamResponse:
        etag = f'"{md5(key.encode()).hexdigest()}"'
        headers = {"ETag": etag, "Last-Modified": formatdate(1e9, usegmt=True)}
        if key.startswith("absent/") or key.endswith(("/", ".html", ".metadata")):
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        if key.startswith("huge/"):
            start = int(request.headers.get("Range", "bytes=0-")[6:].partition("-")[0])
            size = 1 << 30
            stop = min(int(request.headers.get("Range", "").rpartition("-")[2] or size - 1) + 1, size)
            response = web.StreamResponse(status=206 if "Range" in request.headers else 200, headers=headers)
            response.content_length = stop - start
            if "Range" in request.headers:
                response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
            await response.prepare(request)
            for _ in range((stop - start) // len(_MB)):
                await response.write(_MB)
            await response.write(bytes((stop - start) % len(_MB)))
            return response
        body = _MB if key.startswith("large/") else _wheel(key.partition("/")[0])
        if request.http_range.start is not None and request.method == "GET":
            part = body[request.http_range]
            first = request.http_range.start
            first = first if first >= 0 else len(body) + first
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(body)}"
            return web.Response(status=206, body=part, headers=headers)
        return web.Response(body=body, headers=headers)


def _xml(inner: str) -> web.Response:
    return web.Response(text=f"<ListBucketResult><IsTruncated>false</IsTruncated>{inner}</ListBucketResult>")


async def _serve() -> None:
    runner = web.ServerRunner(web.Server(Far().serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


@contextmanager
def far() -> Iterator[int]:
    """Its port."""
    process = subprocess.Popen([sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


def storm(seconds: float, settings: dict[str, str] | None = None, only: Sequence[str] = ()) -> tuple[float, float]:
    """Peak resident memory in MB, of the worker and of all its processes, with default settings but for `settings`."""
    with tempfile.TemporaryDirectory() as directory, far() as port:
        defaults = {
            "storage.bucket": "bucket",
            "storage.endpoint_url": f"http://127.0.0.1:{port}",
            "storage.addressing_style": "path",
            "storage.region_name": "us-east-1",
            "storage.aws_access_key_id": "AKIAEXAMPLEGATEWAY01",
            "storage.aws_secret_access_key": "secret",
            "fallback.mode": "mirror",
            "fallback.base_url": f"http://127.0.0.1:{port}/simple/",
            "fallback.always_show_upstream": "true",
            "server.max_connections_per_peer": "1024",  # all clients are one peer here
        }
        process = GatewayProcess(Path(directory), defaults | (settings or {}))
        try:
            return asyncio.run(_drive(process.wait_until_it_listens(), process.process.pid, seconds, only))
        finally:
            process.stop()


async def _drive(url: str, pid: int, seconds: float, only: Sequence[str]) -> tuple[float, float]:
    chance = random.Random(1)
    until = time.monotonic() + seconds
    most = (0.0, 0.0)
    counts: dict[str, int] = {}

    async def again(kind: str, act: Callable[[], Awaitable[None]]) -> None:
        while time.monotonic() < until:
            try:
                await act()
                counts[kind] = counts.get(kind, 0) + 1
            except Exception:
                counts[f"{kind} failed"] = counts.get(f"{kind} failed", 0) + 1
                await asyncio.sleep(0.05)

    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(30)) as session:

        async def get(path: str, **headers: str) -> None:
            async with session.get(url + path, headers=headers) as answer:
                async for _ in answer.content.iter_any():
                    pass

        async def page() -> None:
            accept = chance.choice(
                ["application/vnd.pypi.simple.v1+json", "text/html", "text/html,application/xhtml+xml"]
            )
            encoding = chance.choice(["gzip", "zstd", "identity"])
            name = chance.choice([f"p{chance.randrange(PROJECTS)}", f"theirs{chance.randrange(_THEIRS)}"])
            await get(f"/simple/{name}/", **{"Accept": accept, "Accept-Encoding": encoding})

        def project() -> str:
            return f"p{chance.randrange(PROJECTS)}"

        async def metadata() -> None:
            name = project()
            await get(f"/{name}/{name}-{chance.randrange(_FILES)}.0-py3-none-any.whl.metadata")

        async def slow(number: int) -> None:
            parts = urlsplit(url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=16384)
            writer.write(f"GET /huge/{number % 20}.whl HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            while time.monotonic() < until and await reader.read(16384):  # noqa: ASYNC110  its pace
                await asyncio.sleep(0.25)
            writer.transport.abort()

        async def half_a_head() -> None:
            parts = urlsplit(url)
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(
                b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"A%d: %s\r\n" % (n, b"x" * 900) for n in range(200))
            )
            await reader.read()
            writer.transport.abort()

        kinds: dict[str, list[Awaitable[None]]] = {
            "large": [again("large", lambda: get(f"/large/{chance.randrange(2000)}.whl")) for _ in range(60)],
            "page": [again("page", page) for _ in range(60)],
            "metadata": [again("metadata", metadata) for _ in range(30)],
            "absent": [again("absent", lambda: get(f"/absent/{chance.randrange(100_000)}.whl")) for _ in range(20)],
            "root": [again("root", lambda: get("/", Accept="text/html,application/xhtml+xml")) for _ in range(2)],
            "head": [again("head", half_a_head) for _ in range(60)],
            "slow": [slow(number) for number in range(300)],
        }
        tasks = [task for kind in only or kinds for task in kinds[kind]]

        async def watch() -> None:
            nonlocal most
            while time.monotonic() < until:
                each = [rss_megabytes(one) for one in process_tree(pid)]
                most = max(most[0], each[0]), max(most[1], sum(each))
                await asyncio.sleep(_WATCH_SECONDS)

        await asyncio.gather(watch(), *tasks, return_exceptions=True)
    print(counts, file=sys.stderr)
    return most


if __name__ == "__main__":
    asyncio.run(_serve())
