"""Gateways of several processes, and what is seen of them from outside."""

import os
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.support.process import GatewayProcess


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def two_workers(tmp_path: Path) -> dict[str, str]:
    """Settings; what they serve is in `storage.dir`."""
    root = tmp_path / "packages"
    root.mkdir()
    (root / "index.html").write_text("root page")
    (root / "large.whl").write_bytes(b"x" * 40_000_000)
    return {"storage.dir": str(root), "server.workers": "2", "server.port": str(free_port())}


def eventually(condition: Callable[[], bool], what: str, process: GatewayProcess) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"{what}:\n{process.log.read_text()}")


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return bytes(answer.read())


def started(process: GatewayProcess, workers: int = 2) -> str:
    url = process.wait_until_it_listens()
    eventually(lambda: process.log.read_text().count(", listening on ") == workers, "not all listen", process)
    return url
