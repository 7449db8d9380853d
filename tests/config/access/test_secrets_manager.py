"""The settings of a secret that knows the users."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.access.secrets_manager import SecretsManagerSettings

GOOD = {"secret_id": "users"}


@pytest.mark.parametrize(
    "bad",
    [
        {"secret_id": ""},
        {"aws_secret_access_key": "hunter2"},
        {"aws_access_key_id": "AKID"},
        {"endpoint_url": "https://user:hunter2@host"},
        {"refresh": 61},
        {"refresh": 60, "keep": 59},
        {"timeout": 6},
    ],
    ids=str,
)
def test_settings_that_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        SecretsManagerSettings.model_validate(GOOD | bad)
    assert "hunter2" not in str(caught.value)


def test_secrets_do_not_show() -> None:
    given = {"aws_access_key_id": "AKID", "aws_secret_access_key": "hunter2", "aws_session_token": "hunter2"}
    settings = SecretsManagerSettings.model_validate(GOOD | given)
    assert "hunter2" not in repr(settings) + str(settings)
