"""What the tests of commands share."""

import pytest


@pytest.fixture
def logging_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands that report everything themselves, and turn logging off for the whole process."""
    monkeypatch.setattr("logging.disable", lambda: None)
