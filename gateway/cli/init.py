"""`gateway init`: a configuration file to start with."""

import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.config.text import starter


def run(file: Path, given: Mapping[str, str]) -> int:
    """Writes `file`; returns the exit code. An existing file is never overwritten: it may be the only record of a
    running gateway's settings."""
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(starter(given))
    except FileExistsError:
        print(
            f"gateway init: {file} already exists and was left unchanged; move it away, or name another file",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"gateway init: {file} can't be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"Wrote {file}. Next: gateway check --config {file}")
    return 0
