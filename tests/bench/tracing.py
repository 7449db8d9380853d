"""`python -m tests.bench.tracing`: what traces cost, as CPU time per request beside a gateway that records none.

`--base DIR` measures the gateway of another checkout too, such as one from before a change.
"""

import argparse
from collections.abc import Mapping
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread

from tests.bench import rig
from tests.bench.measure import load
from tests.support.process import GatewayProcess

_TRACED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}


class _Sink(BaseHTTPRequestHandler):
    """A collector that looks at nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tracing", description=__doc__)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with rig.running() as running, ExitStack() as stack:
        sink = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
        sink.daemon_threads = True
        stack.callback(sink.shutdown)
        Thread(target=sink.serve_forever, daemon=True).start()
        on = {"tracing.enabled": "true", "tracing.endpoint": f"http://127.0.0.1:{sink.server_address[1]}"}
        ways: dict[str, tuple[dict[str, str], Mapping[str, str], Mapping[str, str]]] = {
            "off": ({}, {}, {}),
            "off, with a traceparent": ({}, {}, _TRACED),
            "on, 1 % recorded": (on | {"tracing.sample_ratio": "0.01"}, {}, {}),
            "on, all recorded": (on, {}, {}),
        }
        if arguments.base is not None:
            ways["before"] = ({}, {"PYTHONPATH": str(arguments.base)}, {})
        cases = {
            "page, reply repeated": (running.directory() | {"cache.memory_bytes": "16MB"}, "/big/"),
            "page, made anew": (running.directory() | {"cache.memory_bytes": "0"}, "/big/"),
            "10 KB object, not cached": (running.settings("stub") | {"cache.memory_bytes": "0"}, "/arrow/10k.whl"),
        }
        for case, (served, path) in cases.items():
            servers = {
                way: _start(running, stack, f"{case}-{way}", served | settings, environment)
                for way, (settings, environment, _) in ways.items()
            }
            costs: dict[str, list[float]] = {way: [] for way in ways}
            for _ in range(arguments.rounds):
                for way, (pid, url) in servers.items():
                    cost = load(pid, url + path, seconds=2, connections=10, headers=ways[way][2])
                    assert not cost.trouble, cost
                    costs[way].append(cost.cpu_us)
            for way, found in costs.items():
                ratio = median(one / off for one, off in zip(found, costs["off"], strict=True))
                print(f"{case:26} {way:24} {median(found):7.1f} µs  {ratio:.3f}", flush=True)


def _start(
    running: rig.Rig, stack: ExitStack, name: str, settings: Mapping[str, str], environment: Mapping[str, str]
) -> tuple[int, str]:
    process = GatewayProcess(running.run / name, settings, environment)
    stack.callback(process.stop)
    return process.process.pid, process.wait_until_it_listens()


if __name__ == "__main__":
    main()
