"""Virtual environments that take a tenth of a second: what they have is linked from the one that runs the tests.

pip reads what is installed beside it, which takes longer than its work where all the tools of development are.
"""

import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path


def environment(directory: Path, distributions: Iterable[str] = ()) -> Path:
    """Its interpreter. Of the distributions those are in it that this interpreter has; none brings its commands."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    link(directory, distributions)
    return directory / "bin" / "python"


def link(directory: Path, distributions: Iterable[str]) -> None:
    """Adds distributions to an environment."""
    [packages] = directory.glob("lib/python*/site-packages")
    for distribution in distributions:
        try:
            found = files(distribution) or []
        except PackageNotFoundError:  # for another Python or system
            continue
        for file in found:
            top = file.parts[0]
            target = packages / top
            if top not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(Path(str(file.locate())).parents[len(file.parts) - 1] / top)
