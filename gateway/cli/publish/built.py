"""Builds the files to publish, by `python -m build`."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

_STDERR = 2


class BuildError(Exception):
    """Says why nothing was built."""


@contextmanager
def built(directory: Path | None) -> Iterator[Sequence[Path]]:
    """A wheel and an sdist of the project in a directory, which are there until the end; none without a directory. What
    the build says goes to standard error. Raises BuildError."""
    if directory is None:
        yield ()
        return
    if find_spec("build") is None:
        raise BuildError("--build needs a library: pip install 's3-package-gateway[cli]'")
    with TemporaryDirectory(prefix="gateway-build-") as target:
        command = [sys.executable, "-m", "build", "--outdir", target, str(directory)]
        code = subprocess.run(command, stdout=_STDERR, check=False).returncode  # noqa: S603  of our own
        if code != 0:
            raise BuildError(f"python -m build has failed with exit code {code}; nothing was sent")
        yield sorted(path for path in Path(target).iterdir() if path.name.endswith((".whl", ".tar.gz")))
