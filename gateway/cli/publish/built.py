"""Builds the files to publish, by `python -m build`."""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

_STDERR = 2
# Settings and the password: a build runs code of others.
_SECRETS = "GATEWAY_"


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
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
        done = subprocess.run(command, stdout=_STDERR, env=environment, check=False)  # noqa: S603  of our own
        code = done.returncode
        if code != 0:
            raise BuildError(f"python -m build has failed with exit code {code}; nothing was sent")
        yield sorted(path for path in Path(target).iterdir() if path.name.endswith((".whl", ".tar.gz")))
