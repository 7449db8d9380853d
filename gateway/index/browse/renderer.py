"""Renders READMEs to safe HTML in a separate process, within limits of time, memory and size."""

import asyncio
import json
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress

from gateway.index.browse.readme import MAX_README_CHARS, Readme
from gateway.index.browse.render_worker import LENGTH, MAX_HTML_BYTES

_KINDS = frozenset({"text/markdown", "text/x-rst"})
_SECONDS = 5.0
_IDLE_SECONDS = 30.0
_EXIT_SECONDS = 1.0
# Gets our own sys.path: the gateway may run from a place where a bare interpreter does not look.
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from gateway.index.browse.render_worker import main; main()"
# The only variables that the process gets, to start an interpreter: others may hold credentials.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT")

log = logging.getLogger("gateway.index")


class RenderError(Exception):
    """A README can't be rendered now, for reasons outside the README."""


class Renderer:
    """One process, started when it is needed, replaced after a failure, ended when it is idle."""

    def __init__(
        self,
        *,
        remote_images: bool = False,
        seconds: float = _SECONDS,
        idle_seconds: float = _IDLE_SECONDS,
        program: str = _PROGRAM,
    ) -> None:
        """`remote_images` leaves images with https URLs. A README may wait `seconds` for its turn, and then take as
        long to be rendered."""
        self._remote_images = remote_images
        self._seconds = seconds
        self._idle_seconds = idle_seconds
        self._program = program
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, while there is a process."""
        return self._process.pid if self._process is not None else None

    async def html(self, readme: Readme) -> str:
        """The README, rendered; as text if it can't be. Raises RenderError if another try may do better."""
        if readme.kind not in _KINDS or not readme.text or len(readme.text) > MAX_README_CHARS:
            return readme.as_text()
        try:
            async with asyncio.timeout(self._seconds):
                await self._turn.acquire()
        except TimeoutError as error:
            raise RenderError("other READMEs take too long") from error
        try:
            return await self._rendered(readme) or readme.as_text()
        finally:
            self._turn.release()

    async def close(self) -> None:
        """Ends the process. If others still use this, it starts another one."""
        async with self._turn:
            await self._end()

    async def _rendered(self, readme: Readme) -> str | None:
        if self._idle is not None:
            self._idle.cancel()
        process = self._process
        try:
            if process is None or process.returncode is not None:
                process = self._process = await self._start()
            async with asyncio.timeout(self._seconds):
                html = await self._exchange(process, readme)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, ValueError) as error:
            log.info("a README is shown as text: its renderer was ended by %s", type(error).__name__)
            await self._end()
            return None
        except OSError as error:
            raise RenderError(f"no process can be started: {error.strerror}") from error
        except BaseException:
            await self._end()
            raise
        self._idle = asyncio.get_running_loop().call_later(self._idle_seconds, self._leave)
        return html

    async def _start(self) -> Process:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-B", "-c", self._program, *filter(None, sys.path)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # a README must not write to our log
            env=environment,
            cwd="/",
            start_new_session=True,  # Ctrl-C is for us only; the process ends with its input
        )

    async def _exchange(self, process: Process, readme: Readme) -> str:
        assert process.stdin is not None
        assert process.stdout is not None
        request = json.dumps([readme.kind, readme.variant, readme.text, self._remote_images]).encode()
        process.stdin.write(LENGTH.pack(len(request)) + request)
        await process.stdin.drain()
        (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
        if length > MAX_HTML_BYTES:
            raise ValueError("it answers more than it may")
        return (await process.stdout.readexactly(length)).decode()

    def _leave(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self.close())

    async def _end(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdout is not None
        if process.stdout.at_eof():
            # The process is ending by itself. Killing it now would race with asyncio's own wait for it.
            with suppress(TimeoutError):
                async with asyncio.timeout(_EXIT_SECONDS):
                    await process.communicate()
                return
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
