"""Load, and what it costs: CPU time of a process tree, and memory."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Cost:
    """What one case cost: CPU in microseconds a request, and what wrk saw."""

    cpu_us: float
    requests_per_second: float
    p50_ms: float
    p99_ms: float
    trouble: str


def process_tree(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children = [
        int(child)
        for thread in os.listdir(f"/proc/{pid}/task")
        for child in Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
    ]
    return [pid] + [descendant for child in children for descendant in process_tree(child)]


def cpu_seconds(pids: list[int]) -> float:
    """User plus system time."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def peak_rss_megabytes(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def rss_megabytes(pid: int) -> float:
    """0 for a process that has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def load(pid: int, url: str, *, seconds: int, connections: int, headers: Mapping[str, str] | None = None) -> Cost:
    """Drives wrk at `url`, after a second to warm up unless it is for a second only."""
    wrk = ["wrk", "-t1", "-c", str(connections), "--latency", "--timeout", "30s"]
    for name, value in (headers or {}).items():
        wrk += ["-H", f"{name}: {value}"]
    if seconds > 1:
        subprocess.run([*wrk, "-d1s", url], capture_output=True, check=True)
    pids = process_tree(pid)
    before = cpu_seconds(pids)
    report = subprocess.run([*wrk, f"-d{seconds}s", url], capture_output=True, text=True, check=True).stdout
    spent = cpu_seconds(pids) - before
    requests = int(_find(r"(\d+) requests in", report))
    return Cost(
        cpu_us=spent / max(requests, 1) * 1e6,
        requests_per_second=float(_find(r"Requests/sec:\s+([\d.]+)", report)),
        p50_ms=_milliseconds(_find(r"^\s+50%\s+(\S+)", report)),
        p99_ms=_milliseconds(_find(r"^\s+99%\s+(\S+)", report)),
        trouble=" ".join(re.findall(r"(?:Non-2xx|Socket errors).*", report)),
    )


def slow_readers(pid: int, url: str, *, count: int, seconds: float) -> float:
    """Peak RSS in MB of a process while `count` clients each take 64 KB a second of a large object."""
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
            client.connect((parts.hostname or "", parts.port or 80))
            client.sendall(request)
            clients.append(client)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for client in clients:
                assert client.recv(64 * 1024), "the body ended"
            time.sleep(1)
    return peak_rss_megabytes(pid)


def each(work: Callable[[], object], count: int) -> float:
    """CPU time for one, in microseconds: the best of five."""
    best = float("inf")
    for _ in range(5):
        started = time.process_time()
        for _ in range(count):
            work()
        best = min(best, (time.process_time() - started) / count * 1e6)
    return best


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def _milliseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60_000}[unit]
