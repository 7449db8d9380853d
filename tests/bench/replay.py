"""A `pip install` of 60 projects: recorded with the real pip once, replayed by any number of clients."""

import base64
import hashlib
import http.client
import io
import json
import random
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.rig import Rig

PROJECTS = 60
_BRANCHES = 3
_KB, _MB = 1024, 1024 * 1024
# As of many environments: small ones mostly, some MB here and there, one that is compiled.
_SIZES = [60 * _KB] * 25 + [150 * _KB] * 20 + [900 * _KB] * 8 + [3 * _MB] * 6 + [18 * _MB]


@dataclass(frozen=True)
class Recording:
    """Requests in order: targets, and the headers that all of them bear."""

    targets: tuple[str, ...]
    headers: dict[str, str]


def fill(bucket: Path) -> None:
    """Puts 60 projects there, each with a static page, its wheel, and the wheel's metadata; they need each other."""
    dice = random.Random(60)
    sizes = dice.sample(_SIZES, PROJECTS)
    for number in range(PROJECTS):
        first = number * _BRANCHES + 1
        needs = [_name(child) for child in range(first, min(first + _BRANCHES, PROJECTS))]
        _release(bucket, _name(number), needs, dice.randbytes(sizes[number]))


def record(rig: Rig, directory: Path) -> Recording:
    """What pip asks for when it installs all of them."""
    with rig.passing("record", {"index.mode": "static", "log.access": "true", "log.format": "json"}) as server:
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-cache-dir", "--disable-pip-version-check"),
                *("--isolated", "--no-compile", "--target", str(directory / "target")),
                *("--index-url", server.url, "--trusted-host", "127.0.0.1", _name(0)),
            ],
            check=True,
        )
    lines = [json.loads(line) for line in (rig.run / "record" / "stdout").read_text().splitlines()]
    pages = [line for line in lines if line["path"].endswith("/")]
    accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01"
    assert len(pages) == PROJECTS, [line["path"] for line in lines]
    return Recording(tuple(line["path"] for line in lines), {"User-Agent": lines[0]["user_agent"], "Accept": accept})


def replay(recording: Recording, url: str, *, clients: int = 1) -> float:
    """Seconds until all clients, each in order on a connection of its own, have everything."""
    failures: list[BaseException] = []

    def client() -> None:
        try:
            _replay(recording, url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.monotonic() - started


def _replay(recording: Recording, url: str) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)
    for target in recording.targets:
        connection.request("GET", target, headers=recording.headers)
        answer = connection.getresponse()
        assert answer.status == 200, (target, answer.status)
        while answer.read(_MB):
            pass
    connection.close()


def _name(number: int) -> str:
    return f"project{number:02}"


def _release(bucket: Path, name: str, needs: list[str], payload: bytes) -> None:
    requires = "".join(f"Requires-Dist: {need}>=1\n" for need in needs)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{requires}".encode()
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/data.bin": payload,
        f"{name}/__init__.py": b"",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    files[f"{info}/RECORD"] = ("".join(lines) + f"{info}/RECORD,,\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    folder, wheel = bucket / name, f"{name}-1.0-py3-none-any.whl"
    folder.mkdir()
    (folder / wheel).write_bytes(buffer.getvalue())
    (folder / f"{wheel}.metadata").write_bytes(metadata)
    digest = hashlib.sha256(metadata).hexdigest()
    anchor = f'<a href="{wheel}" data-core-metadata="sha256={digest}">{wheel}</a>'
    (folder / "index.html").write_text(f"<!DOCTYPE html><html><body>{anchor}</body></html>")


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
