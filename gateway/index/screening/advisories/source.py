"""Where an archive of advisories comes from."""

from dataclasses import dataclass
from typing import IO, Protocol

from gateway.index.screening.advisories.database import AdvisoryDatabase
from gateway.index.screening.advisories.shelf import Shelf


@dataclass(frozen=True, slots=True)
class FetchedArchive:
    """`mark` differs if the content does, and `since` is when it was up to date, in seconds since the epoch. `file` is
    for the receiver to close."""

    file: IO[bytes]
    mark: str
    since: float


class ArchiveSource(Protocol):
    """A server, or a file."""

    @property
    def label(self) -> str:
        """For logs and people, without secrets."""

    def pause(self, known: AdvisoryDatabase | None, now: float) -> float:
        """Seconds after which it may be worth looking, while nothing fails."""

    async def is_due(self, known: AdvisoryDatabase | None, now: float) -> bool:
        """Whether it may have something else than the `known` database was made of."""

    async def fetch(self, mark: str, shelf: Shelf, now: float) -> FetchedArchive | None:
        """None if it still has what has this mark. Raises OSError, GatewayError."""

    async def close(self) -> None:
        """Ends what is under way."""
