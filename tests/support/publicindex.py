"""Another index on loopback, to fall back to: JSON or HTML, well-behaved until it is told not to be."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

JSON = "application/vnd.pypi.simple.v1+json"


class PublicIndex:
    """Pages at `/simple/`, files at `/files/`; pages at `/old/simple/` and files at `/moved/` lead there, or
    to the same on another server. What is asked for is in `requests`, as method and path."""

    def __init__(self) -> None:
        self.projects: dict[str, dict[str, bytes]] = {}
        self.metadata: dict[str, bytes] = {}
        self.provenance: dict[str, bytes] = {}
        self.faulty: dict[str, int] = {}  # files, and what is beside them, that are answered with a status
        self.fields: dict[str, dict[str, Any]] = {}
        self.page: dict[str, Any] = {}
        self.body: bytes | None = None  # of all pages, in place of what they would say
        self.form = "json"
        self.base = "../../files/"  # of HTML pages
        self.moved = ""  # another server, where that is
        self.algorithm: str | None = "sha256"
        self.corrupt: set[str] = set()
        self.packed: set[str] = set()  # files that are answered in gzip, whatever is accepted
        self.unchanged: set[str] = set()  # files that are answered with 304, whatever is asked
        self.down = False
        self.silent = False
        self.hold: asyncio.Event | None = None  # files wait for it half-way, or before they begin
        self.hold_only: set[str] = set()  # not all files, but these
        self.hold_head = False
        self.ranges = True
        self.sending = 0
        self.requests: list[tuple[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["PublicIndex"]:
        server = web.Server(self._serve, handler_cancellation=True)
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/simple/"
        try:
            yield self
        finally:
            await runner.cleanup()

    def asked(self, part: str) -> int:
        return sum(part in path for _, path in self.requests)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append((request.method, request.path))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.silent:
            await asyncio.Event().wait()
        if self.down:
            return web.Response(status=503, text="down")
        kind, _, rest = request.path.strip("/").partition("/")
        if kind == "simple":
            return self._page(request, rest)
        if kind == "old" and rest.startswith("simple/"):
            raise web.HTTPFound(f"{self.moved}/{rest}/")
        if kind == "moved":
            raise web.HTTPFound(f"{self.moved}/files/{rest}")
        return await self._file(request, rest)

    def _page(self, request: web.BaseRequest, name: str) -> web.Response:
        files = self.projects.get(name)
        if files is None:
            return web.Response(status=404)
        body = self.body or (self._json if self.form == "json" else self._html)(name, files)
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304, headers={"ETag": etag})
        headers = {"ETag": etag, "Content-Type": JSON if self.form == "json" else "text/html; charset=utf-8"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    def _json(self, name: str, files: dict[str, bytes]) -> bytes:
        page = {
            "meta": {"api-version": "1.4"},
            "name": name,
            "versions": ["1.0"],
            "files": [
                {
                    "filename": file,
                    "url": f"../../files/{file}",
                    "hashes": {self.algorithm: self._digest(content)} if self.algorithm else {},
                    "size": len(content),
                    "upload-time": "2024-01-02T03:04:05.678Z",
                    "requires-python": ">=3.8",
                    "yanked": False,
                    "core-metadata": file in self.metadata
                    and {"sha256": hashlib.sha256(self.metadata[file]).hexdigest()},
                    "provenance": f"../../files/{file}.provenance" if file in self.provenance else None,
                    **self.fields.get(file, {}),
                }
                for file, content in files.items()
            ],
            **self.page,
        }
        return json.dumps(page).encode()

    def _html(self, name: str, files: dict[str, bytes]) -> bytes:
        links = "".join(
            f'<a href="{file}#{self.algorithm}={self._digest(content)}">x</a>' for file, content in files.items()
        )
        return f'<html><head><base href="{self.base}"></head><body>{links}</body></html>'.encode()

    def _digest(self, content: bytes) -> str:
        return hashlib.new(self.algorithm or "sha256", content).hexdigest()

    async def _file(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        found = {file: content for files in self.projects.values() for file, content in files.items()}
        found |= {f"{file}.metadata": content for file, content in self.metadata.items()}
        found |= {f"{file}.provenance": content for file, content in self.provenance.items()}
        if name not in found or name in self.faulty:
            return web.Response(status=self.faulty.get(name, 404))
        if name in self.unchanged:
            return web.Response(status=304)
        if name in self.packed:
            return web.Response(body=gzip.compress(found[name]), headers={"Content-Encoding": "gzip"})
        content = bytes(len(found[name])) if name in self.corrupt else found[name]
        if self.ranges and "Range" in request.headers and request.method == "GET":
            part = request.http_range
            start, stop, _ = part.indices(len(content))
            said = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", "ETag": '"x"'}
            return web.Response(status=206, body=content[part], headers=said)
        hold = self.hold if not self.hold_only or name in self.hold_only else None
        response = web.StreamResponse(headers={"Content-Length": str(len(content)), "ETag": '"x"'})
        self.sending += 1
        try:
            if hold is not None and self.hold_head:
                await hold.wait()
            await response.prepare(request)
            if request.method == "HEAD":
                return response
            await response.write(content[: len(content) // 2])
            if hold is not None:
                await hold.wait()
            await response.write(content[len(content) // 2 :])
        finally:
            self.sending -= 1
        return response
