"""Of which files there is something to find out."""

import pytest

from gateway.index.wheels.file_entries import is_looked_at
from gateway.storage.base import StoredObject


@pytest.mark.parametrize(
    ("name", "looked_at"),
    [
        ("acme-1.0.tar.gz", True),
        ("acme-1.0-py3-none-any.whl", True),
        ("acme-1.0.tar.gz.yanked", True),
        ("acme-1.0.tar.gz.sha256", False),
        ("acme-1.0.tar.gz.metadata", False),
        ("acme-1.0.tar.gz.sha256.yanked", False),
        ("index.html", False),
        ("notes.yanked", False),
    ],
)
def test_of_release_files_and_their_yanks(name: str, looked_at: bool) -> None:
    assert is_looked_at(StoredObject(f"acme/{name}", 1, '"e"', 0.0)) is looked_at
