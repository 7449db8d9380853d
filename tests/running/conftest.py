"""Fixtures for reloads."""

from pathlib import Path

import pytest


@pytest.fixture
def directories(tmp_path: Path) -> Path:
    """Two of them, `one` and `two`, each with a file that has its name."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name.txt").write_text(name)
    return tmp_path
