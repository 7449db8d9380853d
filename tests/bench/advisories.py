"""`python -m tests.bench.advisories`: how long it takes until advisories are in force, and what they take then.

The archive is made: `--records` of them, three in five about malware, the others with ranges, versions and texts as
long as those of osv.dev. The event loop's longest delay while they are read is measured, too.
"""

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.config.policy.settings import AdvisorySettings
from gateway.index.screening.advisories.build import build_advisories
from gateway.index.simple.pages import Project

_TICK_SECONDS = 0.002
_VECTOR = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H"
_PROJECTS = 20_000  # that have vulnerabilities
_LOOKUPS = 1000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.advisories", description=__doc__)
    parser.add_argument("--records", type=int, default=250_000)
    parser.add_argument("--keep", type=Path, help="file of the archive, made if it is not there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        file = arguments.keep or Path(directory) / "all.zip"
        if not file.exists():
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for record in _records(arguments.records):
                    archive.writestr(f"{record['id']}.json", json.dumps(record))
        print(f"archive: {file.stat().st_size / 1e6:.0f} MB")
        for cache in (None, Path(directory) / "cache"):
            print("with cache.dir" if cache else "without cache.dir")
            asyncio.run(_measure(file, cache))


async def _measure(file: Path, cache: Path | None) -> None:
    advisories = build_advisories(AdvisorySettings(source=str(file)), cache, [])
    before, started = _resident(), time.monotonic()
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    await advisories.start()
    longest = 0.0
    while advisories.stats().advisories is None:
        at = time.monotonic()
        await asyncio.sleep(_TICK_SECONDS)
        longest = max(longest, time.monotonic() - at - _TICK_SECONDS)
    took = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - children.ru_utime - children.ru_stime
    print(f"  in force after {took:.1f} s ({cpu:.1f} s of CPU, up to {used.ru_maxrss / 1024:.0f} MB in a child)")
    print(f"  the loop was held up for {longest * 1000:.0f} ms at most")
    times = []
    for number in range(_LOOKUPS):
        at = time.perf_counter()
        await advisories.about(Project(f"lib-{number}", (), ()), 0.0)
        times.append(time.perf_counter() - at)
    print(f"  a look-up: {sorted(times)[_LOOKUPS // 2] * 1e6:.0f} µs; memory: {_resident() - before:.1f} MB")
    stats = advisories.stats()
    print(f"  {stats.advisories} about {stats.projects} projects; {stats.unreadable} can't be read")
    await advisories.close()
    again = build_advisories(AdvisorySettings(source=str(file)), cache, [])
    at = time.monotonic()
    await again.start()
    if again.stats().advisories is not None:
        print(f"  in force again {(time.monotonic() - at) * 1000:.1f} ms after a restart")
    await again.close()


def _resident() -> float:
    """Of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def _records(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)
    for number in range(count):
        yield _malware(number, chance) if number % 5 < 3 else _vulnerability(number, chance)


def _malware(number: int, chance: random.Random) -> dict[str, Any]:
    project, versions = (
        f"pkg-{number}",
        [f"{chance.randrange(9)}.{number % 20}.{patch}" for patch in range(1 + number % 3)],
    )
    origin = {"source": "reporter", "sha256": f"{chance.getrandbits(256):064x}", "versions": versions}
    return {
        "schema_version": "1.7.4",
        "id": f"MAL-2026-{number}",
        "modified": "2026-01-21T18:25:06Z",
        "published": "2026-01-21T18:25:06Z",
        "summary": f"Malicious code in {project} (PyPI)",
        "details": f"## Source: reporter ({chance.getrandbits(256):064x})\n"
        + "Importing the module takes secrets. " * 15,
        "affected": [{"package": {"ecosystem": "PyPI", "name": project}, "versions": versions}],
        "references": [{"type": "WEB", "url": f"https://reports.example/pypi/package/{project}"}],
        "credits": [{"name": "Reporter", "type": "REPORTER", "contact": ["https://reports.example/"]}],
        "database_specific": {"malicious-packages-origins": [origin]},
    }


def _vulnerability(number: int, chance: random.Random) -> dict[str, Any]:
    major, minor = chance.randrange(1, 6), chance.randrange(20)
    events = [{"introduced": "0"}, {"fixed": f"{major}.2.{minor}"}, {"introduced": f"{major + 1}.0"}]
    ranges = [{"type": "ECOSYSTEM", "events": [*events, {"fixed": f"{major + 1}.1"}]}]
    versions = [f"{one}.{two}" for one in range(major) for two in range(10)]
    package = {"ecosystem": "PyPI", "name": f"Lib_{chance.randrange(_PROJECTS)}"}
    return {
        "schema_version": "1.7.4",
        "id": f"GHSA-{number:06x}-aaaa-bbbb" if number % 2 else f"PYSEC-2026-{number}",
        "modified": "2026-01-21T18:25:06Z",
        "published": "2026-01-21T18:25:06Z",
        "aliases": [f"CVE-2026-{number}"],
        "summary": "Denial of service in the parser of something",
        "details": "An issue was discovered in a function that parses what clients send. " * 12,
        "severity": [{"type": "CVSS_V3", "score": _VECTOR}],
        "affected": [{"package": package, "ranges": ranges, "versions": versions}],
        "references": [
            {"type": "WEB", "url": f"https://github.com/a/b/commit/{chance.getrandbits(160):040x}"} for _ in range(6)
        ],
        "database_specific": {"cwe_ids": ["CWE-770"], "severity": "HIGH", "github_reviewed": True},
    }


if __name__ == "__main__":
    main()
