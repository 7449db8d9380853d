"""Reads pypicloud's file, and writes the configuration and what differs."""

import sys
from collections.abc import Callable
from pathlib import Path

from gateway.cli.pypicloud.conversion import convert
from gateway.cli.pypicloud.document import yaml_text
from gateway.cli.pypicloud.export import read_export
from gateway.cli.pypicloud.ini import read_ini
from gateway.cli.pypicloud.report import Report
from gateway.cli.pypicloud.source import Source, SourceError

_MAX_BYTES = 2_000_000
_COMMAND = "gateway import pypicloud"


def run(file: Path, write: Callable[[str], None], *, to_terminal: bool) -> int:
    """Writes the configuration with `write`, and the report on standard error. Returns 0, or 2 for a file that can't be
    used. Secrets are hidden on a terminal."""
    report = Report()
    try:
        document = convert(read(file), report)
    except SourceError as error:
        print(f"{_COMMAND}: {file}: {error}", file=sys.stderr)
        for remark in report.remarks:
            print(f"  {remark}", file=sys.stderr)
        return 2
    head = f"Made by {_COMMAND}, which told on standard error what means something else here."
    write(yaml_text(document, head, hide=to_terminal))
    if to_terminal and yaml_text(document, head) != yaml_text(document, head, hide=True):
        told = "are hidden on a terminal; to have them, write the output to a file that only you may read"
        report.add("secrets", told)
    if report.remarks:
        print(f"{_COMMAND}: what is different, or is left to do:", file=sys.stderr)
    for remark in report.remarks:
        print(f"  {remark}", file=sys.stderr)
    return 0


def read(file: Path) -> Source:
    """Raises SourceError."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
    except OSError as error:
        raise SourceError(f"can't be read: {error.strerror}") from None
    if len(data) > _MAX_BYTES:
        raise SourceError(f"has over {_MAX_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError("is not UTF-8 text") from None
    if "\0" in text:
        raise SourceError("is no text: it has a NUL")
    return read_export(text, str(file)) if text.lstrip().startswith("{") else read_ini(text, file)
