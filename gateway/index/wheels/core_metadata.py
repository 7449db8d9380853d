"""Fields of core metadata (PEP 566), out of files that may hold anything. Linear in their size. Pure.

`email` and `packaging.metadata` take minutes for a megabyte of headers with names of their own.
https://packaging.python.org/en/latest/specifications/core-metadata/
"""

import re
from collections.abc import Mapping, Sequence
from itertools import islice

MAX_METADATA_BYTES = 1024 * 1024
_MAX_FIELDS = 2000
_MAX_VALUE = 4096
_NAMES = (
    "Summary",
    "Requires-Python",
    "License-Expression",
    "Author",
    "Requires-Dist",
    "Project-URL",
    "Home-page",
    "Description-Content-Type",
)
_FIELD = re.compile(rf"^({'|'.join(_NAMES)}|Description):(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
_LINE_END = re.compile(r"\r\n?")
_FOLDED = re.compile(r"\n[ \t]+")
# What the continuation lines of a description begin with, as distutils and the specification have it.
_MARGIN = re.compile(r"\n(?: {7}\|| {8}|\t)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_MAX_REQUIRES_PYTHON = 256


def parse(metadata: bytes) -> Mapping[str, Sequence[str]]:
    """The values that people and installers are shown, by lower-case names; unfolded, and in order.

    `description` is the body, else the field of that name. Of what is too long or too much, the end is left out.
    """
    text = _LINE_END.sub("\n", metadata[:MAX_METADATA_BYTES].decode("utf-8", "replace"))
    head, _, body = text.partition("\n\n")
    found: dict[str, list[str]] = {}
    for match in islice(_FIELD.finditer(head), _MAX_FIELDS):
        name, value = match[1].lower(), match[2]
        value = _MARGIN.sub("\n", value) if name == "description" else _FOLDED.sub(" ", value)[:_MAX_VALUE]
        found.setdefault(name, []).append(value.strip())
    if body := body.strip("\n"):
        found["description"] = [body]
    return found


def requires_python(metadata: bytes) -> str | None:
    """None if nothing is said, or nothing that could be meant."""
    return clean_requires_python(next(iter(parse(metadata).get("requires-python", ())), None))


def clean_requires_python(value: str | None) -> str | None:
    """What somebody says that it is, as far as it may stand in a page."""
    value = value.strip() if value is not None else ""
    return value if value and len(value) <= _MAX_REQUIRES_PYTHON and not _CONTROL.search(value) else None
