"""The process that reads an archive, and its limits."""

import asyncio
import os
from pathlib import Path

import pytest

from gateway.index.screening.advisories.database import AdvisoryDatabase
from gateway.index.screening.advisories.parser import UnreadableArchiveError, parse
from tests.support.advisories import MAL, archive
from tests.support.eventually import eventually


async def parsed(tmp_path: Path, content: bytes, **options: str | float) -> tuple[int, str]:
    (tmp_path / "all.zip").write_bytes(content)
    with (tmp_path / "all.zip").open("rb") as file:
        return await parse(file.fileno(), tmp_path / "db", "the mark", **options)  # type: ignore[arg-type]


async def test_an_archive(tmp_path: Path) -> None:
    assert await parsed(tmp_path, archive(MAL, "no record")) == (1, "Expecting value: line 1 column 1 (char 0)")
    database = AdvisoryDatabase(tmp_path / "db")
    assert (database.mark, database.advisories, database.unreadable) == ("the mark", 1, 1)
    database.close()


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"x" * 100, "zip"), (archive("x"), "no record")])
async def test_no_archive(tmp_path: Path, content: bytes, reason: str) -> None:
    with pytest.raises(UnreadableArchiveError, match=reason) as failure:
        await parsed(tmp_path, content)
    assert failure.value.final


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit",
        "import os; os.abort()",
        "print('[]')",
        "print('{}')",
        """print('{"unreadable": []}')""",
    ],
)
async def test_a_process_that_ends_in_another_way(tmp_path: Path, program: str) -> None:
    with pytest.raises(UnreadableArchiveError, match="ends a process in another way") as failure:
        await parsed(tmp_path, b"x", program=program)
    assert not failure.value.final


async def test_a_process_that_answers_too_much(tmp_path: Path) -> None:
    with pytest.raises(UnreadableArchiveError, match="more than it may"):
        await parsed(tmp_path, b"x", program="print('x' * 1_000_000)")


async def test_a_process_that_hangs_is_ended_with_all_that_it_has_started(tmp_path: Path) -> None:
    program = (
        f"import os; os.fork(); open({str(tmp_path)!r} + f'/pid-{{os.getpid()}}', 'w'); import time; time.sleep(999)"
    )
    task = asyncio.ensure_future(parsed(tmp_path, b"x", program=program))
    await eventually(lambda: len([*tmp_path.glob("pid-*")]) == 2)
    pids = [int(file.name.removeprefix("pid-")) for file in tmp_path.glob("pid-*")]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: not any(map(is_running, pids)))


async def test_a_process_that_takes_too_long(tmp_path: Path) -> None:
    with pytest.raises(UnreadableArchiveError, match=r"over 0\.1 s") as failure:
        await parsed(tmp_path, b"x", program="import time; time.sleep(999)", seconds=0.1)
    assert not failure.value.final


def is_running(pid: int) -> bool:
    try:
        return os.path.exists(f"/proc/{pid}") and Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][1] != "Z"
    except FileNotFoundError:
        return False
