"""Reads fields of core metadata (PEP 566) from files that may contain anything, in linear time. Pure.

`email` and `packaging.metadata` take minutes for a megabyte of headers that all have different names. A regular
expression holds up all threads for half a second, if the megabyte is line ends.
https://packaging.python.org/en/latest/specifications/core-metadata/
"""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import islice

MAX_METADATA_BYTES = 1024 * 1024
_MAX_FIELDS = 2000
_MAX_LINES = 50_000
_MAX_VALUE = 4096
_NAMES = (
    "Name",
    "Version",
    "Summary",
    "Requires-Python",
    "License-Expression",
    "License",
    "Classifier",
    "Author",
    "Requires-Dist",
    "Project-URL",
    "Home-page",
    "Description-Content-Type",
)
_FIELDS = frozenset(map(str.lower, (*_NAMES, "Description")))
_NO_MORE: Set[str] = frozenset()
_BLANK = " \t"
# What the continuation lines of a description begin with, according to distutils and the specification.
_MARGINS = (7 * " " + "|", 8 * " ", "\t")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_REQUIRES_PYTHON = 256


def parse(metadata: bytes, more: Set[str] = _NO_MORE) -> Mapping[str, Sequence[str]]:
    """The values that people and installers need, by lower-case field names, and those of `more` fields; unfolded, and
    in order.

    `description` is the body, else the field of that name. Text beyond the limits of this module is cut off.
    """
    text = metadata[:MAX_METADATA_BYTES].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    head, _, body = text.partition("\n\n")
    found: dict[str, list[str]] = {}
    for name, lines in islice(_fields(head, _FIELDS | more if more else _FIELDS), _MAX_FIELDS):
        value = _unindented(lines) if name == "description" else _unfolded(lines)
        found.setdefault(name, []).append(value.strip())
    if body := body.strip("\n"):
        found["description"] = [body]
    return found


def _fields(head: str, known: Set[str]) -> Iterator[tuple[str, list[str]]]:
    """The `known` fields by lower-case names, each with its lines.

    Reads line by line, so that other threads can run: a regular expression lets none run until it has found something.
    """
    name, lines, at, longest = "", list[str](), 0, max(map(len, known))
    for _ in range(_MAX_LINES):
        if at >= len(head):
            break
        end = head.find("\n", at)
        end = end if end >= 0 else len(head)
        if head[at] in _BLANK:
            if name:
                lines.append(head[at:end])
        else:
            if name:
                yield name, lines
            colon = head.find(":", at, min(end, at + longest + 1))
            name = head[at:colon].lower() if colon > at else ""
            name = name if name in known else ""
            lines = [head[colon + 1 : end]] if name else []
        at = end + 1
    if name:
        yield name, lines


def _unfolded(lines: Sequence[str]) -> str:
    parts, length = [lines[0]], len(lines[0])
    for line in islice(lines, 1, None):
        if length >= _MAX_VALUE:
            break
        parts.append(line.lstrip(_BLANK))
        length += len(parts[-1]) + 1
    return " ".join(parts)[:_MAX_VALUE]


def _unindented(lines: Sequence[str]) -> str:
    return "\n".join([lines[0], *(_without_margin(line) for line in islice(lines, 1, None))])


def _without_margin(line: str) -> str:
    margin = next((margin for margin in _MARGINS if line.startswith(margin)), "")
    return line[len(margin) :]


def requires_python(metadata: bytes) -> str | None:
    """The field Requires-Python; None if it is absent or unusable."""
    return clean_requires_python(next(iter(parse(metadata).get("requires-python", ())), None))


def clean_requires_python(value: str | None) -> str | None:
    """A value of Requires-Python as a page may show it; None if it is empty, too long, or has control characters."""
    value = value.strip() if value is not None else ""
    return value if value and len(value) <= _MAX_REQUIRES_PYTHON and not _CONTROL.search(value) else None
