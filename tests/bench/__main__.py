"""`make bench`: the gateway beside the nginx+lua setup, on this machine, in one run.

Absolute figures drift on shared machines; what counts is the ratio of CPU time per request, of all processes.
Prints a Markdown table. Options: --seconds N for each case (default 5), --readme to put the table into README.md.
"""

import argparse
import sys
import urllib.request
from pathlib import Path

from tests.bench import rig, signing
from tests.bench.measure import Cost, load, peak_rss_megabytes, slow_readers

README = Path(__file__).parent.parent.parent / "README.md"
MARK = "<!-- bench -->\n"
END_MARK = "<!-- /bench -->"
# object, connections, and the most that it may cost of what nginx+lua without keep-alive does
CASES = [("10k", 32, 2.0), ("1m", 16, 0.4), ("100m", 4, 0.35)]
MAX_RSS_MEGABYTES = 120
MAX_START_SECONDS = 1.0
MAX_REDIRECT_US = 45


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--readme", action="store_true")
    arguments = parser.parse_args()
    if (reason := rig.missing()) is not None:
        print(f"can't compare: {reason}", file=sys.stderr)
        return 1
    with rig.running() as compared:
        lines = _table(compared, arguments.seconds)
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.readme:
        before, _, rest = README.read_text().partition(MARK)
        README.write_text(before + MARK + text + END_MARK + rest.partition(END_MARK)[2])
    return 0


def _table(compared: rig.Rig, seconds: int) -> list[str]:
    gateway = compared.gateway
    idle = peak_rss_megabytes(gateway.pid)
    lines = [
        "| CPU per request, uncached | nginx+lua | nginx+lua, keep-alive | gateway | ratio | target |",
        "|---|---|---|---|---|---|",
    ]
    for name, connections, target in CASES:
        costs: list[Cost] = []
        for server in (compared.lua, compared.lua_keep, gateway):
            cost = load(server.pid, f"{server.url}/arrow/{name}.whl", seconds=seconds, connections=connections)
            print(f"{name:5s} {server.name:22s} {cost}", file=sys.stderr)
            costs.append(cost)
        cells = " | ".join(_microseconds(cost.cpu_us) for cost in costs)
        ratio = costs[2].cpu_us / costs[0].cpu_us
        lines.append(f"| {name} object, {connections} connections | {cells} | {ratio:.2f} × | ≤ {target} × |")
    rss = slow_readers(gateway.pid, f"{gateway.url}/arrow/1g.whl", count=200, seconds=10)
    return [
        *lines,
        "",
        "| gateway | measured | target |",
        "|---|---|---|",
        *_cache_rows(compared, seconds),
        *_delivery_rows(compared, seconds),
        f"| peak RSS, 200 slow readers of 1 GB ({idle:.0f} MB idle) | {rss:.0f} MB | ≤ {MAX_RSS_MEGABYTES} MB |",
        f"| start to first proxied answer | {compared.start_seconds:.2f} s | ≤ {MAX_START_SECONDS:g} s |",
    ]


def _cache_rows(compared: rig.Rig, seconds: int) -> list[str]:
    """What is known already: objects in memory, and pages of the index."""
    rows = []
    for server, path, what, targets in (
        (compared.caching, "/arrow/10k.whl", "10 KB object, hot in memory", (35, 30)),
        (compared.pages, "/big/", "100 KB index page, hot", (150, 60)),
    ):
        with urllib.request.urlopen(server.url + path) as answer:
            etag = answer.headers["ETag"]
        for headers, kind, target in (({}, "200", targets[0]), ({"If-None-Match": etag}, "304", targets[1])):
            cost = load(server.pid, server.url + path, seconds=seconds, connections=32, headers=headers)
            print(f"{kind:5s} {server.name:22s} {cost}", file=sys.stderr)
            rows.append(f"| {what}, {kind}, CPU per request | {_microseconds(cost.cpu_us)} | ≤ {target} µs |")
    return rows


def _delivery_rows(compared: rig.Rig, seconds: int) -> list[str]:
    """Redirects: as a client gets them, and what signing one takes by itself."""
    server = compared.redirecting
    cost = load(server.pid, f"{server.url}/arrow/10k.whl", seconds=seconds, connections=32)
    print(f"{'url':5s} {server.name:22s} {cost}", file=sys.stderr)
    rows = [f"| a cached redirect, CPU per request | {_microseconds(cost.cpu_us)} | ≤ {MAX_REDIRECT_US} µs |"]
    for name, microseconds, target in signing.costs():
        rows.append(f"| {name} | {_microseconds(microseconds)} | {target} |")
    return rows


def _microseconds(value: float) -> str:
    return f"{value:,.0f} µs"


if __name__ == "__main__":
    sys.exit(main())
