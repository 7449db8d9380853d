"""What is measured against what: a stub bucket, the nginx+lua setup that the gateway replaces, and the gateway.

All of it on loopback and free ports. The stub and the peer are nginx, started only if it is installed with the
modules that the setup needs (Debian: nginx-light libnginx-mod-http-lua libnginx-mod-http-set-misc).
"""

import json
import os
import socket
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.nginx import BUCKET, KEY, LUA, SECRET, STUB, nginx, wait_for
from tests.support.certificates import self_signed
from tests.support.process import GatewayProcess

SIZES = {"10k": 10_240, "1m": 1 << 20, "100m": 100 << 20, "1g": 1 << 30}
_FILE_OF_10_KB = "acme-1.0-py3-none-any.whl"
_FILES_OF_100_KB = 750
_PORTS = ("stub", "stub_tls", "far", "lua", "lua_keep", "lua_tls", "lua_far")


@dataclass(frozen=True)
class Server:
    """A process to measure, and where it answers."""

    name: str
    pid: int
    url: str


class Rig:
    """Everything that runs; `bucket` is the directory of the stub's objects."""

    def __init__(self, run: Path, stack: ExitStack) -> None:
        self.run = run
        self.bucket = run / "bucket" / BUCKET
        self._stack = stack
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._certificate, key = self_signed(run)
        _fill(self.bucket / "arrow")
        values = {"certificate": self._certificate, "key": key, **self._ports}
        stub = stack.enter_context(nginx(run, "stub", STUB, **values))
        wait_for(f"http://127.0.0.1:{self._ports['stub']}/{BUCKET}/arrow/10k.whl", stub)
        lua = stack.enter_context(nginx(run, "lua", LUA, **values))
        wait_for(f"http://127.0.0.1:{self._ports['lua']}/arrow/10k.whl", lua)
        self.lua, self.lua_keep, self.lua_tls, self.lua_far = (
            Server(name, lua.pid, f"http://127.0.0.1:{self._ports[port]}")
            for port, name in (
                ("lua", "nginx+lua"),
                ("lua_keep", "nginx+lua, keep-alive"),
                ("lua_tls", "nginx+lua, TLS upstream"),
                ("lua_far", "nginx+lua, far bucket"),
            )
        )

    def gateway(self, name: str, settings: Mapping[str, str], *, upstream: str = "stub") -> Server:
        """One more gateway, until the end; without a cache, unless `settings` say otherwise."""
        process = self._start(name, {"cache.memory_bytes": "0"} | dict(settings), upstream)
        self._stack.callback(process.stop)
        return Server(name, process.process.pid, process.wait_until_it_listens())

    @contextmanager
    def passing(self, name: str, settings: Mapping[str, str], *, upstream: str = "far") -> Iterator[Server]:
        """As `gateway`, for a while."""
        process = self._start(name, settings, upstream)
        try:
            yield Server(name, process.process.pid, process.wait_until_it_listens())
        finally:
            process.stop()

    def mounted(self, name: str, mounts: int) -> Server:
        """A gateway of directories, each with a file of 10 KB: the top level, a web site at `/site`, and so many mounts
        more, at `/m0` and so on."""
        directory = self.run / name
        places = [directory / place for place in ("top", "www", *(f"m{number}" for number in range(mounts)))]
        for place in places:
            (place / "acme").mkdir(parents=True)
            (place / "acme" / _FILE_OF_10_KB).write_bytes(bytes(10_000))
        site = {"index": {"mode": "site"}, "site": {"listing": True}}
        given: list[dict[str, Any]] = [
            {"name": place.name, "path": f"/{place.name}", "storage": {"dir": str(place)}} for place in places[2:]
        ]
        given.append({"name": "site", "path": "/site", "storage": {"dir": str(places[1])}} | site)
        (directory / "mounts.yaml").write_text(json.dumps({"mounts": given}))
        settings = {"storage.dir": str(places[0]), "log.access": "false", "index.compute_hashes": "false"}
        process = GatewayProcess(directory, settings, {"GATEWAY_CONFIG": str(directory / "mounts.yaml")})
        self._stack.callback(process.stop)
        return Server(name, process.process.pid, process.wait_until_it_listens())

    def index(self, name: str, settings: Mapping[str, str]) -> Server:
        """A gateway that makes the index of a directory, with a page of some 100 KB at `/big/`."""
        process = GatewayProcess(self.run / name, self.directory() | dict(settings))
        self._stack.callback(process.stop)
        return Server(name, process.process.pid, process.wait_until_it_listens())

    def directory(self) -> dict[str, str]:
        """The settings of a gateway of packages in a directory, which are made here."""
        folder = self.run / "packages" / "big"
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(_FILES_OF_100_KB):
            (folder / f"big-1.{number}-py3-none-any.whl").touch()
        return {"storage.dir": str(folder.parent), "log.access": "false", "index.compute_hashes": "false"}

    def start_seconds(self) -> float:
        """From the start of a process to its first answer, the best of three."""
        times = []
        for _ in range(3):
            started = time.monotonic()
            with self.passing("start", {}, upstream="stub") as server:
                urllib.request.urlopen(f"{server.url}/arrow/10k.whl", timeout=10).close()
                times.append(time.monotonic() - started)
        return min(times)

    def far_bytes(self) -> int:
        """How much the far bucket has sent since it was last asked."""
        log = self.run / "far.log"
        total = sum(int(line.split(" ", 1)[0]) for line in log.read_text().splitlines())
        os.truncate(log, 0)
        return total

    def settings(self, upstream: str) -> dict[str, str]:
        """Of a gateway in front of one of the stubs."""
        scheme = "https" if upstream == "stub_tls" else "http"
        return {
            "storage.bucket": BUCKET,
            "storage.endpoint_url": f"{scheme}://127.0.0.1:{self._ports[upstream]}",
            "storage.addressing_style": "path",
            "storage.region_name": "us-east-1",
            "storage.aws_access_key_id": KEY,
            "storage.aws_secret_access_key": SECRET,
            "storage.verify": str(self._certificate),
            "log.access": "false",  # as the others
            "server.shutdown_grace": "1",
        }

    def _start(self, name: str, settings: Mapping[str, str], upstream: str) -> GatewayProcess:
        return GatewayProcess(self.run / name, self.settings(upstream) | dict(settings))


@contextmanager
def running() -> Iterator[Rig]:
    """The bucket and the peers, up and answering."""
    with ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-")))
        run.chmod(0o755)  # nginx's worker is another user
        yield Rig(run, stack)


def _fill(directory: Path) -> None:
    directory.mkdir(parents=True)
    for name, size in SIZES.items():
        with (directory / f"{name}.whl").open("wb") as file:
            if size <= SIZES["100m"]:
                file.write(os.urandom(size))
            else:
                file.truncate(size)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
