"""Builds the rings of Swift's servers, and runs each in a process of its own with its configuration in DIRECTORY. What
they import takes longer than all else, and is imported once. SIGTERM ends all of them, as does the end of one.
Usage: swift_launcher.py DIRECTORY KIND=PORT…"""

import importlib
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn


def main(directory: Path, ports: dict[str, int]) -> NoReturn:
    vars(importlib.import_module("swift.common.utils"))["SWIFT_CONF_FILE"] = str(directory / "swift.conf")
    wsgi = importlib.import_module("swift.common.wsgi")
    for kind, port in ports.items():
        importlib.import_module(f"swift.{'obj' if kind == 'object' else kind}.server")
        if kind != "proxy":
            build_ring(directory / f"{kind}.ring.gz", port)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    servers: list[int] = []
    try:
        for kind in ports:
            if (server := os.fork()) == 0:
                servers.clear()
                serve(wsgi, directory, kind)
            servers.append(server)
        os.wait()
        sys.exit("one of the servers has ended")
    finally:
        for server in servers:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)


def build_ring(path: Path, port: int) -> None:
    """What swift-ring-builder's create, add and rebalance make."""
    builder = importlib.import_module("swift.common.ring").RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    builder.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "device": "d1", "weight": 1.0})
    builder.rebalance()
    builder.get_ring().save(str(path))


def serve(wsgi: Any, directory: Path, kind: str) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with (directory.parent / f"{kind}.log").open("wb") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    options = {}
    if kind == "object":
        options["global_conf_callback"] = importlib.import_module("swift.obj.server").global_conf_callback
    sys.exit(int(wsgi.run_wsgi(str(directory / f"{kind}.conf"), f"{kind}-server", **options) or 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), {kind: int(port) for kind, _, port in (a.partition("=") for a in sys.argv[2:])})
