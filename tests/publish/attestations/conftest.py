"""A verifier that trusts the tests' own instance of Sigstore."""

from pathlib import Path

import pytest

from gateway.publish.attestations.verifier import Verifier
from tests.support.sigstore import sigstore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "trusted_root.json"
    path.write_bytes(sigstore().root)
    return path


@pytest.fixture
def verifier(root: Path) -> Verifier:
    return Verifier(root)
