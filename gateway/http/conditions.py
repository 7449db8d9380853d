"""Evaluates the headers of conditional and range requests for a file (RFC 9110, 13.2.2 and 14.2). Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from gateway.errors import PreconditionFailedError, RangeNotSatisfiableError

# An entity tag (RFC 9110, 8.8.3), between the commas of a list.
_TAG = re.compile(r'(?<![^ \t,])(?:W/)?"[!#-~\x80-\xff]*"(?![^ \t,])')
# How a date ends in each of the three formats. Python's parser would accept others, with other time zones or none.
_DATE_END = re.compile(r"(?:GMT|UTC| [0-9]{4})[ \t]*\Z")
_RANGE = re.compile(r"bytes=\s*(\d{0,19})-(\d{0,19})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `start` to `stop` (exclusive) of a file of `size` bytes."""

    start: int
    stop: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.stop - 1}/{self.size}"


def not_modified(headers: Mapping[str, str], *, etag: str, modified: int | None) -> bool:
    """Whether the answer is 304. `headers` has lower-case names; `modified` is in whole seconds since the epoch.
    If it is None, dates are ignored (13.1.3 and 13.1.4).

    Raises PreconditionFailedError if If-Match or If-Unmodified-Since does not hold.
    """
    if (if_match := headers.get("if-match")) is not None:
        # Strong comparison: a weak tag never matches.
        if if_match.strip() != "*" and etag not in _tags(if_match):
            raise PreconditionFailedError("If-Match does not hold")
    elif modified is not None:
        since = seconds(headers.get("if-unmodified-since"))
        if since is not None and modified > since:
            raise PreconditionFailedError("If-Unmodified-Since does not hold")
    if (if_none_match := headers.get("if-none-match")) is not None:
        return if_none_match.strip() == "*" or etag in [tag.removeprefix("W/") for tag in _tags(if_none_match)]
    since = seconds(headers.get("if-modified-since"))
    return since is not None and modified is not None and modified <= since


def requested_part(headers: Mapping[str, str], *, etag: str, modified: int | None, size: int) -> Part | None:
    """The requested range, or None for the whole file.

    Ranges in other units, several ranges, and malformed ranges are ignored, as S3 does.
    Raises RangeNotSatisfiableError for a range past the end.
    """
    match = _RANGE.fullmatch(headers.get("range", ""))
    if match is None or not _if_range_holds(headers.get("if-range"), etag, modified):
        return None
    first, last = match.groups()
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    elif last:
        start, stop = max(size - int(last), 0), size
    else:
        return None
    if start >= stop:
        raise RangeNotSatisfiableError(f"{size} bytes", headers={"Content-Range": f"bytes */{size}"})
    return Part(start, stop, size)


def _if_range_holds(if_range: str | None, etag: str, modified: int | None) -> bool:
    if if_range is None or if_range.strip() == etag:
        return True
    return modified is not None and seconds(if_range) == modified


def _tags(field: str) -> list[str]:
    """The entity tags of a list. A tag may contain commas."""
    return _TAG.findall(field)


def seconds(date: str | None) -> int | None:
    """An HTTP date (RFC 9110, 5.6.7) in seconds since the epoch; None if it is not valid, and must be ignored."""
    if date is None or not _DATE_END.search(date) or date.count(",") > 1:  # several dates: the header was repeated
        return None
    try:
        return int(parsedate_to_datetime(date).replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError):
        return None
