"""Passwords are compared with the hashes that others keep."""

import pytest

from gateway.access.directories.stored_password import matches

# Of `gunface`, as pypicloud's manual has it.
PYPICLOUD_S = "$5$rounds=80000$yiWi67QBJLDTvbI/$d6qIG/bIoM3hp0lxH8v/vzxg8Qc4CJbxbxiUH4MlnE7"


async def test_a_hash_of_pypicloud() -> None:
    assert await matches(PYPICLOUD_S, "gunface", method="sql", decoy=False) is True
    assert await matches(PYPICLOUD_S, "gunface ", method="sql", decoy=False) is False


async def test_a_decoy_lets_nobody_in() -> None:
    assert await matches(PYPICLOUD_S, "gunface", method="sql", decoy=True) is False


@pytest.mark.parametrize("stored", ["", "hunter2", "$1$hunter2", "$5$hunter2", "$2b$31$hunter2"])
async def test_a_hash_that_is_none_fits_nothing(stored: str, caplog: pytest.LogCaptureFixture) -> None:
    assert await matches(stored, "hunter2", method="sql", decoy=False) is False
    assert "sql: a user's hash" in caplog.text
    assert "hunter2" not in caplog.text
