"""An archive of advisories in a file, which others replace."""

from pathlib import Path

from gateway.config.file_state import file_state
from gateway.executors import DISK
from gateway.index.screening.advisories.database import AdvisoryDatabase
from gateway.index.screening.advisories.shelf import Shelf
from gateway.index.screening.advisories.source import FetchedArchive

_SECONDS = 5.0


class FileSource:
    """Followed by its state. One that has changed is believed when it has stayed the same between two looks: somebody
    may be writing it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: str | None = None

    @property
    def label(self) -> str:
        return str(self._path)

    def pause(self, known: AdvisoryDatabase | None, now: float) -> float:
        return _SECONDS

    async def is_due(self, known: AdvisoryDatabase | None, now: float) -> bool:
        before, self._seen = self._seen, await DISK.run(self._mark)
        return known is None or (self._seen != known.mark and self._seen == before)

    async def fetch(self, mark: str, shelf: Shelf, now: float) -> FetchedArchive | None:
        return await DISK.run(self._open, mark)

    async def close(self) -> None:
        """Nothing is under way."""

    def _open(self, mark: str) -> FetchedArchive | None:
        file = self._path.open("rb")
        state = file_state(file.fileno())
        if state is None or str(state) == mark:
            file.close()
            return None
        return FetchedArchive(file, str(state), state[0] / 1e9)

    def _mark(self) -> str:
        return str(file_state(self._path))
