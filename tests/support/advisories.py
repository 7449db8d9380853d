"""Advisories in OSV's format, recorded ones without what is not read, and made ones; archives of them, and a server."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

PYSEC: dict[str, Any] = {
    "id": "PYSEC-2024-56",
    "details": "An issue was discovered in Django 4.2 before 4.2.14 and 5.0 before 5.0.7. urlize and urlizetrunc were "
    "subject to a potential denial of service attack via certain inputs with a very large number of brackets.",
    "aliases": ["CVE-2024-38875"],
    "modified": "2024-07-10T11:20:07.495359Z",
    "published": "2024-07-10T05:15:00Z",
    "affected": [
        {
            "package": {"name": "django", "ecosystem": "PyPI", "purl": "pkg:pypi/django"},
            "ranges": [
                {
                    "type": "ECOSYSTEM",
                    "events": [{"introduced": "4.2"}, {"fixed": "4.2.14"}, {"introduced": "5.0"}, {"fixed": "5.0.7"}],
                },
                {"type": "GIT", "repo": "https://github.com/django/django", "events": [{"introduced": "0"}]},
            ],
            "versions": ["4.2", "4.2.1", "4.2.13", "5.0", "5.0.6", "5.1a1"],
        }
    ],
}
GHSA: dict[str, Any] = {
    "schema_version": "1.4.0",
    "id": "GHSA-qg2p-9jwr-mmqf",
    "modified": "2024-07-10T21:41:03Z",
    "published": "2024-07-10T06:33:52Z",
    "aliases": ["CVE-2024-38875"],
    "summary": "Django vulnerable to Denial of Service",
    "details": "An issue was discovered in Django 4.2 before 4.2.14 and 5.0 before 5.0.7.",
    "severity": [
        {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"},
        {"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:H/SC:N/SI:N/SA:N"},
    ],
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "Django"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "4.2"}, {"fixed": "4.2.14"}]}],
        },
        {
            "package": {"ecosystem": "PyPI", "name": "Django"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "5.0"}, {"fixed": "5.0.7"}]}],
        },
    ],
    "database_specific": {"cwe_ids": ["CWE-770"], "severity": "HIGH", "github_reviewed": True},
}
MAL: dict[str, Any] = {
    "schema_version": "1.7.4",
    "id": "MAL-2026-2144",
    "modified": "2026-03-26T09:53:17Z",
    "published": "2026-03-24T11:15:14Z",
    "aliases": ["PYSEC-2026-2"],
    "summary": "Malicious code in litellm (PyPI)",
    "details": "\n---\n_-= Per source details. Do not edit below this line.=-_\n",
    "affected": [{"package": {"ecosystem": "PyPI", "name": "litellm"}, "versions": ["1.82.7", "1.82.8"]}],
    "database_specific": {
        "malicious-packages-origins": [{"source": "kam193", "ranges": [{"type": "ECOSYSTEM", "events": []}]}]
    },
}
MAL_PROJECT: dict[str, Any] = {
    "schema_version": "1.7.4",
    "id": "MAL-2024-10238",
    "summary": "Pentesting or research code in 123bla (PyPI)",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "123bla"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


def malware(project: str, *versions: str, name: str = "MAL-2026-1") -> dict[str, Any]:
    affected = {"package": {"ecosystem": "PyPI", "name": project}, "versions": [*versions]}
    return {"id": name, "summary": f"Malicious code in {project} (PyPI)", "affected": [affected]}


def flaw(
    project: str, *events: tuple[str, str], name: str = "GHSA-aaaa-bbbb-cccc", severity: str = ""
) -> dict[str, Any]:
    ranges = [{"type": "ECOSYSTEM", "events": [{kind: version} for kind, version in events]}]
    affected = {"package": {"ecosystem": "PyPI", "name": project}, "ranges": ranges}
    said = {"database_specific": {"severity": severity}} if severity else {}
    return {"id": name, "summary": f"A flaw in {project}", "affected": [affected], **said}


def archive(*records: object) -> bytes:
    """As osv.dev packs them; texts and bytes go in as they are."""
    return packed((f"{number}.json", record) for number, record in enumerate(records))


def packed(files: Iterable[tuple[str, object]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, content in files:
            zipped.writestr(name, content if isinstance(content, (str, bytes)) else json.dumps(content))
    return buffer.getvalue()


class AdvisoryServer:
    """Serves `content`. What it was asked for is in `conditions`: the If-None-Match of each request, or None."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = content
        self.etag = '"1"'
        self.status = 200
        self.headers: dict[str, str] = {}
        self.hold: asyncio.Event | None = None  # answers wait for it
        self.conditions: list[str | None] = []
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["AdvisoryServer"]:
        runner = web.ServerRunner(web.Server(self._serve), handle_signals=False, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/PyPI/all.zip"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        condition = request.headers.get("If-None-Match")
        self.conditions.append(condition)
        if self.hold is not None:
            await self.hold.wait()
        headers = {**({"ETag": self.etag} if self.etag else {}), **self.headers}
        if self.status == 200 and condition is not None and condition == self.etag:
            return web.Response(status=304, headers=headers)
        return web.Response(status=self.status, headers=headers, body=self.content if self.status == 200 else b"")
