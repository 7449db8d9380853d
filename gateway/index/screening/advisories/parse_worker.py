"""The process that makes a database of an archive of advisories, and may be slow, run out of memory, or crash.

Its input is the archive, its arguments are the database's path and mark, and its output is one JSON object: what was
read, or why nothing was.
"""

import gc
import json
import mmap
import os
import resource
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path

from gateway.forked import forked_items
from gateway.index.screening.advisories.archive import Archive, ArchiveError, records
from gateway.index.screening.advisories.database import INDEX, SCHEMA
from gateway.policy.osv import MAX_ITEMS, documents

CPU_SECONDS = 120
MAX_DATABASE_BYTES = 256 * 1024 * 1024
_MEMORY_BYTES = 256 * 1024 * 1024
# The archive is mapped to memory, beside it.
_ADDRESSES_BYTES = 2 * 1024**3
_LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_FSIZE: MAX_DATABASE_BYTES,
    resource.RLIMIT_DATA: _MEMORY_BYTES,
    resource.RLIMIT_AS: _ADDRESSES_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
}
# What the gateway reads at once, for one project.
MAX_PROJECT_BYTES = 4 * 1024 * 1024
_MAX_PROJECT_ITEMS = 2 * MAX_ITEMS
# Each may take as much memory, and as much time.
_MAX_PROCESSES = 2
_RECORDS_AT_ONCE = 100
_LESS_URGENT = 5
_MAX_REASON = 200
_MISSING = "no record of it can be read"

# Documents with their projects, and why other records can't be read.
Part = tuple[list[tuple[str, str]], list[str]]


@dataclass
class Counts:
    """What was read: `advisories` counts each project that one is about. `first` is why the first record that can't be
    read can't be."""

    advisories: int = 0
    projects: int = 0
    unreadable: int = 0
    first: str = ""


def main() -> None:
    for limit, value in _LIMITS.items():
        with suppress(ValueError, OSError):  # the system has a lower limit, or none of this kind
            resource.setrlimit(limit, (value, value))
    with suppress(OSError):  # if memory is short, the kernel ends this process first
        Path("/proc/self/oom_score_adj").write_text("1000")
    os.nice(_LESS_URGENT)
    gc.disable()  # records have no cycles, and looking for some takes a fifth of the time
    target, mark = sys.argv[1:3]
    try:
        answer = asdict(_made(target, mark))
    except (ArchiveError, sqlite3.Error, OSError) as error:
        answer = {"error": str(error)[:_MAX_REASON], "final": isinstance(error, ArchiveError)}
    sys.stdout.write(json.dumps(answer))


def _made(target: str, mark: str) -> Counts:
    try:
        archive = mmap.mmap(sys.stdin.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise ArchiveError("it is empty") from None
    with archive:
        return make(archive, target, mark, min(len(os.sched_getaffinity(0)), _MAX_PROCESSES))


def make(archive: Archive, target: str, mark: str, processes: int = 1) -> Counts:
    """Writes the database, which must not be there yet. Raises ArchiveError if no record can be read, OSError,
    sqlite3.Error."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    counts = Counts()
    with closing(sqlite3.connect(target, isolation_level=None)) as database:
        database.executescript(f"PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; {SCHEMA}")
        database.execute("BEGIN")
        database.executemany("INSERT INTO advisory VALUES (?, ?)", _within_limits(_parts(archive, processes), counts))
        if not counts.advisories and counts.unreadable:
            raise ArchiveError(f"{_MISSING}: {counts.first}")
        database.execute(INDEX)
        meta = {"mark": mark, **asdict(counts)}
        database.execute("INSERT INTO meta VALUES (?)", (json.dumps(meta),))
        database.execute("COMMIT")
    with open(target, "rb") as written:
        os.fsync(written.fileno())
    return counts


def _parts(archive: Archive, processes: int) -> Iterator[Part]:
    """What the processes have read, of which this is one, in turns: little waits in memory."""
    others = [forked_items(partial(_read, archive, number, processes)) for number in range(1, processes)]
    for parts in zip_longest(_read(archive, 0, processes), *others):
        yield from (part for part in parts if part is not None)


def _read(archive: Archive, number: int, of: int) -> Iterator[Part]:
    """The documents of every `of`-th record, with their projects, and what can't be read. Raises ArchiveError."""
    rows, faults = list[tuple[str, str]](), list[str]()
    for count, record in enumerate(records(archive, number, of), 1):
        try:
            if isinstance(record, ValueError):
                raise record
            rows += documents(json.loads(record)).items()
        except RecursionError:
            faults.append("it is nested too deeply")
        except ValueError as error:
            faults.append(str(error)[:_MAX_REASON])
        if count % _RECORDS_AT_ONCE == 0:
            yield rows, faults
            rows, faults = [], []
    yield rows, faults


def _within_limits(parts: Iterable[Part], counts: Counts) -> Iterator[tuple[str, str]]:
    """The documents that are kept."""
    sizes: dict[str, tuple[int, int]] = {}
    for rows, faults in parts:
        for project, document in rows:
            size, items = sizes.get(project, (0, 0))
            size, items = size + len(document), items + document.count(",")
            if size > MAX_PROJECT_BYTES or items > _MAX_PROJECT_ITEMS:
                faults.append(f"there is too much about {project}")
                continue
            sizes[project] = size, items
            counts.advisories += 1
            yield project, document
        counts.unreadable += len(faults)
        counts.first = counts.first or next(iter(faults), "")
    counts.projects = len(sizes)


if __name__ == "__main__":
    main()
