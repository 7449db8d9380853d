"""Fetches the provenance of a file of the other index, and verifies it."""

import asyncio
from typing import Protocol

from gateway.errors import UpstreamError, UpstreamTimeoutError
from gateway.executors import PROVENANCE
from gateway.index.simple.pages import File

# Of PyPI, it has some twenty kilobytes.
MOST_BYTES = 1024 * 1024
# Two run at once, each some ten milliseconds.
_VERIFY_SECONDS = 10.0


class Documents(Protocol):
    """See OtherIndex."""

    async def read(self, url: str, limit: int) -> bytes: ...


class Reader(Protocol):
    """Verifies what others have made. `root` is another one if it may find something else."""

    root: str

    def words(self, document: bytes, filename: str, sha256: str) -> str:
        """Who published the file with these bytes, or `invalid`, as gateway/policy/provenance.py has it. May take
        long."""


class Lookup:
    """Asks one index."""

    def __init__(self, documents: Documents, reader: Reader) -> None:
        self._documents = documents
        self._reader = reader

    @property
    def root(self) -> str:
        return self._reader.root

    async def words(self, file: File) -> str:
        """For a file with provenance and a SHA-256. Raises GatewayErrors."""
        assert file.provenance is not None
        document = await self._documents.read(file.provenance, MOST_BYTES)
        if not document.lstrip().startswith(b"{"):
            # Such as a page about an error. What is found to be invalid is never looked at again.
            raise UpstreamError(f"the provenance of {file.name} is no JSON object")
        work = PROVENANCE.run(self._reader.words, document, file.name, file.hashes["sha256"])
        try:
            async with asyncio.timeout(_VERIFY_SECONDS):
                return await work
        except TimeoutError as error:
            raise UpstreamTimeoutError(f"{file.name}: not verified within {_VERIFY_SECONDS:g} s") from error
