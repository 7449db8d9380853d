"""The file of an upload, as its bytes arrive: inspected before anybody gets the last of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from gateway.errors import ContentTooLargeError
from gateway.executors import UPLOADS
from gateway.publish.form import UploadForm
from gateway.publish.inspection import Inspection
from gateway.publish.rules import invalid_upload
from gateway.single_flight import retrieve_exception

# Inspected at once: a change of threads for each piece would cost more than the inspection.
_PIECE_BYTES = 512 * 1024


class FormReader:
    """Reads a form out of the body of a request."""

    def __init__(self, form: UploadForm, body: AsyncIterator[bytes]) -> None:
        self._form = form
        self._body = body
        self._begun: list[bytes] = []  # of the file, that came together with the fields

    async def to_file(self) -> str:
        """Reads up to the file, and returns its name. Raises GatewayErrors, and ConnectionError if the client
        leaves."""
        while self._form.filename is None:
            data = await anext(self._body, b"")
            if not data:
                self._form.finish()  # raises: there is no file
            self._begun += self._form.feed(data)
        return self._form.filename

    async def pieces(self) -> AsyncIterator[bytes]:
        """The bytes of the file. After the last, the form has been read to its end."""
        while self._begun:
            yield self._begun.pop(0)
        async for data in self._body:
            for piece in self._form.feed(data):
                yield piece
        self._form.finish()


class Proof(Protocol):
    """What comes with a file, and has to be true of it. `provenance` is what to store beside it, if there is any; it is
    known when all has been verified."""

    provenance: bytes | None

    async def verify(self, sha256: str) -> None:
        """Raises GatewayErrors unless it is true of the file with this hash, in hex."""


class Content:
    """`sha256`, in hex, is empty until all has been read and found right."""

    def __init__(
        self, pieces: AsyncIterator[bytes], inspection: Inspection, most: int, proof: Proof | None = None
    ) -> None:
        """The file may have `most` bytes."""
        self._proof = proof
        self._inspection = inspection
        self._most = most
        self._size = 0
        self._pieces = pieces
        self._chunks = self._inspected()
        self.sha256 = ""
        self._expected: Callable[[], Awaitable[str | None]] | None = None

    @property
    def size(self) -> int:
        """Of what has been read."""
        return self._size

    @property
    def requires_python(self) -> str | None:
        """What the file's metadata say, when all has been read."""
        return self._inspection.requires_python

    @property
    def provenance(self) -> bytes | None:
        """What to store beside the file, when all has been read."""
        return self._proof.provenance if self._proof is not None else None

    def expect(self, deleted: Callable[[], Awaitable[str | None]]) -> None:
        """Only the bytes with the hash that this tells are right, if it tells one: those of a file of that name that
        was deleted. It is asked when all has been read: the file may come and go meanwhile."""
        self._expected = deleted

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes. Raises GatewayErrors, at the end too: whoever keeps them keeps nothing then."""
        return self._chunks

    async def _inspected(self) -> AsyncIterator[bytes]:
        pending, length = list[bytes](), 0
        ahead: _Inspected | None = None
        async for piece in self._pieces:
            self._size += len(piece)
            if self._size > self._most:
                raise too_large(self._most)
            pending.append(piece)
            length += len(piece)
            if length >= _PIECE_BYTES:
                data, pending, length = b"".join(pending), [], 0
                if ahead is not None:
                    yield await ahead.bytes()
                ahead = _Inspected(self._inspection, data)
                del data
        if ahead is not None:
            yield await ahead.bytes()
        last = await _Inspected(self._inspection, b"".join(pending)).bytes()
        sha256 = await UPLOADS.run(self._inspection.finish)
        if self._proof is not None:
            await self._proof.verify(sha256)
        if self._expected is not None and await self._expected() not in (None, sha256):
            raise invalid_upload(
                "a file of this name was deleted, and the name does not come back: publish another version"
            )
        yield last
        self.sha256 = sha256


def too_large(most: int) -> ContentTooLargeError:
    """For a file of more than `most` bytes."""
    return ContentTooLargeError(f"over {most} bytes", public=f"The file is too large: at most {most} bytes are taken")


class _Inspected:
    """Bytes that are inspected, in order, while the next ones arrive."""

    def __init__(self, inspection: Inspection, data: bytes) -> None:
        self._data = data
        self._done = UPLOADS.run(inspection.feed, data)
        self._done.add_done_callback(retrieve_exception)  # in case nobody asks for them any more

    async def bytes(self) -> bytes:
        """Raises GatewayErrors."""
        await self._done
        return self._data
