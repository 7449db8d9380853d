"""What is measured. Each function yields rows, and needs only a rig."""

import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from types import MappingProxyType

from tests.bench import access, policy, replay, signing, uploads
from tests.bench.measure import cpu_seconds, load, peak_rss_megabytes, process_tree, slow_readers
from tests.bench.rig import Rig, Server
from tests.bench.storm import storm

_KEPT_ON_DISK = {"cache.memory_bytes": "1000000", "cache.object_max_bytes": "1000"}


@dataclass(frozen=True)
class Row:
    """One figure: ours, the peers' of the same run by name, and what ours should be at most, all in `unit`; or, where
    `of_peer` is set, as a part of the first peer's."""

    what: str
    unit: str
    ours: float
    peers: Mapping[str, float]
    target: float | None = None
    of_peer: bool = False

    @property
    def ratio(self) -> float | None:
        """Of the first peer's."""
        return next((self.ours / value for value in self.peers.values()), None)

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        value = self.ratio if self.of_peer else self.ours
        assert value is not None
        return value <= self.target


def fetching(rig: Rig, seconds: int) -> Iterator[Row]:
    """CPU of what comes from the bucket each time."""
    plain, tls = rig.gateway("plain", {}), rig.gateway("tls", {}, upstream="stub_tls")
    idle = peak_rss_megabytes(plain.pid)
    near, keep = ("nginx+lua", rig.lua), ("nginx+lua, keep-alive", rig.lua_keep)
    yield _cpu("10 KB, uncached", plain, "10k", 32, seconds, 110, near, keep)
    yield _cpu(
        "10 KB, uncached, TLS to the bucket", tls, "10k", 32, seconds, 150, ("nginx+lua, keep-alive", rig.lua_tls)
    )
    yield _cpu("1 MB, uncached", plain, "1m", 16, seconds, 900, near, keep)
    yield _cpu("100 MB, uncached", plain, "100m", 4, seconds, 80_000, near, keep)
    yield Row("resident memory, idle", "MB", idle, {}, 70)


def remembered(rig: Rig, seconds: int) -> Iterator[Row]:
    """CPU of what is known already."""
    near = ("nginx+lua", rig.lua)
    memory = rig.gateway("memory", {"cache.memory_bytes": "67108864"})
    disk = rig.gateway("disk", _KEPT_ON_DISK | {"cache.dir": str(rig.run / "disk-cache")})
    index = rig.index("index", {})
    links = rig.gateway("links", {"storage.redirect_urls": "true"})
    again = rig.gateway("again", {"storage.redirect_urls": "true", "cache.memory_bytes": "67108864"})
    yield _cpu("10 KB, hot in memory", memory, "10k", 32, seconds, 35, near)
    yield _cpu("10 KB, hot in memory, 304", memory, "10k", 32, seconds, 30, conditional=True)
    yield _cpu("1 MB, hot on disk", disk, "1m", 16, seconds, 300, near)
    yield _cpu("100 MB, hot on disk", disk, "100m", 4, seconds, None, near)
    yield _cpu("index page of 100 KB", index, "/big/", 32, seconds, 150)
    yield _cpu("index page of 100 KB, 304", index, "/big/", 32, seconds, 60, conditional=True)
    yield _cpu("redirect to a signed URL, made each time", links, "10k", 32, seconds, None)
    yield _cpu("redirect to a signed URL", again, "10k", 32, seconds, 45)
    for what, microseconds, target in signing.costs():
        yield Row(what, "µs", microseconds, {}, target)


def controlled(rig: Rig, seconds: int) -> Iterator[Row]:
    """What access control costs, and what somebody who guesses costs the others."""
    server, right = rig.index("access", access.settings()), {"Authorization": access.AUTHORIZATION}
    yield _cpu("index page of 100 KB, with access control", server, "/big/", 32, seconds, 35, headers=right)
    yield _cpu("the same, 304", server, "/big/", 32, seconds, None, conditional=True, headers=right)
    yield _cpu("401", server, "/big/", 32, seconds, 60, refused=True)
    for what, microseconds, target in access.costs():
        yield Row(what, "µs", microseconds, {}, target)
    # Beside one who tries them at another gateway: this machine has only two cores for all of them.
    url, elsewhere = server.url + "/big/", rig.index("guessed", access.settings()).url + "/big/"
    alone, beside = list[float](), list[float]()
    for _ in range(5):
        for waits, guessed in ((alone, elsewhere), (beside, url)):
            with access.guessing(guessed):
                waits.append(access.milliseconds(url, right, seconds))
    what = f"answer to one client while another tries {access.GUESSES_A_SECOND:,} wrong passwords a second"
    yield Row(what, "ms", mean(beside), {}, 1.1 * mean(alone))


def mounted(rig: Rig, seconds: int) -> Iterator[Row]:
    """What many mounts cost, and a web site; and the policy."""
    one, many = rig.mounted("one", 0), rig.mounted("many", 100)
    yield Row("resident memory, idle, 100 mounts", "MB", peak_rss_megabytes(many.pid), {}, 100)
    target = "/acme/acme-1.0-py3-none-any.whl"
    costs: dict[str, list[float]] = {"one mount": [], "": []}
    for _ in range(3):  # by turns: the machine is not equally fast all the time
        for peer, server, path in (("one mount", one, target), ("", many, f"/m50{target}")):
            costs[peer].append(load(server.pid, server.url + path, seconds=seconds, connections=32, headers={}).cpu_us)
    what, ours = "10 KB of a directory, a mount among 100, 32 connections", median(costs.pop(""))
    yield Row(what, "µs", ours, {peer: median(found) for peer, found in costs.items()}, 1.05, of_peer=True)
    yield _cpu("10 KB of a web site in a directory", one, f"/site{target}", 32, seconds, None)
    yield _cpu("listing of a web site", one, "/site/acme/", 32, seconds, None)
    for what, microseconds, most in policy.costs():
        yield Row(what, "µs", microseconds, {}, most)


def slow(rig: Rig, seconds: int) -> Iterator[Row]:
    """Memory that clients take who take their time."""
    server = rig.gateway("slow", {"server.max_connections_per_peer": "1024"})
    yield Row(
        "resident memory, 1,000 slow readers of 1 GB",
        "MB",
        slow_readers(server.pid, f"{server.url}/arrow/1g.whl", count=1000, seconds=seconds),
        {},
        200,
    )
    worker, _ = storm(20)
    yield Row("resident memory, all kinds of clients at once, default settings", "MB", worker, {}, 180)
    yield Row("start to first proxied answer", "s", rig.start_seconds(), {}, 1)


def uploading(rig: Rig, sizes: Sequence[int], rounds: int) -> Iterator[Row]:
    """What it costs to take files of so many MB."""
    for size in sizes:
        cost = uploads.measure(rig.run, size, rounds)
        straight = {"aiohttp, straight to the bucket": cost.straight}
        target = 1.25 if size >= 1000 else None  # a small one waits for its last part, which is most of it
        what = f"upload of {size:,} MB, to a bucket that takes 90 MB/s"
        yield Row(what, "s", cost.through, straight, target, of_peer=True)
        yield Row(f"upload of {size:,} MB, CPU for each MB", "ms", cost.cpu_ms, {})
        yield Row(f"upload of {size:,} MB, growth of resident memory", "MB", cost.grown, {}, 40)


def far(rig: Rig, clients: int) -> Iterator[Row]:
    """Time of what comes from far away."""
    server = rig.gateway("far", {}, upstream="far")
    _fetch(f"{server.url}/arrow/10k.whl")
    _fetch(f"{server.url}/arrow/1g.whl")  # the file of the stub is in memory now
    ours = min(_fetch(f"{server.url}/arrow/1g.whl") for _ in range(3))
    yield Row("1 GB from the far bucket", "s", ours, {"nginx+lua": _fetch(f"{rig.lua_far.url}/arrow/1g.whl")}, 2.5)
    for name, settings in (("", {}), (", to disk", {"cache.dir": str(rig.run / "far-cache")})):
        with rig.passing("shared", settings) as shared:
            _fetch(f"{shared.url}/arrow/10k.whl")
            rig.far_bytes()
            seconds = _fetch(*[f"{shared.url}/arrow/100m.whl"] * clients)
            fetched = rig.far_bytes() / (100 << 20)
        yield Row(f"{clients} clients, one cold 100 MB object, far{name}", "s", seconds, {})
        # Over 1 is what one connection had on its way when parts side by side took its place: some MB.
        yield Row(f"the same, times that it was fetched{name}", "×", fetched, {})


def installing(rig: Rig, clients: int) -> Iterator[Row]:
    """A recorded `pip install` of 60 projects, from far away."""
    replay.fill(rig.bucket)
    with tempfile.TemporaryDirectory() as directory:
        recording = replay.record(rig, Path(directory))
    for count in (1, clients):
        settings = {"index.mode": "static", "cache.prefetch": "true", "cache.dir": str(rig.run / f"replay-{count}")}
        pids = process_tree(rig.lua_far.pid)
        before = cpu_seconds(pids)
        peer = replay.replay(recording, rig.lua_far.url, clients=count)
        peer_cpu = cpu_seconds(pids) - before
        with rig.passing(f"replay{count}", settings) as server:
            pids = process_tree(server.pid)
            cold = replay.replay(recording, server.url, clients=count)
            time.sleep(1)
            before = cpu_seconds(pids)
            warm = replay.replay(recording, server.url, clients=count)
            warm_cpu = cpu_seconds(pids) - before
        who = "one client" if count == 1 else f"{count} clients"
        one = count == 1
        yield Row(f"pip install of 60, {who}, cold", "s", cold, {"nginx+lua": peer}, 0.6 if one else None, of_peer=one)
        yield Row(f"pip install of 60, {who}, warm", "s", warm, {"nginx+lua": peer}, 0.1 if one else None, of_peer=one)
        if not one:
            yield Row(f"pip install of 60, {who}, warm, CPU", "s", warm_cpu, {"nginx+lua": peer_cpu})


def _cpu(
    what: str,
    server: Server,
    name: str,
    connections: int,
    seconds: int,
    target: float | None,
    *peers: tuple[str, Server],
    conditional: bool = False,
    headers: Mapping[str, str] = MappingProxyType({}),
    refused: bool = False,
) -> Row:
    """CPU time per request of the process trees, one after the other. `refused` is set if the answer is an error."""
    path = name if name.startswith("/") else f"/arrow/{name}.whl"
    if not refused:
        with urllib.request.urlopen(urllib.request.Request(server.url + path, headers=dict(headers))) as answer:
            headers = {**headers, **({"If-None-Match": answer.headers["ETag"]} if conditional else {})}
            answer.read()
    costs = {
        peer: load(measured.pid, measured.url + path, seconds=seconds, connections=connections, headers=headers).cpu_us
        for peer, measured in (("", server), *peers)
    }
    return Row(f"{what}, {connections} connections", "µs", costs.pop(""), costs, target)


def _fetch(*urls: str) -> float:
    """Seconds until curl has all of them, at the same time."""
    started = time.monotonic()
    clients = [subprocess.Popen(["curl", "-sf", "-o", "/dev/null", url]) for url in urls]
    for client in clients:
        assert client.wait() == 0
    return time.monotonic() - started
