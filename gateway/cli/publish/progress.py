"""Shows a person how far the files have got."""

import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.cli.publish.prepared import Prepared


class Progress:
    """Passes bytes on, and tells of them."""

    def __init__(self, bars: Any = None, tasks: dict[Path, Any] | None = None) -> None:
        """`bars` is rich's Progress; None shows nothing."""
        self._bars = bars
        self._tasks = tasks or {}

    async def of(self, prepared: Prepared, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The bytes of a file, from its start: it may be sent again."""
        task = self._tasks.get(prepared.path)
        if self._bars is None or task is None:
            async for piece in pieces:
                yield piece
            return
        self._bars.reset(task)
        async for piece in pieces:
            yield piece
            self._bars.advance(task, len(piece))


@contextmanager
def shown_progress(files: Sequence[Prepared], *, quiet: bool) -> Iterator[Progress]:
    """Bars on standard error, if that is a terminal and rich is installed."""
    if quiet or not sys.stderr.isatty():
        yield Progress()
        return
    try:
        from rich import progress
        from rich.console import Console
    except ImportError:
        yield Progress()
        return
    columns = progress.TextColumn("{task.description}"), progress.BarColumn(), progress.DownloadColumn()
    bars = progress.Progress(
        *columns,
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # lines of the report go above the bars
    )
    with bars:
        yield Progress(bars, {file.path: bars.add_task(file.path.name, total=file.size) for file in files})
