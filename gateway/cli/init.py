"""`gateway init`: a configuration file to start with."""

import sys
from collections.abc import Mapping
from pathlib import Path

from gateway.config.text import starter


def run(file: Path, given: Mapping[str, str]) -> int:
    """Writes `file`; returns the exit code. A file that is there already is left alone: there is no way to have it
    overwritten, for it may be all that somebody knows of a running gateway."""
    try:
        with file.open("x", encoding="utf-8") as new:
            new.write(starter(given))
    except FileExistsError:
        print(
            f"gateway init: {file} is there already, and stays as it is; move it away, or name another file",
            file=sys.stderr,
        )
        return 1
    except OSError as error:
        print(f"gateway init: {file} can't be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"Wrote {file}. Next: gateway check --config {file}")
    return 0
