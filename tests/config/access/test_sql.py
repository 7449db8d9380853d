"""The settings of a database that knows the users."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.access.sql import SqlSettings


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"url": "hunter2"},
        {"url": "mysql://user:hunter2@host/database"},
        {"url": "oracle+cx://user:hunter2@host/database"},
        {"url": "postgresql:hunter2"},
        {"url": "sqlite:////users.db", "timeout": 6},
        {"url": "sqlite:////users.db", "tls": "maybe"},
        {"url": "sqlite:////users.db", "ca_file": "/nowhere/hunter2"},
    ],
    ids=str,
)
def test_settings_that_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        SqlSettings.model_validate(bad)
    assert "hunter2" not in str(caught.value)


def test_the_address_does_not_show() -> None:
    settings = SqlSettings.model_validate({"url": "postgres://user:hunter2@host/database"})
    assert "hunter2" not in repr(settings) + str(settings)
