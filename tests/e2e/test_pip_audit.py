"""pip-audit, as it is, audits requirements by what the gateway says. It always asks pypi.org, which is the gateway's
name here, by a proxy that leads there."""

import asyncio
import json
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography import x509
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.conftest import StartGateway
from tests.index.screening.advisories.test_pages import loaded
from tests.support.advisories import GHSA, PYSEC, archive, malware
from tests.support.certificates import self_signed
from tests.support.faults import FaultyBucket
from tests.support.nightly import by_night
from tests.support.process import clean_environment
from tests.support.publicindex import PublicIndex
from tests.support.wheels import wheel

REQUIREMENTS = ["acme-web==1.0", "django==4.2.13", "django==4.2.14", "Public_Lib==7.0"]
Audit = Callable[[Path, int, Path], Awaitable[list[dict[str, Any]]]]


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[int]:
    """A proxy on loopback, which leads to `port` whatever host is asked for (RFC 9110, 9.3.6)."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT pypi.org:443 ")
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pump(reader, outer), pump(inner, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def run(command: list[str], env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    call = partial(subprocess.run, command, env=dict(env), capture_output=True, text=True, timeout=100)
    return await asyncio.to_thread(call)


def pip_audit(version: str) -> Audit:
    """As it is on PyPI."""

    async def audit(directory: Path, port: int, certificate: Path) -> list[dict[str, Any]]:
        made = directory / f"pip-audit-{version}"
        env = clean_environment(directory)
        del env["PYTHONWARNINGS"]
        for command in ("venv", made), ("pip", "install", "--python", made, f"pip-audit=={version}"):
            done = await run(["uv", *map(str, command)], os.environ)
            assert done.returncode == 0, done.stderr
        found = []
        async with proxy_to(port) as proxy:
            for number, requirement in enumerate(REQUIREMENTS):
                listed = directory / f"{number}.txt"
                listed.write_text(f"{requirement}\n")
                options = ["--no-deps", "--disable-pip", "--format", "json", "--cache-dir", str(directory / "cache")]
                told = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy}", "REQUESTS_CA_BUNDLE": str(certificate)}
                done = await run([str(made / "bin" / "pip-audit"), "-r", str(listed), *options], env | told)
                assert done.stdout, done.stderr
                found += json.loads(done.stdout)["dependencies"]
        return found

    return audit


async def recorded(_: Path, port: int, certificate: Path) -> list[dict[str, Any]]:
    """What pip-audit 2.10 sends, and reads of the answers."""
    headers = {"User-Agent": "python-requests/2.34.2", "Accept": "*/*", "Host": "pypi.org", "Connection": "keep-alive"}
    trust = ssl.create_default_context(cafile=str(certificate))
    found = []
    async with aiohttp.ClientSession(headers=headers) as http:
        for name, version in (text.split("==") for text in REQUIREMENTS):
            url = f"https://127.0.0.1:{port}/pypi/{canonicalize_name(name)}/{version}/json"
            async with http.get(url, ssl=trust, server_hostname="pypi.org") as answer:
                assert answer.status == 200
                vulnerabilities = (await answer.json())["vulnerabilities"]
            told = [one for one in vulnerabilities if one.get("withdrawn") is None and one["summary"]]
            vulns = [
                {**one, "fix_versions": [str(fixed) for fixed in sorted(map(Version, one["fixed_in"]))]} for one in told
            ]
            found.append({"name": name, "version": version, "vulns": vulns})
    return found


AUDITS: list[Audit] = [recorded, *(pip_audit(version) for version in by_night("2.10.1"))]


@pytest.mark.parametrize("audit", AUDITS)
async def test_it_finds_what_the_policy_knows(
    start_gateway: StartGateway, faulty: FaultyBucket, faulty_settings: dict[str, str], tmp_path: Path, audit: Audit
) -> None:
    certificate, key = self_signed(tmp_path, x509.DNSName("pypi.org"))
    file, content = wheel("acme_web", "1.0")
    faulty.objects = {f"acme-web/{file}": content}
    advisories, public = tmp_path / "all.zip", PublicIndex()
    advisories.write_bytes(archive(PYSEC, GHSA, malware("Public_Lib", "7.0")))
    public.projects = {
        "django": dict(wheel("django", version) for version in ("4.2.13", "4.2.14")),
        "public-lib": dict([wheel("public_lib", "7.0")]),
    }
    async with public.running():
        gateway = await start_gateway(
            faulty_settings
            | {"fallback.mode": "mirror", "fallback.base_url": public.url, "server.host": "127.0.0.1"}
            | {"policy.advisories": f"{{source: {advisories}}}"}
            | {"server.tls_cert": str(certificate), "server.tls_key": str(key)}
        )
        await loaded(gateway)
        found = await audit(tmp_path, int(gateway.url.rpartition(":")[2]), certificate)
    told = [
        {identity: one["fix_versions"] for one in each["vulns"] for identity in (one["id"], *one["aliases"])}
        for each in found
    ]
    assert told == [
        {},
        {name: ["4.2.14", "5.0.7"] for name in ("PYSEC-2024-56", "GHSA-qg2p-9jwr-mmqf", "CVE-2024-38875")},
        {},
        {"MAL-2026-1": []},  # it is withheld, and may have been installed before
    ]
