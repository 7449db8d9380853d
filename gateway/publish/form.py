"""The form that clients upload a file with (RFC 7578), read as its bytes arrive. No I/O.

https://docs.pypi.org/api/upload/

The fields come first, then the file; attestations may follow it. What the file must agree with has to be known before
it comes, since it is not kept.
"""

import re
from collections.abc import Iterator, Mapping

from multipart import MultipartError, MultipartSegment, ParserLimitReached, PushMultipartParser, parse_options_header

from gateway.errors import BadRequestError, ContentTooLargeError

CONTENT = "content"
# Of the fields together: descriptions are the largest.
MAX_FIELDS_BYTES = 2 * 1024 * 1024
_MAX_FIELDS = 1000
_MAX_BOUNDARY = 70  # RFC 2046, 5.1.1
_MAX_HEADER_BYTES = 1024
_MAX_HEADERS = 8
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_FORM = "multipart/form-data"
_PLAIN_ENCODINGS = ("", "binary", "8bit", "7bit")
# May follow the file. Clients that sign send the signature as a file too; nobody reads it.
_LATE = ("attestations", "gpg_signature")


class UploadForm:
    """`filename` is None until the file begins."""

    def __init__(self, content_type: str, length: int) -> None:
        """`length` is that of the whole form, in bytes. Raises BadRequestError."""
        kind, options = parse_options_header(content_type)
        boundary = options.get("boundary", "")
        if kind != _FORM or not boundary.isascii() or not 0 < len(boundary) <= _MAX_BOUNDARY:
            raise BadRequestError(f"an upload of {kind or 'no type'}", public=f"An upload is a form, {_FORM}")
        try:
            self._parser = PushMultipartParser(
                boundary,
                content_length=length,
                max_header_size=_MAX_HEADER_BYTES,
                max_header_count=_MAX_HEADERS,
                max_segment_count=_MAX_FIELDS,
            )
        except MultipartError as error:
            raise _unreadable(error) from error
        # Old versions of distutils send a line break first. The parser would skip anything, or not, by how it arrives.
        self._starts = (b"--" + boundary.encode(), b"\r\n--" + boundary.encode())
        self._start: bytes | None = b""
        self.filename: str | None = None
        self._fields: dict[str, list[bytes]] = {}  # of text, one emoji would take four bytes for each character
        self._fields_bytes = 0
        self._name = ""
        self._value = bytearray()

    @property
    def fields(self) -> Mapping[str, list[str]]:
        """The values of the fields that have been read whole, by name."""
        return {name: [value.decode() for value in values] for name, values in self._fields.items()}

    def forget_fields(self) -> None:
        """Lets their memory go: descriptions are long."""
        self._fields = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields the next bytes of the file. Read it to its end. Raises BadRequestError or ContentTooLargeError."""
        self._demand_start(data)
        try:
            for event in self._parser.parse(data):
                if isinstance(event, MultipartSegment):
                    self._begin(event)
                elif event is None:
                    self._end()
                elif self._name == CONTENT:
                    yield bytes(event)
                else:
                    self._count(len(event))
                    self._value += event
        except MultipartError as error:
            raise _unreadable(error) from error

    def finish(self) -> None:
        """Call it when nothing more comes. Raises BadRequestError if the form has no end, or no file."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise _unreadable(error) from error
        if self.filename is None:
            raise BadRequestError("no file", public="The form has no file: the field content")

    def _demand_start(self, data: bytes) -> None:
        if self._start is None:
            return
        start = self._start = self._start + data[: len(self._starts[1]) - len(self._start)]
        if not any(start.startswith(whole) or whole.startswith(start) for whole in self._starts):
            raise BadRequestError("no boundary at the start", public="The form of the upload can't be read")
        if len(start) == len(self._starts[1]):
            self._start = None

    def _begin(self, part: MultipartSegment) -> None:
        # The parser takes a bare line break for a part of the value, if the whole line arrives at once.
        if any(_CONTROL.search(value) for _, value in part.headerlist):
            raise BadRequestError("a control character in a head", public="The form of the upload can't be read")
        name = part.name or ""
        kind = (part.header("Content-Type") or "").lower()
        transfer = (part.header("Content-Transfer-Encoding") or "").strip().lower()
        if kind.startswith("multipart/") or transfer not in _PLAIN_ENCODINGS or part.header("Content-Encoding"):
            raise BadRequestError(f"part {name!r} is nested or encoded", public="A part of the form is encoded")
        if name == "_charset_":
            raise BadRequestError("_charset_", public="The form has a field _charset_; all of it is UTF-8")
        self._count(len(name))
        if name == CONTENT:
            if self.filename is not None:
                raise BadRequestError("two files", public="The form has more than one file")
            if not part.filename:
                raise BadRequestError("content is no file", public="The field content is not a file")
            self.filename = part.filename
        elif self.filename is not None and name not in _LATE:
            raise BadRequestError(f"{name!r} after the file", public="A field follows the file: send the file last")
        self._name, self._value = name, bytearray()

    def _end(self) -> None:
        if self._name == CONTENT:
            return
        value, self._value = bytes(self._value), bytearray()
        try:
            value.decode()
        except UnicodeDecodeError as error:
            if self._name == "gpg_signature":
                return
            raise BadRequestError(f"{self._name!r} is not UTF-8", public="A field of the form is not UTF-8") from error
        self._fields.setdefault(self._name, []).append(value)

    def _count(self, count: int) -> None:
        self._fields_bytes += count
        if self._fields_bytes > MAX_FIELDS_BYTES:
            raise ContentTooLargeError(f"fields over {MAX_FIELDS_BYTES} bytes")


def _unreadable(error: MultipartError) -> BadRequestError | ContentTooLargeError:
    if isinstance(error, ParserLimitReached):
        return ContentTooLargeError(f"the form: {error}")
    return BadRequestError(f"the form: {error}", public="The form of the upload can't be read")
