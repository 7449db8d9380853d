"""Makes a database of an archive of advisories, in a separate process, within limits of time, memory and size."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

_SECONDS = 300.0
_MAX_ANSWER_BYTES = 64 * 1024
# Gets our own sys.path: the gateway may run from a place where a bare interpreter does not look.
_PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]; from gateway.index.screening.advisories.parse_worker import main; main()"
)
# The only variables that the process gets, to start an interpreter: others may hold credentials.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")


class UnreadableArchiveError(Exception):
    """The archive can't be read. `final` means that another try would fail, too."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


async def parse(
    archive: int, target: Path, mark: str, *, seconds: float = _SECONDS, program: str = _PROGRAM
) -> tuple[int, str]:
    """Reads the archive from the descriptor, and writes the database `target` with this mark, which must not be there
    yet. Returns how many records can't be read, and why the first one can't. Raises UnreadableArchiveError."""
    environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    arguments = (sys.executable, "-I", "-B", "-c", program, str(target), mark, *filter(None, sys.path))
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=archive,
            stdout=PIPE,
            stderr=DEVNULL,  # an archive must not write to our log
            env=environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for us only; and all that it forks can be ended with it
        )
    except OSError as error:
        raise UnreadableArchiveError(f"no process can be started to read it: {error.strerror}") from error
    try:
        async with asyncio.timeout(seconds):
            answer = await _answer(process)
            await process.wait()
    except TimeoutError as error:
        raise UnreadableArchiveError(f"reading it took over {seconds:g} s") from error
    finally:
        await _end(process)
    return _told(answer, process.returncode)


async def _answer(process: Process) -> bytes:
    assert process.stdout is not None
    answer = b""
    while chunk := await process.stdout.read(_MAX_ANSWER_BYTES):
        answer += chunk
        if len(answer) > _MAX_ANSWER_BYTES:
            raise UnreadableArchiveError("the process that reads it answers more than it may")
    return answer


def _told(answer: bytes, code: int | None) -> tuple[int, str]:
    try:
        told: Any = json.loads(answer)
        if "error" not in told:
            return int(told["unreadable"]), str(told["first"])
        raise UnreadableArchiveError(str(told["error"]), final=bool(told["final"]))
    except (ValueError, TypeError, KeyError) as error:
        reason = f"reading it takes too much time or memory, or ends a process in another way ({code})"
        raise UnreadableArchiveError(reason) from error


async def _end(process: Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.communicate()
